// What a sandbox tells its launcher while it is built and when it ends: fixed-size records on a private socket.
//
// pid 1 writes: GateSockets (with the sockets beside it), StepFailed, ProgramStarted, ProgramEnded. pid 2 writes,
// before its exec: ReadyToExecute (with the listener of its filter beside it, if there is one), StepFailed. Both are
// our own code; the program itself never holds the socket (it closes at exec). Both sides are one binary, so a record
// is its bytes. The kernel stamps each with the sender's pid, which is how the launcher learns the host's pid of pid 2.
//
// Ownership and thread: SetupReporter borrows the socket, lives in the sandbox's pid 1 and, copied by fork, in pid 2.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/launch_protocol.h"
#include "sandbox/setup_step.h"

namespace liongate::sandbox {

// Mechanisms that depend on what this kernel and this launch gave; bits of SetupRecord::active.
enum class Gained : std::uint32_t {
  kProcHidden = 1U << 0,
  kProcPidsOnly = 1U << 1,
  kSessionKeyring = 1U << 2,
  kPrivateSettings = 1U << 3,
  kDenyWriteExecute = 1U << 4,
  kLandlock = 1U << 5,
  kPidNumbers = 1U << 6,
  kNoStoreBypass = 1U << 7,
  kStoreBypassHarmless = 1U << 8,
  kDenialReports = 1U << 9,
};

enum class RecordKind : std::uint32_t {
  kStepFailed = 1,
  kReadyToExecute,
  kProgramStarted,
  kProgramEnded,
  kGateSockets
};

struct SetupRecord {
  RecordKind kind;
  Step step;                                          // kStepFailed
  std::int32_t sys_errno;                             // kStepFailed
  std::int32_t wait_status;                           // kProgramEnded
  std::uint32_t active;                               // kReadyToExecute: bits of Gained
  std::uint64_t sent_at_us;                           // CLOCK_MONOTONIC
  std::array<std::uint32_t, kStepCount> duration_us;  // kReadyToExecute
  std::array<char, 256> argument;                     // kStepFailed, null-terminated
};

struct ReceivedRecord {
  SetupRecord record;
  pid_t sender_pid = -1;  // in the launcher's pid namespace
  std::vector<UniqueFd>
      descriptors;  // kReadyToExecute: the listener of the filter, if there is one; kGateSockets: they
};

// Takes the next record without waiting. Nothing when there is none now or ever again.
std::optional<ReceivedRecord> receive_record(int socket);

// Asks the kernel to stamp what arrives on `socket`; called before the sandbox exists.
bool stamp_senders(int socket);

// Sums the time of each step; one step runs at a time.
class StepClock {
 public:
  void begin(Step step);
  void end();
  Step current() const { return current_; }
  const std::array<std::uint32_t, kStepCount>& durations_us() const { return duration_us_; }

 private:
  Step current_ = Step::kCheckRequest;
  std::uint64_t begun_at_us_ = 0;
  std::array<std::uint32_t, kStepCount> duration_us_{};
};

// The voice of the process being set up: names the step it is at and ends the process when a step fails.
class SetupReporter {
 public:
  explicit SetupReporter(int socket) : socket_(socket) {}

  int socket() const { return socket_; }
  void move_to(int socket) { socket_ = socket; }
  void begin(Step step) { clock_.begin(step); }
  Step current() const { return clock_.current(); }
  void gained(Gained mechanism) { active_ |= static_cast<std::uint32_t>(mechanism); }

  // Ends the process, reporting errno and `argument`, unless `done`.
  void require(bool done, std::string_view argument = {});
  [[noreturn]] void fail(int sys_errno, std::string_view argument);

  // `sockets` are borrowed; what sandbox/gate_sockets.h makes.
  void gate_sockets(const std::vector<UniqueFd>& sockets);
  // `listener` is borrowed.
  void ready_to_execute(const UniqueFd& listener);
  void program_started();
  void program_ended(int wait_status);

 private:
  void send(SetupRecord& record) const;
  void send_with(SetupRecord& record, const std::vector<int>& descriptors) const;

  int socket_;
  std::uint32_t active_ = 0;
  StepClock clock_;
};

}  // namespace liongate::sandbox
