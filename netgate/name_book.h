// The addresses that stand for names within one sandbox, and where each name really leads.
//
// A name that is asked for gets the next address of 198.18.0.0/15 (and of fd6c:696f:6e67::/48), for the life of the
// sandbox. What it leads to was resolved and vetted once (`Place`) and is asked for again only when the plugin does so
// later than kDnsTtlSeconds: no connection is ever made to an address that was not looked at.
//
// Ownership and thread: owned by its gate; the process's only thread. Bounded by kNamesMax.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netgate/grants.h"

namespace liongate::netgate {

inline constexpr std::size_t kNamesMax = 4096;
inline constexpr std::size_t kAddressesMax = 16;  // of a name; further ones are not tried

class NameBook {
 public:
  struct Place {
    std::vector<Address> addresses;  // kAddressesMax at most
    std::chrono::steady_clock::time_point resolved_at{};
  };

  // The number of `name`, given now if it has none; nothing when all are used up.
  std::optional<std::uint32_t> enter(const std::string& name);
  // Of a name that was entered; no address: it is forgotten.
  void set_place(const std::string& name, Place place);
  const Place* place(const std::string& name) const;

  // The name that `address` stands for.
  const std::string* name_at(const Address& address) const;

  static Address ipv4_of(std::uint32_t number);
  static Address ipv6_of(std::uint32_t number);
  // Where questions of DNS are answered.
  static Address dns_address();
  // One of those above, whether a name has it or not.
  static bool is_ours(const Address& address);

 private:
  std::map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> names_;
  std::map<std::string, Place> places_;
};

}  // namespace liongate::netgate
