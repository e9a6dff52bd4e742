// A network namespace made ahead: empty, used by one sandbox, and never by a second one.
//
// Making one is a third of a start (0.35 ms). As root the launcher makes it while it has nothing else to do, and the
// next sandbox is cloned into it. It then belongs to the launcher's user namespace, not to the sandbox's: not even with
// all capabilities of its own could a plugin change anything in it. Rootless the kernel allows none of this, and every
// sandbox makes its own.
//
// Ownership and thread: the launcher's only thread, which is in the spare between enter() and leave() and nowhere else.
#pragma once

#include "kernel/base/unique_fd.h"
#include "sandbox/id_maps.h"

namespace liongate::sandbox {

class NetworkSpare {
 public:
  explicit NetworkSpare(HostMode mode);

  // Whether prepare() has something to do.
  bool is_wanted() const { return own_.valid() && !spare_.valid(); }

  // Makes the next one; where the host refuses, none will be wanted any more. False: the launcher could not come back
  // from it, and must end.
  bool prepare();

  // Enters the spare, which is used up by that; false where there is none. What is cloned then is in it.
  bool enter();

  // Comes back. False: the launcher must end.
  bool leave() const;

 private:
  UniqueFd own_;    // the launcher's own namespace; none where spares cannot be made
  UniqueFd spare_;  // closed at the clone, like all that is the launcher's
};

}  // namespace liongate::sandbox
