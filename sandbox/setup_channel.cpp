#include "sandbox/setup_channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "kernel/base/limits.h"

namespace liongate::sandbox {
namespace {

constexpr int kSetupFailedExitCode = 127;
constexpr std::size_t kDescriptorsMax = 2 * (limits::kGatePortsMax + limits::kGateSparesMax);
constexpr std::size_t kDescriptorsBytes = CMSG_SPACE(sizeof(int) * kDescriptorsMax);

std::uint64_t now_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

}  // namespace

std::optional<ReceivedRecord> receive_record(int socket) {
  ReceivedRecord received;
  received.record = {};
  iovec part{&received.record, sizeof received.record};
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(ucred)) + kDescriptorsBytes];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof received.record)) return std::nullopt;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
      received.sender_pid = sender.pid;
    } else if (header->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t index = 0; index < count; ++index) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(header) + index * sizeof descriptor, sizeof descriptor);
        received.descriptors.emplace_back(descriptor);
      }
    }
  }
  received.record.argument.back() = '\0';
  return received;
}

bool stamp_senders(int socket) {
  const int yes = 1;
  return ::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) == 0;
}

void StepClock::begin(Step step) {
  const std::uint64_t now = now_us();
  if (begun_at_us_ != 0)
    duration_us_[static_cast<std::size_t>(current_)] += static_cast<std::uint32_t>(now - begun_at_us_);
  current_ = step;
  begun_at_us_ = now;
}

void StepClock::end() {
  begin(current_);
  begun_at_us_ = 0;
}

void SetupReporter::require(bool done, std::string_view argument) {
  if (!done) fail(errno, argument);
}

void SetupReporter::fail(int sys_errno, std::string_view argument) {
  SetupRecord record{};
  record.kind = RecordKind::kStepFailed;
  record.step = clock_.current();
  record.sys_errno = sys_errno;
  const std::size_t length = std::min(argument.size(), record.argument.size() - 1);
  std::copy_n(argument.data(), length, record.argument.data());
  send(record);
  ::_exit(kSetupFailedExitCode);
}

void SetupReporter::ready_to_execute(const UniqueFd& listener) {
  clock_.begin(clock_.current());
  SetupRecord record{};
  record.kind = RecordKind::kReadyToExecute;
  record.active = active_;
  record.duration_us = clock_.durations_us();
  if (listener.valid()) {
    send_with(record, {listener.get()});
  } else {
    send(record);
  }
}

void SetupReporter::gate_sockets(const std::vector<UniqueFd>& sockets) {
  SetupRecord record{};
  record.kind = RecordKind::kGateSockets;
  std::vector<int> numbers;
  for (const UniqueFd& socket : sockets) numbers.push_back(socket.get());
  send_with(record, numbers);
}

void SetupReporter::program_started() {
  SetupRecord record{};
  record.kind = RecordKind::kProgramStarted;
  send(record);
}

void SetupReporter::program_ended(int wait_status) {
  SetupRecord record{};
  record.kind = RecordKind::kProgramEnded;
  record.wait_status = wait_status;
  send(record);
}

void SetupReporter::send_with(SetupRecord& record, const std::vector<int>& descriptors) const {
  record.sent_at_us = now_us();
  iovec part{&record, sizeof record};
  alignas(cmsghdr) std::byte control[kDescriptorsBytes]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  const std::size_t bytes = descriptors.size() * sizeof(int);
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  // A filter whose listener nobody holds would let nothing denied be told from what does not exist.
  if (sent < 0) ::_exit(kSetupFailedExitCode);
}

void SetupReporter::send(SetupRecord& record) const {
  record.sent_at_us = now_us();
  // A launcher that is gone takes this process with it; there is nobody else to tell. A plain write, because the
  // filter of pid 2 is already loaded when its exec fails, and allows no sending on sockets by mistake.
  ssize_t written = 0;
  do {
    written = ::write(socket_, &record, sizeof record);
  } while (written < 0 && errno == EINTR);
}

}  // namespace liongate::sandbox
