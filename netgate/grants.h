// What a plugin may reach, as its manifest spells it after `network:`, and where that may lead.
//
//   HOST[:PORT]   HOST is a name, `*.NAME` (everything below NAME, not NAME itself), an IPv4 address, an IPv6 address
//   in
//                 brackets, ADDRESS/BITS of either, or `host-loopback`: the loopback of the machine the daemon is on.
//                 Without PORT: every port. Empty: every public address and name.
//
// Names are compared in lower case without a final dot. What a name leads to must be a public address, or be in the
// operator's internal ranges, or be granted by its address as well: a name is anybody's to point at your router.
//
// A network of more than sixteen million addresses grants the public ones of it: nobody means their own router by it.
//
// Ownership and thread: plain values; pure functions. Errors: parse() names the grant that cannot be meant.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/result.h"

namespace liongate::netgate {

using Address = boost::asio::ip::address;

inline constexpr std::string_view kHostLoopback = "host-loopback";
inline constexpr std::size_t kNameBytesMax = 253;
inline constexpr std::size_t kLabelBytesMax = 63;

// ADDRESS/BITS; an address alone is a network of one.
struct Network {
  Address base;
  unsigned bits = 0;
  bool contains(const Address& address) const;
};

std::optional<Network> parse_network(std::string_view text);

// Lower case, no final dot; nothing for what is no name: bytes that no host name has, labels that are empty or over 63
// bytes, more than kNameBytesMax, and numbers in whatever notation, which some resolvers take for addresses.
std::optional<std::string> canonical_name(std::string_view text);

// IPv4 in IPv6's clothes is what it is: ::ffff:10.0.0.1 is 10.0.0.1.
Address plain(const Address& address);

// What is routed in the internet and nobody's own: not loopback, private, shared, link-local, multicast, reserved,
// documentation, nor the IPv6 forms that carry an IPv4 address (NAT64, 6to4, Teredo), which may carry such a one.
bool is_public(const Address& address);

// Cloud metadata services; never by a name, whatever ranges are internal.
bool is_metadata(const Address& address);

class Grants {
 public:
  static Result<Grants> parse(const std::vector<std::string>& texts);

  // For questions of DNS: some port of it may be reached.
  bool allows_name(const std::string& name) const;
  bool allows_name(const std::string& name, std::uint16_t port) const;
  // By its address, not by a name.
  bool allows_address(const Address& address, std::uint16_t port) const;

  // The same of any port: what a name may lead to although it is nobody's public address.
  bool names_address(const Address& address) const;

  // The ports that are named, each once; `any_port` when there is a grant without.
  std::vector<std::uint16_t> ports() const;
  bool any_port() const;

 private:
  enum class Kind { kEverything, kName, kBelow, kNetwork };
  struct Grant {
    Kind kind = Kind::kEverything;
    std::string name;
    Network network;
    std::uint16_t port = 0;  // 0: every port
  };
  static bool names(const Grant& grant, const std::string& name);
  std::vector<Grant> grants_;
};

}  // namespace liongate::netgate
