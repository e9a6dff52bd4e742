// Goal: whatever bit of a log changes, and wherever a file of it is cut, verify finds and locates it, and no daemon
// takes what had been durable for a torn tail. Method: a log of several segments, the last one crashed; every bit of
// every byte flipped, every file cut to every length, each looked at as verify does and as a daemon that starts and
// replays does.
#include <array>
#include <vector>

#include "kernel/event_log/format.h"
#include "kernel/event_log/reader.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/verify.h"
#include "tests/event_log/log_fixture.h"
#include "tests/event_log/memory_storage.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kSegmentBytes = 7 * 1024;
constexpr std::size_t kSegments = 3;
// Under a sanitizer each look costs fifteen times as much: there one bit of each byte must do.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kAllBits = false;
#else
constexpr bool kAllBits = true;
#endif

struct Record {
  std::uint64_t offset;
  std::uint64_t end;
  EventSeq good_before;  // the last event that is whole if this record is not
};

struct Segment {
  std::string name;
  std::string bytes;
  std::vector<Record> records;
  EventSeq first_seq = 0;
  std::uint64_t last_batch = 0;  // where the last batch begins; nothing behind it says that it was synced
  std::uint64_t end = 0;         // of the last link
};

// Two sealed segments and one that a crash left open, with zeroes behind it.
struct Subject {
  std::map<std::string, std::string> contents;
  std::vector<Segment> segments;
  EventSeq last_seq = 0;

  Subject() {
    const TemporaryFolder folder(Medium::kMemory);
    LivingLog living({.folder = folder.path, .segment_bytes = kSegmentBytes});
    while (segments_in(folder.path).size() < kSegments) living.append_durable(2);
    living.append_durable(2);
    living.append_durable(2);
    REQUIRE(segments_in(folder.path).size() == kSegments);
    last_seq = living.log->last_seq();
    for (const std::string& name : segments_in(folder.path)) {
      contents[name] = read_bytes(folder.path + "/" + name);
      segments.push_back(walk(name));
    }
    REQUIRE(living.log->close().has_value());
  }

  Segment walk(const std::string& name) {
    Segment segment{.name = name, .bytes = contents.at(name), .records = {}, .first_seq = *parse_segment_name(name)};
    const auto bytes = std::as_bytes(std::span(segment.bytes));
    const std::uint32_t key = segment_key(bytes);
    EventSeq good = segment.first_seq - 1;
    std::uint64_t batch = kSegmentHeaderBytes;
    RecordView record;
    for (std::uint64_t at = kSegmentHeaderBytes;
         parse_record(bytes.subspan(at), at, key, record) == ParseStatus::kRecord; at += record.bytes.size()) {
      segment.records.push_back({at, at + record.bytes.size(), good});
      segment.end = at + record.bytes.size();
      if (!record.is(RecordKind::kCommit)) continue;
      good = record.seq;
      segment.last_batch = batch;
      batch = segment.end;
    }
    return segment;
  }

  MemoryStorage with(const std::string& name, const std::string& bytes) const {
    MemoryStorage storage(contents);
    storage.files.at(name)->bytes = bytes;
    return storage;
  }
};

// What a daemon does at its start: opens the log and replays all of it. Returns how far it came, or why it did not.
Result<EventSeq> start_daemon_on(const MemoryStorage& damaged) {
  auto storage = std::make_shared<MemoryStorage>();
  for (const auto& [name, file] : damaged.files) storage->files[name] = std::make_shared<MemoryFile>(file->bytes);
  LG_ASSIGN(const Recovered recovered, recover(*storage));
  const auto reader = make_reader(storage, recovered.catalog, 0);
  for (;;) {
    EventSeq seq = 0;
    std::string_view bytes;
    LG_ASSIGN(const bool any, reader->next_bytes(seq, bytes));
    if (!any) return reader->position();
  }
}

void check_flip(const Subject& subject, const Segment& segment, std::size_t offset, unsigned bit) {
  std::string bytes = segment.bytes;
  bytes[offset] = static_cast<char>(bytes[offset] ^ (1U << bit));
  MemoryStorage storage = subject.with(segment.name, bytes);
  const Verification found = verify_storage(storage, LogState::kAtRest).value();
  const auto wrong = [&](const std::string& what) {
    FAIL(segment.name << " byte " << offset << " bit " << bit << ": " << what);
  };
  if (found.damages.size() != 1) return wrong(std::to_string(found.damages.size()) + " damages");
  const Damage& damage = found.damages.front();
  const bool last = &segment == &subject.segments.back();
  std::uint64_t where = 0;
  DamageKind kind = DamageKind::kBadHeader;
  EventSeq good = segment.first_seq - 1;
  bool durable = true;  // a daemon must refuse
  if (offset >= segment.end) {
    // Behind the end nobody wrote: what stands there is a record that began, or bytes of nobody. No event is harmed.
    durable = false;
    good = subject.last_seq;
    const bool begins = offset < segment.end + kRecordAlignmentBytes;
    kind = begins ? DamageKind::kTornTail : DamageKind::kNonZeroPadding;
    where = begins ? segment.end : offset;
  } else if (offset >= kSegmentHeaderBytes) {
    const auto holds = [&](const Record& record) { return offset < record.end; };
    const Record& record = *std::find_if(segment.records.begin(), segment.records.end(), holds);
    good = record.good_before;
    // The last batch of a log that crashed: nothing on disk says that it had been synced.
    durable = !last || offset < segment.last_batch;
    kind = durable ? DamageKind::kBadCrc : DamageKind::kTornTail;
    where = durable ? record.offset : segment.last_batch;
  }
  if (damage.segment != segment.name) wrong("located in " + damage.segment);
  if (damage.kind != kind) wrong("called " + std::string(name_of(damage.kind)));
  if (damage.offset != where) wrong("located at " + std::to_string(damage.offset));
  if (damage.last_good_seq != good) wrong("whole up to " + std::to_string(damage.last_good_seq));
  const auto started = start_daemon_on(storage);
  if (started && durable) wrong("a daemon started and replayed up to " + std::to_string(*started));
  if (!started && !durable) wrong("a daemon refused an honest tail: " + started.error().message);
  if (started && *started != good) wrong("a daemon kept " + std::to_string(*started));
  if (started) return;
  if (started.error().reason != Reason::kLogCorrupt) wrong("refused with " + started.error().message);
  if (started.error().metadata.at("segment") != segment.name) wrong("refused: " + started.error().message);
  if (started.error().hint.find("liongatectl repair-log --state-dir /memory") == std::string::npos) wrong("no remedy");
}

}  // namespace

TEST_CASE("every bit of a log, flipped, is found, located, and refused where it had been durable") {
  const Subject subject;
  for (const Segment& segment : subject.segments) {
    const std::size_t end = std::min<std::size_t>(segment.bytes.size(), segment.end + 64);
    for (std::size_t offset = 0; offset < end; ++offset) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (kAllBits || bit == offset % 8) check_flip(subject, segment, offset, bit);
      }
    }
  }
}

TEST_CASE("an inner segment cut anywhere is damage, located where what is left of it ends") {
  const Subject subject;
  for (std::size_t i = 0; i + 1 < subject.segments.size(); ++i) {
    const Segment& segment = subject.segments[i];
    for (std::size_t length = 0; length < segment.bytes.size(); ++length) {
      MemoryStorage storage = subject.with(segment.name, segment.bytes.substr(0, length));
      const Verification found = verify_storage(storage, LogState::kAtRest).value();
      INFO(segment.name << " cut to " << length);
      REQUIRE_FALSE(found.damages.empty());
      const Damage& damage = found.damages.front();
      CHECK(damage.segment == segment.name);
      if (length < kSegmentHeaderBytes) {
        REQUIRE(damage.kind == DamageKind::kBadHeader);
      } else {
        // The first record that is not whole.
        const auto cut = [&](const Record& record) { return length < record.end; };
        const Record& record = *std::find_if(segment.records.begin(), segment.records.end(), cut);
        REQUIRE(damage.kind == DamageKind::kBadCrc);
        REQUIRE(damage.offset == record.offset);
        REQUIRE(damage.last_good_seq == record.good_before);
      }
      const auto started = start_daemon_on(storage);
      REQUIRE_FALSE(started.has_value());
      REQUIRE(started.error().reason == Reason::kLogCorrupt);
      REQUIRE(started.error().metadata.at("segment") == segment.name);
    }
  }
}

TEST_CASE("the last segment cut anywhere is a shorter log, and verify says what a torn tail is") {
  const Subject subject;
  const Segment& segment = subject.segments.back();
  for (std::size_t length = 0; length <= segment.bytes.size(); ++length) {
    MemoryStorage storage = subject.with(segment.name, segment.bytes.substr(0, length));
    INFO("cut to " << length);
    const Verification found = verify_storage(storage, LogState::kAtRest).value();
    if (length < kSegmentHeaderBytes) {
      REQUIRE(found.damages.size() == 1);
      REQUIRE(found.damages.front().kind == DamageKind::kBadHeader);
      continue;
    }
    EventSeq good = segment.first_seq - 1;
    std::uint64_t end = kSegmentHeaderBytes;
    for (const Record& record : segment.records) {
      if (record.end > length) break;
      const bool closes = &record == &segment.records.back() || (&record)[1].good_before != record.good_before;
      if (closes) end = record.end;
      if (closes) good = &record == &segment.records.back() ? subject.last_seq : (&record)[1].good_before;
    }
    // A record's first bytes may be zeroes: then nothing shows that it had begun.
    const bool torn = segment.bytes.substr(0, length).find_first_not_of('\0', end) != std::string::npos;
    REQUIRE(found.damages.size() == (torn ? 1U : 0U));
    if (torn) {
      REQUIRE(found.damages.front().kind == DamageKind::kTornTail);
      REQUIRE(found.damages.front().offset == end);
      REQUIRE(found.damages.front().last_good_seq == good);
    }
    const auto started = start_daemon_on(storage);
    REQUIRE(started.has_value());
    REQUIRE(*started == good);
  }
}
