// Who writes to a plugin's frame pipe when the kernel thread does not: an observer's feed does, on a thread of its own.
//
// Ownership and thread: shared by the instance and whoever made it; called on the kernel thread, and must not wait.
#pragma once

#include <string>

namespace liongate::supervision {

class FrameOutlet {
 public:
  virtual ~FrameOutlet() = default;
  // Queues whole frames, length prefixes included. Beyond limits::kObserverControlBytesMax they are dropped: who does
  // not read will not answer.
  virtual void send(std::string frames) = 0;
  // Closes the pipe behind what is queued; no event is sent any more.
  virtual void finish() = 0;
};

}  // namespace liongate::supervision
