#include "sandbox/network_spare.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

namespace liongate::sandbox {
namespace {

constexpr const char* kOwnNamespace = "/proc/self/ns/net";

// What the sandbox would set itself, were the namespace its own: low ports are nobody else's there.
bool open_low_ports() {
  const UniqueFd setting(::open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC));
  return setting.valid() && ::write(setting.get(), "0", 1) == 1;
}

}  // namespace

NetworkSpare::NetworkSpare(HostMode mode)
    : own_(mode == HostMode::kRootful ? ::open(kOwnNamespace, O_RDONLY | O_CLOEXEC) : -1) {
  // Who is root only in a user namespace of his own may leave the host's network but not come back to it.
  if (own_.valid() && !leave()) own_.reset();
}

bool NetworkSpare::prepare() {
  if (!is_wanted()) return true;
  if (::unshare(CLONE_NEWNET) != 0) {
    own_.reset();
    return true;
  }
  UniqueFd made(::open(kOwnNamespace, O_RDONLY | O_CLOEXEC));
  const bool is_ready = made.valid() && open_low_ports();
  if (!leave()) return false;
  if (is_ready) {
    spare_ = std::move(made);
  } else {
    own_.reset();
  }
  return true;
}

bool NetworkSpare::enter() {
  if (!spare_.valid()) return false;
  const bool entered = ::setns(spare_.get(), CLONE_NEWNET) == 0;
  spare_.reset();
  return entered;
}

bool NetworkSpare::leave() const {
  return ::setns(own_.get(), CLONE_NEWNET) == 0;
}

}  // namespace liongate::sandbox
