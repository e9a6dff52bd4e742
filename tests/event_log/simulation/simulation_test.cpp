// Goal: the simulator is worth believing. A seed replays its history exactly; a storage that breaks its promise in any
// of the planted ways is found within a stated number of seeds; the faulty disk loses what it may lose and nothing
// else.
#include <catch2/catch.hpp>
#include <set>

#include "tests/event_log/simulation/history.h"

using namespace liongate;
using namespace liongate::simulation;

namespace {

constexpr std::uint64_t kReplayedSeeds = 300;

struct PlantedBug {
  Lie lie;
  const char* what;
  std::uint64_t seeds;  // within which it must be found; about four times what it took when this was written
};

constexpr PlantedBug kPlantedBugs[] = {
    {Lie::kSyncDoesNothing, "fdatasync reports success and does nothing", 40},
    {Lie::kSyncReturnsEarly, "one fdatasync in three returns before its pages are written", 60},
    {Lie::kSyncForgetsOnePage, "each fdatasync forgets one page", 40},
    {Lie::kSyncDirDoesNothing, "fsync of the folder does nothing", 40},
    {Lie::kRenameIsSyncedLate, "a rename is synced one change too late", 40},
    {Lie::kFailedSyncIsRepeated, "a failed fdatasync is repeated until it succeeds", 400},
    {Lie::kShortWriteIsSuccess, "a short write on a full disk is taken for a whole one", 100},
    {Lie::kWriteGoesToWrongSector, "a write lands one sector too low", 60},
    {Lie::kReadsStaleZeroes, "a read returns zeroes for a sector", 60},
};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// A disk, a first life on it without any fault, and another after a power cut, as often as a test wants.
struct Bench {
  Random random{7};
  Fibers fibers{random, "the disk's own test"};
  Trace trace{false};
  std::shared_ptr<FaultyDisk> disk = std::make_shared<FaultyDisk>(trace);
  std::shared_ptr<Mount> mount = std::make_shared<Mount>(disk, FaultPlan{});

  void power_cut(FaultPlan plan = {}) {
    mount->crash(FaultPlan::Crash::kPowerCut);
    mount = std::make_shared<Mount>(disk, plan);
  }
  std::string contents(const std::string& name) {
    const auto file = mount->open(name, event_log::Access::kRead);
    if (!file) return "gone";
    std::string text((*file)->size_bytes().value(), '?');
    REQUIRE((*file)->read_at(0, std::as_writable_bytes(std::span(text))).value() == text.size());
    return text;
  }
};

}  // namespace

TEST_CASE("a seed replays its history exactly") {
  std::set<std::uint64_t> digests;
  for (std::uint64_t seed = 1; seed <= kReplayedSeeds; ++seed) {
    const HistoryResult once = run_history({.seed = seed});
    const HistoryResult again = run_history({.seed = seed});
    if (once.digest != again.digest || once.counts.operations != again.counts.operations) FAIL("seed " << seed);
    digests.insert(once.digest);
  }
  CHECK(digests.size() == kReplayedSeeds);  // and different seeds are different histories
}

TEST_CASE("a violation is replayed by its seed with the same words") {
  for (std::uint64_t seed = 1;; ++seed) {
    const HistoryResult once = run_history({.seed = seed, .lie = Lie::kSyncDoesNothing});
    if (!once.violation) continue;
    const HistoryResult again = run_history({.seed = seed, .lie = Lie::kSyncDoesNothing});
    REQUIRE(again.violation.has_value());
    CHECK(*again.violation == *once.violation);
    CHECK(again.digest == once.digest);
    return;
  }
}

TEST_CASE("every planted bug is found") {
  for (const PlantedBug& bug : kPlantedBugs) {
    std::uint64_t seed = 1;
    while (seed <= bug.seeds && !run_history({.seed = seed, .lie = bug.lie}).violation) ++seed;
    if (seed > bug.seeds) FAIL_CHECK("not found within " << bug.seeds << " seeds: " << bug.what);
    std::printf("counts: planted bug found at seed %llu: %s\n", static_cast<unsigned long long>(seed), bug.what);
  }
}

TEST_CASE("the disk keeps what was synced and loses some of what was not") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Bench bench;
    bench.random = Random(seed);
    const auto file = bench.mount->open("a", event_log::Access::kCreate).value();
    REQUIRE(file->write_at(0, bytes_of(std::string(2 * kPageBytes, 's'))).has_value());
    REQUIRE(file->sync().has_value());
    REQUIRE(bench.mount->sync_dir().has_value());
    REQUIRE(file->write_at(2 * kPageBytes, bytes_of(std::string(2 * kPageBytes, 'u'))).has_value());
    bench.power_cut();
    const std::string left = bench.contents("a");
    REQUIRE(left.substr(0, 2 * kPageBytes) == std::string(2 * kPageBytes, 's'));
    REQUIRE(left.size() <= 4 * kPageBytes);
    seen.insert(left);
  }
  CHECK(seen.contains(std::string(2 * kPageBytes, 's')));                                     // nothing of it
  CHECK(seen.contains(std::string(2 * kPageBytes, 's') + std::string(2 * kPageBytes, 'u')));  // all of it
  const auto torn = std::string(2 * kPageBytes, 's') + std::string(kPageBytes, '\0') + std::string(kPageBytes, 'u');
  CHECK(seen.contains(torn));  // the later page without the earlier one
  CHECK(seen.size() > 20);     // and many a mixture of sectors
}

TEST_CASE("a name that was not synced may be lost, and one that was removed may come back") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Bench bench;
    bench.random = Random(seed);
    for (const char* name : {"old", "renamed"}) {
      REQUIRE(bench.mount->open(name, event_log::Access::kCreate).value()->sync().has_value());
    }
    REQUIRE(bench.mount->sync_dir().has_value());
    REQUIRE(bench.mount->remove("old").has_value());
    REQUIRE(bench.mount->rename("renamed", "new").has_value());
    bench.power_cut();
    const std::vector<std::string> left = bench.mount->list().value();
    std::string names;
    for (const std::string& name : left) names += name + " ";
    seen.insert(names);
  }
  CHECK(seen == std::set<std::string>{"old renamed ", "new old ", "renamed ", "new "});
}

TEST_CASE("a failed sync has lost pages, says so once to each handle, and then succeeds over the hole") {
  bool hole = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Bench bench;
    bench.random = Random(seed);
    const auto file = bench.mount->open("a", event_log::Access::kCreate).value();
    REQUIRE(bench.mount->sync_dir().has_value());
    bench.mount = std::make_shared<Mount>(bench.disk, FaultPlan{.sync_error_at = 1});
    const auto one = bench.mount->open("a", event_log::Access::kWrite).value();
    const auto other = bench.mount->open("a", event_log::Access::kWrite).value();
    REQUIRE(one->write_at(0, bytes_of(std::string(kPageBytes, 'x'))).has_value());
    CHECK_FALSE(one->sync().has_value());
    CHECK(one->sync().has_value());
    CHECK_FALSE(other->sync().has_value());
    CHECK(other->sync().has_value());
    bench.power_cut();
    hole = hole || bench.contents("a") == std::string(kPageBytes, '\0');
  }
  CHECK(hole);
}

TEST_CASE("a full disk refuses what would be longer, and takes it when the want has ended") {
  Bench bench;
  const auto file = bench.mount->open("a", event_log::Access::kCreate).value();
  REQUIRE(file->write_at(0, bytes_of(std::string(100, 'a'))).has_value());
  const FaultPlan plan{.no_space_from = 1, .no_space_until = 6};
  bench.mount = std::make_shared<Mount>(bench.disk, plan);
  const auto again = bench.mount->open("a", event_log::Access::kWrite).value();
  CHECK(again->write_at(0, bytes_of(std::string(100, 'b'))).has_value());
  const auto refused = again->write_at(100, bytes_of("c"));
  REQUIRE_FALSE(refused.has_value());
  CHECK(event_log::is_out_of_space(refused.error()));
  CHECK(bench.mount->free_space_bytes().value() == 0);
  CHECK_FALSE(bench.mount->open("b", event_log::Access::kCreate).has_value());
  CHECK(again->write_at(100, bytes_of("c")).has_value());
}

TEST_CASE("a life that has ended does nothing any more") {
  Bench bench;
  const auto file = bench.mount->open("a", event_log::Access::kCreate).value();
  bench.mount->crash(FaultPlan::Crash::kKill);
  CHECK_FALSE(file->write_at(0, bytes_of("x")).has_value());
  CHECK_FALSE(bench.mount->list().has_value());
  bench.mount = std::make_shared<Mount>(bench.disk, FaultPlan{});
  CHECK(bench.contents("a").empty());
}
