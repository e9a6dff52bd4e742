// Answers the system calls that one sandbox's filter denies, and decides which of them are reported.
//
// A denied call waits in the kernel until it is answered here: always with the errno that the filter carries, never by
// letting it go on, and without a look into the plugin's memory. So there is nothing to race with. (Calls that ring the
// doorbell, or that learn mode looks at, are no denials; what doorbell.h and path_watch.h say of them holds.)
//
// What is reported. The first denial of its kind is, and its caller waits until DenialRecorded: the event is in the log
// before the plugin knows. A kind is a system call with the arguments that decide (without them, once there are
// kDenialKindsMax). Within a window from then on, more of the same are answered at once and counted; the count is one
// report when the window ends, or when the sandbox does. Windows begin with kDenialWindow and double, to
// kDenialWindowMax, while the program goes on.
//
// Not reported at all: two sockets that glibc asks for by itself before every name it looks up.
//
// How much a plugin can ask of us. It cannot wait in our place: one notification a turn of the loop is taken. Beyond
// kDenialsPerSliceMax in one slice (all sandboxes together: kDenialsPerSliceMaxOfAll) answers wait for the slice's end,
// which makes whoever floods us sleep. They are taken all the same: a call that was taken is not begun again by
// signals. A program that interrupts its own denied calls before they are taken counts up a number in the kernel, and
// were it to wrap, taking would wait for ever: kInterruptedDenialsMax is far below (some thousands a second were seen).
//
// Ownership and thread: owned by its Launch, the launcher's only thread. Owns the listener.
#pragma once

#include <linux/seccomp.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/doorbell.h"
#include "sandbox/launch_protocol.h"
#include "sandbox/path_watch.h"
#include "sandbox/syscall_policy.h"

namespace liongate::sandbox {

using SteadyTime = std::chrono::steady_clock::time_point;

inline constexpr std::chrono::seconds kDenialWindow{60};
inline constexpr std::chrono::seconds kDenialWindowMax{3'600};
inline constexpr std::size_t kDenialKindsMax = 64;
inline constexpr std::chrono::milliseconds kDenialSlice{100};
inline constexpr std::uint32_t kDenialsPerSliceMax = 100;
inline constexpr std::uint32_t kDenialsPerSliceMaxOfAll = 1'000;
inline constexpr std::uint64_t kInterruptedDenialsMax = 1ULL << 24;

// Counts within slices of time.
class DenialBudget {
 public:
  explicit DenialBudget(std::uint32_t per_slice_max) : per_slice_max_(per_slice_max) {}
  // False when this slice's are used up.
  bool take(SteadyTime now);
  SteadyTime slice_end() const { return slice_end_; }

 private:
  std::uint32_t per_slice_max_;
  std::uint32_t used_ = 0;
  SteadyTime slice_end_{};
};

class DenialListener {
 public:
  enum class MayReport { kNo, kYes };

  DenialListener(UniqueFd listener, std::uint64_t launch_id, Permissions permissions,
                 std::uint64_t interrupted_max = kInterruptedDenialsMax)
      : listener_(std::move(listener)),
        launch_id_(launch_id),
        permissions_(permissions),
        interrupted_max_(interrupted_max) {}

  int fd() const { return listener_.get(); }

  // Calls that ring it go on once it has heard of them; without it they just go on.
  void answer_doorbell(Doorbell doorbell) { doorbell_ = std::move(doorbell); }
  // Learn mode: what its calls look for in vain is reported, without a bound on their rate.
  void watch_paths(PathWatch watch) { path_watch_ = std::move(watch); }
  // What the last take() opened.
  std::optional<Doorbell::Door> take_door() { return std::exchange(door_, std::nullopt); }

  // Takes the notification that made the listener readable; never waits. What it returns is to be sent.
  std::optional<Denied> take(SteadyTime now, DenialBudget& of_all, MayReport may_report);

  // The report with that id is in the log.
  void on_recorded(std::uint64_t denial_id);

  // When expire() has something to do.
  std::optional<SteadyTime> deadline() const;
  // Gives the answers that waited for the end of a slice; the counts of windows that ended.
  std::vector<Denied> expire(SteadyTime now, MayReport may_report);

  // What was counted and not yet told; the sandbox has ended.
  std::vector<Denied> finish();

  // The program interrupts its denied calls on purpose: the sandbox is to be killed.
  bool is_abused() const { return interrupted_ + vanished_ > interrupted_max_; }

 private:
  // A call number and the low halves of what decides.
  using Kind = std::pair<std::uint32_t, std::vector<std::uint32_t>>;

  struct Window {
    SteadyTime end{};
    std::chrono::seconds length{0};
    std::uint64_t count = 0;             // not yet told
    std::uint64_t denial_id = 0;         // of the report under way
    std::vector<std::uint64_t> waiting;  // notifications that are answered when it is recorded
    int answer_errno = 0;
    seccomp_data sample{};  // the last of those counted
  };

  bool receive(seccomp_notif& notification);
  void answer(std::uint64_t notification_id, int sys_errno) const;
  Window& window_of(const seccomp_data& call);
  static void open(Window& window, SteadyTime now);
  Denied describe(const seccomp_data& call, int answer_errno) const;
  Denied describe_counted(Window& window) const;

  std::optional<Denied> take_ring(const seccomp_notif& notification, SteadyTime now, DenialBudget& of_all);
  std::optional<Denied> take_path(const seccomp_notif& notification, MayReport may_report);
  void let_go_on(std::uint64_t notification_id) const;

  UniqueFd listener_;
  std::uint64_t launch_id_;
  Permissions permissions_;
  std::optional<Doorbell> doorbell_;
  std::optional<Doorbell::Door> door_;
  std::optional<PathWatch> path_watch_;
  bool has_told_used_up_ = false;
  std::uint64_t interrupted_max_;
  std::map<Kind, Window> windows_;  // bounded by kDenialKindsMax and the table of calls
  DenialBudget budget_{kDenialsPerSliceMax};
  std::map<std::uint64_t, int> delayed_;  // notification and its errno: bounded by the sandbox's threads
  SteadyTime delayed_until_{};
  std::uint64_t first_id_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t interrupted_ = 0;  // as the gaps in the ids tell
  std::uint64_t vanished_ = 0;     // as we came too late for
};

}  // namespace liongate::sandbox
