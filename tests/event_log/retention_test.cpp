// Goal: whole sealed segments go, oldest first, only as far as whoever asks says; readers go on with what is left.
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kRetentionSegmentBytes = 16 * 1024;

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const std::string& name : segments_in(folder)) bytes += std::filesystem::file_size(folder + "/" + name);
  return bytes;
}

// Removal is done on the writer thread before it takes what comes next; so a second event is behind it.
void remove_and_wait(LivingLog& living, EventSeq last_seq) {
  living.log->remove_through(last_seq);
  living.append_durable(1);
  living.append_durable(1);
}

}  // namespace

TEST_CASE("a bound on the size takes whole sealed segments, oldest first, and readers go on with what is left") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  living.append_durable(20);
  const auto early = living.log->read(0).value();
  v1::Event event;
  REQUIRE(*early->next(event));
  for (int i = 0; i < 100; ++i) living.append_durable(20);
  const auto removal =
      living.log->removable({.bytes_max = 4 * kRetentionSegmentBytes, .needed_seq = living.log->last_seq()});
  REQUIRE(removal.has_value());
  CHECK(removal->first_seq == 1);
  CHECK(removal->reason == RemovalReason::kSize);
  const std::uint64_t before = bytes_in(folder.path);
  remove_and_wait(living, removal->last_seq);
  CHECK(bytes_in(folder.path) <= 6 * kRetentionSegmentBytes);
  CHECK(bytes_in(folder.path) + removal->size_bytes <= before + kRetentionSegmentBytes);
  CHECK(living.log->first_seq() == removal->last_seq + 1);
  CHECK(segments_in(folder.path).front() == std::string(20 - std::to_string(removal->last_seq + 1).size(), '0') +
                                                std::to_string(removal->last_seq + 1) + ".lgl");
  CHECK(read_all(*early) == living.log->last_seq());  // it had its segment open, then went on behind the gap
  const auto late = living.log->read(0).value();
  REQUIRE(*late->next(event));
  CHECK(event.seq() == removal->last_seq + 1);
  CHECK(read_all(*late) == living.log->last_seq());
  REQUIRE(living.log->close().has_value());
  CHECK(verify(folder.path)->damages.empty());
  LivingLog again({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  CHECK(again.log->first_seq() == removal->last_seq + 1);
  again.append_durable(1);
}

TEST_CASE("what is needed stays, whatever the bound says") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  for (int i = 0; i < 50; ++i) living.append_durable(20);
  CHECK_FALSE(living.log->removable({.bytes_max = 1, .needed_seq = 0}).has_value());
  CHECK_FALSE(living.log->removable({.bytes_max = 1, .needed_seq = 1}).has_value());
  const EventSeq needed = living.log->last_seq() / 2;
  const auto removal = living.log->removable({.bytes_max = 1, .needed_seq = needed});
  REQUIRE(removal.has_value());
  CHECK(removal->last_seq < needed);
  remove_and_wait(living, removal->last_seq);
  const auto reader = living.log->read(needed - 1).value();
  v1::Event event;
  REQUIRE(*reader->next(event));
  CHECK(event.seq() == needed);
}

TEST_CASE("the segment that is written never goes") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  living.append_durable(20);
  CHECK_FALSE(living.log->removable({.bytes_max = 1, .older_than_ns = INT64_MAX, .needed_seq = 1'000'000}).has_value());
  remove_and_wait(living, 1'000'000);
  CHECK(living.log->first_seq() == 1);
}

TEST_CASE("a bound on the age looks at a segment's last event") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  for (int i = 0; i < 20; ++i) living.append_durable(20);
  const std::int64_t between = living.clock.wall_ns();
  const EventSeq last_before = living.log->last_seq();
  for (int i = 0; i < 20; ++i) living.append_durable(20);
  const EventSeq needed = living.log->last_seq();
  CHECK_FALSE(living.log->removable({.older_than_ns = 1, .needed_seq = needed}).has_value());
  const auto removal = living.log->removable({.older_than_ns = between, .needed_seq = needed});
  REQUIRE(removal.has_value());
  CHECK(removal->reason == RemovalReason::kAge);
  CHECK(removal->last_seq <= last_before);
  REQUIRE(living.log->close().has_value());
  // The times are read back from the seals.
  LivingLog again({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  again.append_durable(1);
  const auto same = again.log->removable({.older_than_ns = between, .needed_seq = needed});
  REQUIRE(same.has_value());
  CHECK(same->last_seq == removal->last_seq);
}

TEST_CASE("a segment that cannot be removed leaves no hole behind it") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  for (int i = 0; i < 50; ++i) living.append_durable(20);
  // A folder in the segment's place: nobody can unlink that, root neither.
  const std::string first = folder.path + "/" + segments_in(folder.path).front();
  std::filesystem::rename(first, first + ".kept");
  std::filesystem::create_directory(first);
  const std::size_t before = segments_in(folder.path).size();
  remove_and_wait(living, living.log->last_seq() / 2);
  CHECK(segments_in(folder.path).size() == before);
  remove_and_wait(living, living.log->last_seq() / 2);
  CHECK(segments_in(folder.path).size() == before);
  REQUIRE(living.log->close().has_value());
  std::filesystem::remove(first);
  std::filesystem::rename(first + ".kept", first);
  LivingLog again({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  CHECK(again.log->first_seq() == 1);
}

TEST_CASE("a verification that retention overtakes finds no damage") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path, .segment_bytes = kRetentionSegmentBytes});
  for (int i = 0; i < 50; ++i) living.append_durable(20);
  const std::vector<std::string> names = segments_in(folder.path);
  // As if the listing had been made before: the names are there, the files of the middle are gone.
  REQUIRE(names.size() > 4);
  remove_and_wait(living, living.log->last_seq() / 2);
  const auto verification = verify(folder.path);
  REQUIRE(verification.has_value());
  CHECK(verification->in_use);
  CHECK(verification->damages.empty());
  CHECK(verification->first_seq == living.log->first_seq());
}

TEST_CASE("a sync that is asked for reaches events that nobody waits for") {
  const TemporaryFolder folder;
  LivingLog living({.folder = folder.path});
  living.append(SyncClass::kEventually);
  living.log->sync_soon();
  CHECK(living.durable.wait(1));
  living.log->sync_soon();  // nothing to do is fine too
  living.append_durable(1);
}
