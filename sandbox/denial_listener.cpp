#include "sandbox/denial_listener.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kernel/base/limits.h"
#include "sandbox/bpf_evaluator.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/syscall_arguments.h"

namespace liongate::sandbox {
namespace {

// A newer kernel may write a longer notification than we know.
std::size_t notification_bytes() {
  static const std::size_t bytes = [] {
    seccomp_notif_sizes sizes{};
    const bool known = ::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0;
    return std::max<std::size_t>(known ? sizes.seccomp_notif : 0, sizeof(seccomp_notif));
  }();
  return bytes;
}

std::uint32_t answer_of(Permissions permissions, const seccomp_data& call) {
  static std::map<Permissions, std::vector<sock_filter>> filters;
  auto [entry, missing] = filters.try_emplace(permissions);
  if (missing) entry->second = filter_for(permissions).instructions;
  return evaluate_filter(entry->second, call).value_or(denied_with(EPERM));
}

constexpr int kGoesOn = 0;  // in place of an errno: the call is no denial

int errno_of(std::uint32_t answer) {
  const bool says = (answer & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF;
  return says ? static_cast<int>(answer & SECCOMP_RET_DATA) : EPERM;
}

// The permission with which the same call would pass; empty when none helps.
std::string permission_for(Permissions permissions, const seccomp_data& call) {
  permissions.paths = Paths::kUnseen;
  const auto passes = [&call](Permissions wider) {
    const std::uint32_t answer = answer_of(wider, call);
    return answer == SECCOMP_RET_ALLOW || answer == kRingsDoorbell;
  };
  Permissions with_process = permissions;
  with_process.process = Grantable::kGranted;
  if (passes(with_process)) return "process";
  Permissions with_jit = permissions;
  with_jit.jit = Grantable::kGranted;
  if (passes(with_jit)) return "jit";
  Permissions with_network = permissions;
  with_network.network = Grantable::kGranted;
  return passes(with_network) ? "network" : "";
}

// What glibc asks by itself whenever it looks for a name: the cache of the name service, and which addresses the host
// has. It does without either, and no program meant anything by it: refused as every socket is, and not worth an event.
bool is_question_of_the_c_library(const seccomp_data& call) {
  if (call.nr != SYS_socket || call.args[2] != 0) return false;
  return (call.args[0] == AF_UNIX && call.args[1] == (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)) ||
         (call.args[0] == AF_NETLINK && call.args[1] == (SOCK_RAW | SOCK_CLOEXEC));
}

std::string arguments_of(const seccomp_data& call) {
  std::string text;
  for (const std::uint8_t index : deciding_arguments(static_cast<std::uint32_t>(call.nr))) {
    char one[32];
    std::snprintf(one, sizeof one, "%sarg%u=0x%llx", text.empty() ? "" : ", ", index,
                  static_cast<unsigned long long>(call.args[index]));
    text += one;
  }
  return text;
}

}  // namespace

bool DenialBudget::take(SteadyTime now) {
  if (now >= slice_end_) {
    slice_end_ = now + kDenialSlice;
    used_ = 0;
  }
  return ++used_ <= per_slice_max_;
}

// After the listener was readable this does not wait: a call that was interrupted meanwhile leaves its turn behind,
// which answers ENOENT.
bool DenialListener::receive(seccomp_notif& notification) {
  alignas(seccomp_notif) std::array<std::byte, 512> bytes{};
  if (notification_bytes() > bytes.size() || ::ioctl(fd(), SECCOMP_IOCTL_NOTIF_RECV, bytes.data()) != 0) {
    ++vanished_;
    return false;
  }
  std::memcpy(&notification, bytes.data(), sizeof notification);
  if (received_ == 0) first_id_ = notification.id;
  ++received_;
  // Ids are given in order, one a notification: those that are missing were interrupted before we took them.
  interrupted_ = notification.id - first_id_ + 1 - received_;
  return true;
}

void DenialListener::answer(std::uint64_t notification_id, int sys_errno) const {
  seccomp_notif_resp response{};
  response.id = notification_id;
  response.error = -sys_errno;
  ::ioctl(fd(), SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: the caller was killed meanwhile
}

DenialListener::Window& DenialListener::window_of(const seccomp_data& call) {
  const auto number = static_cast<std::uint32_t>(call.nr);
  Kind kind{number, {}};
  for (const std::uint8_t index : deciding_arguments(number)) {
    kind.second.push_back(static_cast<std::uint32_t>(call.args[index]));
  }
  const auto found = windows_.find(kind);
  if (found != windows_.end()) return found->second;
  if (windows_.size() >= kDenialKindsMax) kind.second.clear();
  return windows_[kind];
}

// A program that paused for as long as the last window lasted begins anew.
void DenialListener::open(Window& window, SteadyTime now) {
  const bool goes_on = now < window.end + window.length;
  window.length = goes_on ? std::min(2 * window.length, kDenialWindowMax) : kDenialWindow;
  window.end = now + window.length;
}

std::optional<Denied> DenialListener::take(SteadyTime now, DenialBudget& of_all, MayReport may_report) {
  seccomp_notif notification{};
  if (!receive(notification)) return std::nullopt;
  const seccomp_data& call = notification.data;
  const bool out_of_band = call.nr == SYS_sendto && (call.args[3] & MSG_OOB) != 0;
  std::uint32_t filter_answer = answer_of(permissions_, call);
  if (filter_answer == kShowsPath) {
    Permissions unseen = permissions_;
    unseen.paths = Paths::kUnseen;
    filter_answer = answer_of(unseen, call);
    if (filter_answer == SECCOMP_RET_ALLOW) return take_path(notification, may_report);
  }
  if (filter_answer == kRingsDoorbell && !out_of_band) return take_ring(notification, now, of_all);
  const int answer_errno = filter_answer == kRingsDoorbell ? EPERM : errno_of(filter_answer);
  const auto answer_in_time = [&] {
    if (const bool in_time = budget_.take(now); of_all.take(now) && in_time) {
      answer(notification.id, answer_errno);
    } else {
      if (delayed_.empty()) delayed_until_ = now + kDenialSlice;
      delayed_[notification.id] = answer_errno;
    }
  };
  if (is_question_of_the_c_library(call)) {
    answer_in_time();
    return std::nullopt;
  }
  Window& window = window_of(call);
  const bool is_first = now >= window.end && window.denial_id == 0 && window.count == 0;
  if (is_first && may_report == MayReport::kYes) {
    open(window, now);
    window.denial_id = notification.id;
    window.waiting.push_back(notification.id);
    window.answer_errno = answer_errno;
    Denied denied = describe(call, answer_errno);
    denied.denial_id = notification.id;
    return denied;
  }
  if (is_first) open(window, now);
  ++window.count;
  window.sample = call;
  window.answer_errno = answer_errno;
  if (window.denial_id != 0) {
    window.waiting.push_back(notification.id);
  } else {
    answer_in_time();
  }
  return std::nullopt;
}

void DenialListener::let_go_on(std::uint64_t notification_id) const {
  seccomp_notif_resp response{};
  response.id = notification_id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(fd(), SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: the caller was killed meanwhile
}

// The door is open before the call goes on, so that it finds somebody there.
std::optional<Denied> DenialListener::take_ring(const seccomp_notif& notification, SteadyTime now,
                                                DenialBudget& of_all) {
  if (doorbell_) door_ = doorbell_->ring(notification);
  if (const bool in_time = budget_.take(now); of_all.take(now) && in_time) {
    let_go_on(notification.id);
  } else {
    if (delayed_.empty()) delayed_until_ = now + kDenialSlice;
    delayed_[notification.id] = kGoesOn;
  }
  if (!doorbell_ || !doorbell_->is_used_up() || std::exchange(has_told_used_up_, true)) return std::nullopt;
  Denied denied = describe(notification.data, ECONNREFUSED);
  denied.rule = "comes to more than " + std::to_string(doorbell_->doors_max()) + " ports that no permission names";
  denied.permission.clear();
  return denied;
}

// The numbers among the arguments cannot change any more, and they are all that the filter would have looked at.
std::optional<Denied> DenialListener::take_path(const seccomp_notif& notification, MayReport may_report) {
  const bool looks = path_watch_ && may_report == MayReport::kYes;
  const auto missing = looks ? path_watch_->look(notification) : std::nullopt;
  // Whoever waits still was who was looked at; else its number may have been another's by then.
  const bool still_waits = ::ioctl(fd(), SECCOMP_IOCTL_NOTIF_ID_VALID, &notification.id) == 0;
  let_go_on(notification.id);
  if (!missing || !still_waits) return std::nullopt;
  Denied denied = describe(notification.data, ENOENT);
  denied.rule = "learn mode: it is not in the sandbox";
  denied.permission = missing->permission;
  denied.arguments = missing->path;
  return denied;
}

void DenialListener::on_recorded(std::uint64_t denial_id) {
  for (auto& [kind, window] : windows_) {
    if (window.denial_id != denial_id) continue;
    for (const std::uint64_t id : window.waiting) answer(id, window.answer_errno);
    window.waiting.clear();
    window.denial_id = 0;
  }
}

std::optional<SteadyTime> DenialListener::deadline() const {
  std::optional<SteadyTime> nearest;
  if (!delayed_.empty()) nearest = delayed_until_;
  for (const auto& [kind, window] : windows_) {
    if (window.count > 0) nearest = nearest ? std::min(*nearest, window.end) : window.end;
  }
  return nearest;
}

std::vector<Denied> DenialListener::expire(SteadyTime now, MayReport may_report) {
  if (!delayed_.empty() && now >= delayed_until_) {
    for (const auto& [id, sys_errno] : delayed_) {
      if (sys_errno == kGoesOn) {
        let_go_on(id);
      } else {
        answer(id, sys_errno);
      }
    }
    delayed_.clear();
  }
  std::vector<Denied> counted;
  for (auto& [kind, window] : windows_) {
    if (window.count == 0 || now < window.end) continue;
    open(window, now);
    if (may_report == MayReport::kYes) counted.push_back(describe_counted(window));
  }
  return counted;
}

std::vector<Denied> DenialListener::finish() {
  std::vector<Denied> counted;
  for (auto& [kind, window] : windows_) {
    if (window.count > 0) counted.push_back(describe_counted(window));
  }
  return counted;
}

Denied DenialListener::describe_counted(Window& window) const {
  Denied denied = describe(window.sample, window.answer_errno);
  denied.count = std::exchange(window.count, 0);
  return denied;
}

Denied DenialListener::describe(const seccomp_data& call, int answer_errno) const {
  Denied denied;
  denied.launch_id = launch_id_;
  denied.answer_errno = answer_errno;
  denied.arguments = arguments_of(call);
  denied.permission = permission_for(permissions_, call);
  const CallTraits* const traits = find_call(static_cast<std::uint32_t>(call.nr));
  denied.system_call = traits != nullptr ? std::string(traits->name) : "number " + std::to_string(call.nr);
  if (traits != nullptr) denied.rule = traits->reason;
  return denied;
}

}  // namespace liongate::sandbox
