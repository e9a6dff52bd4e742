// Threads that take turns: each is a fiber on a stack of its own, one runs at a time, and which one runs next, and
// whether a waiting one times out first, is drawn from the history's seed. Time passes only where somebody waits.
//
// So a history of several "threads" is one sequence of steps that its seed determines, data races apart (which are
// ThreadSanitizer's to find, on the real threads).
//
// Ownership and thread: one Fibers a history, made and used on one real thread; `current` is that thread's.
// Errors: when every fiber waits without a deadline, or the history does not end, the process says which seed did it
// and aborts: there is no stack left that could be unwound in order.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tests/event_log/simulation/random.h"

namespace liongate::simulation {

class Fibers {
 public:
  using Id = std::size_t;
  using Queue = std::vector<Id>;  // of those who wait for one thing, in the order of their coming

  // The caller becomes fiber 0. `name` is said when the process must abort.
  Fibers(Random& random, std::string name);
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;
  static Fibers& current();

  Id spawn(std::function<void()> body);
  void join(Id id);
  // A place where another fiber may go on instead; most of them are passed without a change.
  void pause();
  // Waits in `queue` until woken, or until `deadline_ns`; returns whether it was woken.
  bool wait(Queue& queue, std::optional<std::int64_t> deadline_ns);
  void wake_one(Queue& queue);
  void wake_all(Queue& queue);
  void sleep(std::int64_t ns);

  std::int64_t now_ns() const { return now_ns_; }
  Random& random() { return random_; }
  std::uint64_t switches() const { return switches_; }

 private:
  struct Stack;
  enum class State : std::uint8_t { kReady, kWaiting, kDone };
  struct Fiber {
    ucontext_t context{};
    std::unique_ptr<Stack> stack;  // none for fiber 0
    std::function<void()> body;
    State state = State::kReady;
    Queue* queue = nullptr;  // it waits in
    std::optional<std::int64_t> deadline_ns;
    bool woken = false;
    Queue joiners;
    void* fake_stack = nullptr;  // AddressSanitizer's
    const void* stack_bottom = nullptr;
    std::size_t stack_bytes = 0;
  };

  static void enter();
  void run_other();
  Id choose();
  std::optional<Id> next_to_time_out() const;
  void time_out(Id id);
  void switch_to(Id id);
  void begin_switch(Fiber& from, const Fiber& to);
  void end_switch(Fiber& to);
  [[noreturn]] void give_up(const char* why) const;

  Random& random_;
  const std::string name_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Id running_ = 0;
  Id previous_ = 0;
  std::int64_t now_ns_ = 0;
  std::uint64_t switches_ = 0;
  std::uint64_t pauses_ = 0;
};

}  // namespace liongate::simulation
