#include "sandbox/report_queue.h"

#include <cerrno>

namespace liongate::sandbox {

Result<void> ReportQueue::send(const Report& report, std::vector<UniqueFd> descriptors) {
  if (packets_.size() >= kReportsQueuedMax) return make_error(Reason::kInternal, "the daemon reads no reports");
  LG_ASSIGN(std::vector<std::byte> packet, encode(report));
  packets_.push_back({std::move(packet), std::move(descriptors)});
  return flush();
}

Result<void> ReportQueue::flush() {
  while (!packets_.empty()) {
    std::vector<int> descriptors;
    for (const UniqueFd& fd : packets_.front().descriptors) descriptors.push_back(fd.get());
    if (auto sent = send_packet(socket_, packets_.front().bytes, descriptors); !sent) {
      if (sent.error().sys_errno == EAGAIN) return {};
      return std::move(sent).error();
    }
    packets_.pop_front();
  }
  return {};
}

}  // namespace liongate::sandbox
