// The doors of a sandbox at ports that no permission names: opened as its program comes to them.
//
// A connect (and where some permission names no port a sendto with an address) waits in the kernel and is shown to the
// launcher, which reads the port it asks for out of the program's memory, opens a pair of spare sockets there (made
// inside beforehand, sandbox/gate_sockets.h) and lets the call go on. What was read decides nothing but where to
// listen: the program may change it meanwhile, and then meets a port where nobody is. What is granted is decided at the
// gate, by where a connection really arrived. So there is nothing to race with, and a call that cannot be read simply
// goes on.
//
// Ownership and thread: owned by its Launch, the launcher's only thread. At most limits::kGateSparesMax doors,
// kSparesForRefusals where every permission names its port.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

class Doorbell {
 public:
  struct Door {
    std::uint16_t port = 0;
    UniqueFd listener;
    UniqueFd datagrams;
  };

  // `spares` are pairs of a TCP and a UDP socket that are bound to nothing; `open` has its doors already.
  Doorbell(std::vector<UniqueFd> spares, const std::vector<GatePort>& open);

  // The door to open before `notification` goes on; nothing where it is open, cannot be read, or none is left.
  std::optional<Door> ring(const seccomp_notif& notification);

  // Whether some port stayed shut because all spare sockets were used up; there were pairs for `doors_max` of them.
  bool is_used_up() const { return is_used_up_; }
  std::size_t doors_max() const { return doors_max_; }

 private:
  std::vector<UniqueFd> spares_;
  std::set<std::uint16_t> open_;
  std::size_t doors_max_;
  bool is_used_up_ = false;
};

}  // namespace liongate::sandbox
