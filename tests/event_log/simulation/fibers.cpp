#include "tests/event_log/simulation/fibers.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "kernel/base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace liongate::simulation {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;
constexpr std::size_t kGuardBytes = 4096;
constexpr std::uint64_t kPausesMax = 4'000'000;  // a history has some thousands
constexpr std::uint64_t kChangeChance = 2;       // one in so many pauses asks who goes on
constexpr std::uint64_t kEarlyTimeoutChance = 24;
constexpr std::int64_t kEarlyTimeoutNs = 300'000'000;  // at most so long may a thread that could run be kept waiting
constexpr std::int64_t kStepNs = 50;

thread_local Fibers* current_fibers = nullptr;

}  // namespace

// Stacks are made once and used again by later histories. Below each lies a page that nobody may touch.
struct Fibers::Stack {
  std::byte* bytes;

  static std::vector<std::byte*>& pool() {
    static thread_local std::vector<std::byte*> stacks;
    return stacks;
  }
  Stack() {
    if (!pool().empty()) {
      bytes = pool().back();
      pool().pop_back();
      return;
    }
    void* const made = ::mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    LG_ASSERT(made != MAP_FAILED && ::mprotect(made, kGuardBytes, PROT_NONE) == 0);
    bytes = static_cast<std::byte*>(made) + kGuardBytes;
  }
  ~Stack() { pool().push_back(bytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
};

Fibers::Fibers(Random& random, std::string name) : random_(random), name_(std::move(name)) {
  LG_ASSERT(current_fibers == nullptr);
  current_fibers = this;
  fibers_.push_back(std::make_unique<Fiber>());
}

Fibers::~Fibers() {
  for (std::size_t id = 1; id < fibers_.size(); ++id) LG_ASSERT(fibers_[id]->state == State::kDone);
  current_fibers = nullptr;
}

Fibers& Fibers::current() {
  LG_ASSERT(current_fibers != nullptr);
  return *current_fibers;
}

void Fibers::give_up(const char* why) const {
  std::fprintf(stderr, "%s: %s\n", name_.c_str(), why);
  std::abort();
}

Fibers::Id Fibers::spawn(std::function<void()> body) {
  auto fiber = std::make_unique<Fiber>();
  fiber->stack = std::make_unique<Stack>();
  fiber->body = std::move(body);
  LG_ASSERT(::getcontext(&fiber->context) == 0);
  fiber->context.uc_stack.ss_sp = fiber->stack->bytes;
  fiber->context.uc_stack.ss_size = kStackBytes;
  fiber->context.uc_link = nullptr;
  fiber->stack_bottom = fiber->stack->bytes;
  fiber->stack_bytes = kStackBytes;
  ::makecontext(&fiber->context, &Fibers::enter, 0);
  fibers_.push_back(std::move(fiber));
  return fibers_.size() - 1;
}

void Fibers::enter() {
  Fibers& fibers = current();
  fibers.end_switch(*fibers.fibers_[fibers.running_]);
  Fiber& self = *fibers.fibers_[fibers.running_];
  self.body();
  self.body = nullptr;
  self.state = State::kDone;
  fibers.wake_all(self.joiners);
  fibers.run_other();
  LG_ASSERT(false);  // nobody chooses a fiber that is done
}

void Fibers::join(Id id) {
  while (fibers_[id]->state != State::kDone) (void)wait(fibers_[id]->joiners, std::nullopt);
  fibers_[id]->stack.reset();
}

void Fibers::pause() {
  if (++pauses_ > kPausesMax) give_up("the history does not end");
  now_ns_ += kStepNs;
  if (random_.one_in(kChangeChance)) run_other();
}

bool Fibers::wait(Queue& queue, std::optional<std::int64_t> deadline_ns) {
  if (++pauses_ > kPausesMax) give_up("the history does not end");
  Fiber& self = *fibers_[running_];
  self.state = State::kWaiting;
  self.queue = &queue;
  self.deadline_ns = deadline_ns;
  self.woken = false;
  queue.push_back(running_);
  run_other();
  return self.woken;
}

void Fibers::wake_one(Queue& queue) {
  if (queue.empty()) return;
  Fiber& fiber = *fibers_[queue.front()];
  queue.erase(queue.begin());
  fiber.state = State::kReady;
  fiber.queue = nullptr;
  fiber.woken = true;
}

void Fibers::wake_all(Queue& queue) {
  while (!queue.empty()) wake_one(queue);
}

void Fibers::sleep(std::int64_t ns) {
  Queue nobody;
  (void)wait(nobody, now_ns_ + ns);
}

std::optional<Fibers::Id> Fibers::next_to_time_out() const {
  std::optional<Id> earliest;
  for (Id id = 0; id < fibers_.size(); ++id) {
    const Fiber& fiber = *fibers_[id];
    if (fiber.state != State::kWaiting || !fiber.deadline_ns) continue;
    if (!earliest || *fiber.deadline_ns < *fibers_[*earliest]->deadline_ns) earliest = id;
  }
  return earliest;
}

void Fibers::time_out(Id id) {
  Fiber& fiber = *fibers_[id];
  now_ns_ = std::max(now_ns_, *fiber.deadline_ns);
  std::erase(*fiber.queue, id);
  fiber.queue = nullptr;
  fiber.state = State::kReady;
}

Fibers::Id Fibers::choose() {
  for (;;) {
    std::size_t ready = 0;
    for (const auto& fiber : fibers_) ready += fiber->state == State::kReady ? 1 : 0;
    // A timeout that fires although others could go on is a machine that was busy elsewhere.
    if (ready == 0 || random_.one_in(kEarlyTimeoutChance)) {
      const std::optional<Id> late = next_to_time_out();
      if (!late && ready == 0) give_up("deadlock: every thread waits for another");
      if (late && (ready == 0 || *fibers_[*late]->deadline_ns - now_ns_ < kEarlyTimeoutNs)) {
        time_out(*late);
        continue;
      }
    }
    std::uint64_t pick = random_.below(ready);
    for (Id id = 0; id < fibers_.size(); ++id) {
      if (fibers_[id]->state == State::kReady && pick-- == 0) return id;
    }
  }
}

void Fibers::run_other() {
  const Id next = choose();
  if (next != running_) switch_to(next);
}

void Fibers::switch_to(Id id) {
  ++switches_;
  Fiber& from = *fibers_[running_];
  Fiber& to = *fibers_[id];
  previous_ = running_;
  running_ = id;
  begin_switch(from, to);
  LG_ASSERT(::swapcontext(&from.context, &to.context) == 0);
  end_switch(from);
}

// AddressSanitizer must know which stack is in use.
void Fibers::begin_switch([[maybe_unused]] Fiber& from, [[maybe_unused]] const Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
  void** const keep = from.state == State::kDone ? nullptr : &from.fake_stack;
  __sanitizer_start_switch_fiber(keep, to.stack_bottom, to.stack_bytes);
#endif
}

void Fibers::end_switch([[maybe_unused]] Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
  Fiber& from = *fibers_[previous_];
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(to.fake_stack, &bottom, &bytes);
  if (!from.stack) {  // fiber 0 learns where its own stack lies when it is left
    from.stack_bottom = bottom;
    from.stack_bytes = bytes;
  }
#endif
}

}  // namespace liongate::simulation
