// Names to addresses: by /etc/hosts, else asked of the host's resolver or of one that the configuration names; by
// c-ares, which needs no threads and no files once it is made.
//
// Ownership and thread: owned by the gate's process, its only thread. `done` is called later, never within resolve();
// every request ends within kResolveMsMax. Bounded by the gates' own bounds on what is under way.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "netgate/grants.h"

namespace liongate::netgate {

inline constexpr int kResolveMsMax = 5'000;

class Resolver {
 public:
  explicit Resolver(boost::asio::io_context& io);
  ~Resolver();

  // Reads the host's resolver configuration and /etc/hosts, once; to be called while files may still be read.
  Result<void> open();

  // ADDRESS[:PORT], several by commas; empty: what open() found.
  Result<void> use_servers(const std::string& servers);

  // No address: the name does not exist, or nobody could say (`failed`).
  using Done = std::function<void(std::vector<Address> addresses, bool failed)>;
  void resolve(const std::string& name, Done done);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace liongate::netgate
