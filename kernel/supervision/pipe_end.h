// Takes our end of a pipe into the event loop.
//
// Ownership and thread: `end` is consumed in any case; kernel thread.
// Errors: kInternal when the loop cannot watch it (no memory, too many watches): the launch fails, nobody else does.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>

#include "kernel/base/sys.h"

namespace liongate::supervision {

inline Result<void> watch_pipe_end(boost::asio::posix::stream_descriptor& descriptor, UniqueFd end) {
  LG_TRY(sys::set_nonblocking(end.get()));
  boost::system::error_code failed;
  descriptor.assign(end.get(), failed);
  if (failed) return make_errno_error(Reason::kInternal, "watch a pipe", failed.value());
  static_cast<void>(end.release());  // the descriptor closes it
  return {};
}

}  // namespace liongate::supervision
