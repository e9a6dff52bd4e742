// The twin of kernel/event_log/runtime.h in a simulation: the same names, but threads are fibers that take turns by the
// history's seed, time is the history's, and what nobody may guess is drawn from the seed.
//
// Ownership and thread: only within a simulation::Fibers. No errors.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>

#include "kernel/base/assert.h"
#include "kernel/base/ids.h"
#include "tests/event_log/simulation/fibers.h"

namespace liongate::event_log::runtime {

class Mutex {
 public:
  void lock() {
    auto& fibers = simulation::Fibers::current();
    fibers.pause();
    while (held_) (void)fibers.wait(waiting_, std::nullopt);
    held_ = true;
  }
  void unlock() {
    LG_ASSERT(held_);
    held_ = false;
    simulation::Fibers::current().wake_one(waiting_);
  }

 private:
  bool held_ = false;
  simulation::Fibers::Queue waiting_;
};

struct SteadyClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<SteadyClock>;
  static constexpr bool is_steady = true;  // NOLINT(readability-identifier-naming): the standard's name
  static time_point now() { return time_point(duration(simulation::Fibers::current().now_ns())); }
};

class Condition {
 public:
  using Lock = std::unique_lock<Mutex>;

  void notify_one() { simulation::Fibers::current().wake_one(waiting_); }
  void notify_all() { simulation::Fibers::current().wake_all(waiting_); }

  void wait(Lock& lock) { (void)wait_until_ns(lock, std::nullopt); }
  template <typename Predicate>
  void wait(Lock& lock, Predicate predicate) {
    while (!predicate()) wait(lock);
  }
  std::cv_status wait_until(Lock& lock, SteadyClock::time_point deadline) {
    return wait_until_ns(lock, deadline.time_since_epoch().count()) ? std::cv_status::no_timeout
                                                                    : std::cv_status::timeout;
  }
  template <typename Rep, typename Period, typename Predicate>
  bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> wait, Predicate predicate) {
    const SteadyClock::time_point deadline = SteadyClock::now() + wait;
    while (!predicate()) {
      if (wait_until(lock, deadline) == std::cv_status::timeout) return predicate();
    }
    return true;
  }

 private:
  // Nobody else runs between the unlock and the wait, so that no notification is lost.
  bool wait_until_ns(Lock& lock, std::optional<std::int64_t> deadline_ns) {
    lock.unlock();
    const bool woken = simulation::Fibers::current().wait(waiting_, deadline_ns);
    lock.lock();
    return woken;
  }

  simulation::Fibers::Queue waiting_;
};

class Thread {
 public:
  Thread() = default;
  explicit Thread(std::function<void()> body)
      : id_(simulation::Fibers::current().spawn(std::move(body))), joinable_(true) {}
  bool joinable() const { return joinable_; }
  void join() {
    simulation::Fibers::current().join(id_);
    joinable_ = false;
  }

 private:
  simulation::Fibers::Id id_ = 0;
  bool joinable_ = false;
};

inline std::uint64_t random_salt() {
  return simulation::Fibers::current().random().next();
}

inline std::string new_node_uuid() {
  constexpr const char* kHex = "0123456789abcdef";
  std::string uuid = "00000000-0000-4000-8000-000000000000";
  auto& random = simulation::Fibers::current().random();
  for (std::size_t i = 24; i < uuid.size(); ++i) uuid[i] = kHex[random.below(16)];
  return uuid;
}

}  // namespace liongate::event_log::runtime
