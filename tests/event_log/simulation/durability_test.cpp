// Goal: each durability mode of a call (docs/event-log.md) keeps what it promises under a power cut at the worst
// moment, and is broken here as far as it may be broken. Method: the events of one call, as the dispatcher writes them
// in that mode, on a disk that loses what was not synced; many seeds, because what a power cut takes is chance.
#include <catch2/catch.hpp>

#include "kernel/event_log/event_log.h"
#include "tests/event_log/simulation/faulty_disk.h"

using namespace liongate;
using namespace liongate::event_log;
using namespace liongate::simulation;

namespace {

constexpr std::uint64_t kSeeds = 200;
constexpr std::int64_t kMsNs = 1'000'000;

class StillClock final : public Clock {
 public:
  std::int64_t wall_ns() const override { return 1; }
  MonotonicTime now() const override { return {}; }
};

// A daemon's log with one durable event in it, on a disk of its own.
struct Machine {
  explicit Machine(std::uint64_t seed) : random(seed), fibers(random, "durability, seed " + std::to_string(seed)) {
    open();
    append("DaemonStarted", SyncClass::kNow);
    wait_durable(1);
  }
  ~Machine() {
    if (log) (void)log->close();
  }

  void open() {
    mount = std::make_shared<Mount>(disk, FaultPlan{});
    Handlers handlers;
    handlers.on_durable = [this](EventSeq seq) {
      durable = seq;
      fibers.wake_all(waiting);
    };
    log = EventLog::open_on(mount, {.folder = "", .segment_bytes = 16 * 1024}, handlers, clock).value();
  }
  EventSeq append(const char* type, SyncClass sync) {
    v1::Event event;
    event.set_type(type);
    return log->append(event, sync, RecordUse::kTerminal).value();
  }
  void wait_durable(EventSeq seq) {
    while (durable < seq) (void)fibers.wait(waiting, std::nullopt);
  }
  // What the next start finds behind DaemonStarted.
  std::vector<std::string> after_power_cut() {
    mount->crash(FaultPlan::Crash::kPowerCut);
    log.reset();
    open();
    const auto reader = log->read(1).value();
    std::vector<std::string> types;
    v1::Event event;
    while (reader->next(event).value()) types.push_back(event.type());
    return types;
  }

  Random random;
  Fibers fibers;
  Trace trace{false};
  std::shared_ptr<FaultyDisk> disk = std::make_shared<FaultyDisk>(trace);
  std::shared_ptr<Mount> mount;
  StillClock clock;
  EventSeq durable = 0;
  Fibers::Queue waiting;
  std::unique_ptr<EventLog> log;
};

using Types = std::vector<std::string>;
const Types kNothing;
const Types kBegun{"PluginInvoked"};
const Types kWhole{"PluginInvoked", "PluginResult"};

// How often each outcome came.
struct Tally {
  std::uint64_t nothing = 0, begun = 0, whole = 0;

  void count(const Types& types) {
    if (types == kNothing) ++nothing;
    if (types == kBegun) ++begun;
    if (types == kWhole) ++whole;
  }
  std::uint64_t all() const { return nothing + begun + whole; }
};

}  // namespace

TEST_CASE("durable: a reply means that both events are kept; without one the call may have left no trace") {
  Tally replied, cut_before;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine answered(seed);
    answered.append("PluginInvoked", SyncClass::kEventually);
    answered.wait_durable(answered.append("PluginResult", SyncClass::kNow));
    replied.count(answered.after_power_cut());
  }
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine cut(seed);
    cut.append("PluginInvoked", SyncClass::kEventually);
    // The plugin ran, the outcome is queued, and the power goes at some moment before the reply.
    cut.append("PluginResult", SyncClass::kNow);
    for (std::uint64_t steps = cut.random.below(6); steps > 0 && cut.durable < 3; --steps) cut.fibers.pause();
    if (cut.durable < 3) cut_before.count(cut.after_power_cut());
  }
  CHECK(replied.whole == kSeeds);
  CHECK(cut_before.nothing > 0);
}

TEST_CASE("before_run: what the plugin saw is in the log, whatever becomes of its result") {
  Tally tally;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.wait_durable(machine.append("PluginInvoked", SyncClass::kNow));
    // Only now the plugin sees the call.
    machine.append("PluginResult", SyncClass::kNow);
    tally.count(machine.after_power_cut());
  }
  CHECK(tally.nothing == 0);
  CHECK(tally.begun > 0);
  CHECK(tally.all() == kSeeds);
}

TEST_CASE("batch: a power cut right after the reply may take it, one a moment later may not") {
  Tally at_once, later;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.append("PluginInvoked", SyncClass::kBatch);
    machine.append("PluginResult", SyncClass::kBatch);  // and the reply is sent
    at_once.count(machine.after_power_cut());
  }
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.append("PluginInvoked", SyncClass::kBatch);
    const EventSeq last = machine.append("PluginResult", SyncClass::kBatch);
    const std::int64_t begin = machine.fibers.now_ns();
    machine.wait_durable(last);
    // The writer dozes for kLogBatchDelayMs at most, twice where it had just begun to; the disk costs no time here.
    CHECK(machine.fibers.now_ns() - begin <= 2 * limits::kLogBatchDelayMs * kMsNs + kMsNs);
    later.count(machine.after_power_cut());
  }
  CHECK(at_once.nothing > 0);
  CHECK(later.whole == kSeeds);
}

TEST_CASE("async: for a second, or until somebody else's sync or the seal, a power cut may take everything") {
  Tally soon_after, long_after, after_another, after_close;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.append("PluginInvoked", SyncClass::kEventually);
    machine.append("PluginResult", SyncClass::kEventually);
    machine.fibers.sleep(limits::kLogSyncDelayMs / 2 * kMsNs);
    soon_after.count(machine.after_power_cut());
  }
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.append("PluginInvoked", SyncClass::kEventually);
    machine.append("PluginResult", SyncClass::kEventually);
    // The writer dozes before it writes, and the second begins then; the disk costs no time here.
    machine.fibers.sleep((limits::kLogSyncDelayMs + 3 * limits::kLogBatchDelayMs) * kMsNs);
    long_after.count(machine.after_power_cut());
  }
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.append("PluginInvoked", SyncClass::kEventually);
    machine.append("PluginResult", SyncClass::kEventually);
    machine.wait_durable(machine.append("PluginLoaded", SyncClass::kNow));
    Types types = machine.after_power_cut();
    REQUIRE_FALSE(types.empty());
    CHECK(types.back() == "PluginLoaded");
    types.pop_back();
    after_another.count(types);
  }
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Machine machine(seed);
    machine.append("PluginInvoked", SyncClass::kEventually);
    machine.append("PluginResult", SyncClass::kEventually);
    REQUIRE(machine.log->close().has_value());
    after_close.count(machine.after_power_cut());
  }
  CHECK(soon_after.nothing > 0);
  CHECK(soon_after.all() == kSeeds);
  CHECK(long_after.whole == kSeeds);
  CHECK(after_another.whole == kSeeds);
  CHECK(after_close.whole == kSeeds);
}
