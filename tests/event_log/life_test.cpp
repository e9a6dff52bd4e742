// Goal: what was promised about acknowledgements, order, time, bounds, holds and retention. Method: real folders; a
// child process that is killed at random; a storage that fails where it is told to.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "kernel/event_log/storage.h"
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

class SettableClock final : public Clock {
 public:
  std::int64_t wall_ns() const override { return wall_ns_.load(); }
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  std::atomic<std::int64_t> wall_ns_{1'700'000'000'000'000'000};
};

// Appends until killed and writes each durable number to `pipe_fd`. Never returns.
[[noreturn]] void append_until_killed(const std::string& folder, int pipe_fd) {
  const SystemClock clock;
  const Handlers handlers{.on_durable =
                              [pipe_fd](EventSeq seq) {
                                if (::write(pipe_fd, &seq, sizeof seq) != sizeof seq) ::_exit(3);
                              },
                          .on_read_only = {},
                          .on_fatal = [](const Error&) { ::_exit(4); }};
  auto log = EventLog::open({.folder = folder, .segment_bytes = 64 * 1024}, handlers, clock);
  if (!log) ::_exit(5);
  for (;;) {
    v1::Event event = make_event((*log)->last_seq() + 1);
    const SyncClass sync = static_cast<SyncClass>((*log)->last_seq() % 3);
    if (!(*log)->append(event, sync, RecordUse::kNewWork)) std::this_thread::yield();
    if ((*log)->last_seq() % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

// One life of a child; returns the last number it acknowledged.
EventSeq live_and_be_killed(const std::string& folder, std::chrono::microseconds life) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) append_until_killed(folder, ends[1]);
  ::close(ends[1]);
  std::thread killer([&] {
    std::this_thread::sleep_for(life);
    ::kill(child, SIGKILL);
  });
  EventSeq acknowledged = 0;
  EventSeq seq = 0;
  while (::read(ends[0], &seq, sizeof seq) == static_cast<ssize_t>(sizeof seq)) acknowledged = seq;
  killer.join();
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  return acknowledged;
}

}  // namespace

TEST_CASE("every acknowledged event survives kill -9 at random moments", "[kill]") {
  constexpr int kKills = 40;
  const TemporaryFolder folder;
  std::mt19937 random(std::random_device{}());
  EventSeq acknowledged = 0;
  int torn = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const std::chrono::microseconds life(2'000 + random() % 40'000);
    acknowledged = std::max(acknowledged, live_and_be_killed(folder.path, life));
    const Verification verification = verify(folder.path).value();
    for (const Damage& damage : verification.damages) {
      INFO(damage.message);
      CHECK(damage.kind == DamageKind::kTornTail);
    }
    const EventSeq found = read_all(**read_offline(folder.path, 0));
    if (found < acknowledged) FAIL("acknowledged " << acknowledged << ", found " << found);
    LivingLog living({.folder = folder.path, .segment_bytes = 64 * 1024});
    CHECK(living.log->recovery().last_seq == found);
    torn += living.log->recovery().torn_tail ? 1 : 0;
    living.append_durable(1);
    acknowledged = living.log->last_seq();
  }
  CHECK(acknowledged > kKills);
  CHECK(verify(folder.path)->damages.empty());
}

TEST_CASE("each sync class keeps its promise and no more") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path});
  SECTION("now") {
    living.append_durable(1);
  }
  SECTION("batch: durable by itself within its time") {
    living.append(SyncClass::kBatch);
    CHECK(living.durable.wait(1));
  }
  SECTION("eventually: durable with the next that asks, and not to be read before") {
    living.append(SyncClass::kEventually);
    CHECK(read_all(**living.log->read(0)) == living.log->durable_seq());
    living.append(SyncClass::kNow);
    CHECK(living.durable.wait(2));
    CHECK(read_all(**living.log->read(0)) == 2);
  }
  SECTION("eventually: by itself within its time") {
    living.append(SyncClass::kEventually);
    CHECK(living.durable.wait(1));
    CHECK(read_all(**living.log->read(0)) == 1);
  }
  SECTION("eventually: at the latest at seal") {
    living.append(SyncClass::kEventually);
    REQUIRE(living.log->close().has_value());
    CHECK(living.log->durable_seq() == 1);
    CHECK(living.durable.wait(1));
  }
}

TEST_CASE("time never goes back in a log, in this life and the next") {
  const TemporaryFolder folder;
  SettableClock clock;
  std::int64_t last_ns = 0;
  for (int life = 0; life < 2; ++life) {
    auto log = EventLog::open({.folder = folder.path}, {}, clock).value();
    for (const std::int64_t step_ns : {5'000'000'000LL, -100'000'000'000LL, 1LL}) {
      clock.wall_ns_ += step_ns;
      v1::Event event = make_event(1);
      REQUIRE(log->append(event, SyncClass::kNow, RecordUse::kNewWork).has_value());
      const std::int64_t time_ns = event.time().seconds() * 1'000'000'000 + event.time().nanos();
      CHECK(time_ns >= last_ns);
      last_ns = time_ns;
    }
    REQUIRE(log->close().has_value());
  }
  CHECK(last_ns == 1'700'000'005'000'000'000);
}

TEST_CASE("an event over the bound is refused and takes no number") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = 64 * 1024});
  v1::Event event = make_event(1);
  event.mutable_plugin_invoked()->mutable_input()->set_data(std::string(limits::kLogRecordBytesMax, 'x'));
  CHECK(living.log->append(event, SyncClass::kNow, RecordUse::kTerminal).error().reason == Reason::kInputTooLarge);
  CHECK(living.log->last_seq() == 0);
  living.append_durable(1);
  // One just under the bound is larger than this log's segments, and still kept.
  event = make_event(2);
  event.mutable_plugin_invoked()->mutable_input()->set_data(std::string(limits::kLogRecordBytesMax - 500, 'x'));
  CHECK(living.log->append(event, SyncClass::kNow, RecordUse::kNewWork).has_value());
  living.append_durable(1);
  CHECK(read_all(**living.log->read(0)) == 3);
  REQUIRE(living.log->close().has_value());
  CHECK(verify(folder.path)->damages.empty());
}

TEST_CASE("a second opener is refused by name and pid; an unwritable folder says so") {
  const TemporaryFolder folder;
  const SystemClock clock;
  {
    LivingLog living({.folder = folder.path});
    const auto second = EventLog::open({.folder = folder.path}, {}, clock);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().message.find(folder.path) != std::string::npos);
    CHECK(second.error().metadata.at("holder_pid") == std::to_string(::getpid()));
    REQUIRE(living.log->close().has_value());
    CHECK(EventLog::open({.folder = folder.path}, {}, clock).has_value());
  }
  const auto none = EventLog::open({.folder = "/proc/nowhere/log"}, {}, clock);
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().message.find("/proc/nowhere") != std::string::npos);
  CHECK_FALSE(verify("/nowhere/at/all").has_value());
}

TEST_CASE("retention removes whole sealed segments, oldest first, and readers go on with what is left") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = 16 * 1024, .retention_bytes_max = 64 * 1024});
  living.append_durable(20);
  const auto early = living.log->read(0).value();
  v1::Event event;
  REQUIRE(*early->next(event));
  for (int i = 0; i < 100; ++i) living.append_durable(20);
  std::uint64_t bytes = 0;
  for (const std::string& name : segments_in(folder.path))
    bytes += std::filesystem::file_size(folder.path + "/" + name);
  CHECK(bytes < 64 * 1024 + 3 * 16 * 1024);
  CHECK(read_all(*early) == living.log->last_seq());
  const auto late = living.log->read(0).value();
  REQUIRE(*late->next(event));
  CHECK(event.seq() > 1);
  CHECK(read_all(*late) == living.log->last_seq());
  REQUIRE(living.log->close().has_value());
  CHECK(verify(folder.path)->damages.empty());
  LivingLog again({.folder = folder.path, .segment_bytes = 16 * 1024, .retention_bytes_max = 64 * 1024});
  again.append_durable(1);
}

TEST_CASE("many readers follow while the log is written, across segments") {
  constexpr int kReaders = 4;
  constexpr EventSeq kEvents = 20'000;
  const TemporaryFolder folder(Medium::kMemory);
  LivingLog living({.folder = folder.path, .segment_bytes = 256 * 1024});
  DurableGate committed;
  const auto token = living.log->add_commit_listener([&](EventSeq seq) { committed.reached(seq); });
  std::vector<std::thread> readers;
  std::atomic<int> whole{0};
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([&] {
      const auto reader = living.log->read(0).value();
      EventSeq seq = 0;
      EventSeq expected = 1;
      std::string_view bytes;
      while (reader->position() < kEvents) {
        const auto any = reader->next_bytes(seq, bytes);
        if (!any) return;
        if (*any && seq != expected++) return;
        if (!*any && !committed.wait(reader->position() + 1)) return;
      }
      ++whole;
    });
  }
  for (EventSeq i = 0; i < kEvents; ++i) {
    while (living.log->last_seq() - living.log->durable_seq() > 30'000) std::this_thread::yield();
    living.append(i % 16 == 0 || i + 1 == kEvents ? SyncClass::kNow : SyncClass::kEventually);
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(whole == kReaders);
  living.log->remove_commit_listener(token);
}

TEST_CASE("a log can be verified again and again while it is written") {
  const TemporaryFolder folder(Medium::kMemory);
  LivingLog living({.folder = folder.path, .segment_bytes = 256 * 1024});
  std::atomic<bool> done{false};
  std::thread verifier([&] {
    while (!done) {
      const auto verification = verify(folder.path);
      for (const Damage& damage : verification->damages) FAIL_CHECK(damage.message);
    }
  });
  for (int i = 0; i < 300; ++i) living.append_durable(20);
  done = true;
  verifier.join();
  CHECK(verify(folder.path)->events == 6000);
}
