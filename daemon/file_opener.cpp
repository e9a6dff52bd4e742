#include "daemon/file_opener.h"

#include <cerrno>

#include "sandbox/plain_open.h"

namespace liongate::daemon {

Result<UniqueFd> FileOpener::open(const std::string& path, sandbox::OpenKind kind) {
  UniqueFd own;
  const int own_errno = sandbox::open_plainly(path, kind, own);
  if (own_errno == 0) return own;
  if (own_errno != EACCES && own_errno != EPERM) return make_errno_error(Reason::kInternal, "open " + path, own_errno);
  const std::uint64_t request = ++last_request_;
  LG_TRY(sandbox::send_request(socket_.get(), sandbox::OpenRequest{request, path, kind}, {}));
  for (;;) {
    LG_ASSIGN(sandbox::ReceivedReport received, sandbox::receive_report(socket_.get()));
    const auto* opened = std::get_if<sandbox::Opened>(&received.report);
    if (opened == nullptr || opened->request_id != request) continue;  // an answer to a request that was given up
    if (opened->open_errno != 0) return make_errno_error(Reason::kInternal, "open " + path, opened->open_errno);
    if (received.descriptors.empty()) return make_errno_error(Reason::kInternal, "open " + path, EIO);
    return std::move(received.descriptors.front());
  }
}

}  // namespace liongate::daemon
