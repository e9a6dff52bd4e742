// Goal: every damage is found and located; what may be a torn tail is cut off, what had been durable is never dropped
// silently. Method: a small log copied while it is open (what a crash leaves), then cut and flipped at every offset.
#include <filesystem>
#include <thread>

#include "kernel/event_log/format.h"
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kDamageSegmentBytes = 16 * 1024;

// A crashed log of `batches` commits, three events each, every one synced; returns the ends of the commits.
std::vector<std::uint64_t> make_crashed(const std::string& folder, int batches) {
  const TemporaryFolder living_folder(Medium::kMemory);
  LivingLog living({.folder = living_folder.path, .segment_bytes = kDamageSegmentBytes});
  std::vector<std::uint64_t> ends;
  for (int i = 0; i < batches; ++i) {
    living.append(SyncClass::kEventually);
    living.append(SyncClass::kEventually);
    living.append_durable(1);
    const std::string bytes = read_bytes(living_folder.path + "/" + segment_name(1));
    const std::size_t last = bytes.find_last_not_of('\0') + 1;
    ends.push_back((last + 7) / 8 * 8);
  }
  copy_log(living_folder.path, folder);
  REQUIRE(living.log->close().has_value());
  return ends;
}

bool opens(const std::string& folder, Recovery* recovery = nullptr, Error* error = nullptr) {
  const SystemClock clock;
  auto log = EventLog::open({.folder = folder, .segment_bytes = kDamageSegmentBytes}, {}, clock);
  if (log && recovery != nullptr) *recovery = (*log)->recovery();
  if (!log && error != nullptr) *error = log.error();
  return log.has_value();
}

// Changes the header of the segment at `path` as somebody would who knows how to compute its checksum.
template <typename Change>
void rewrite_header(const std::string& path, Change change) {
  std::string bytes = read_bytes(path);
  SegmentHeader header = decode_header(std::as_bytes(std::span(bytes))).value();
  change(header);
  std::array<std::byte, kSegmentHeaderBytes> page;
  encode_header(header, page);
  std::memcpy(bytes.data(), page.data(), page.size());
  write_bytes(path, bytes);
}

}  // namespace

TEST_CASE("a log cut anywhere in its last batch loses that batch and no other") {
  const TemporaryFolder folder(Medium::kMemory);
  const auto ends = make_crashed(folder.path + "/log", 4);
  const std::string path = folder.path + "/log/" + segment_name(1);
  const std::string whole = read_bytes(path);
  for (std::uint64_t cut = ends[2]; cut < ends[3]; ++cut) {
    for (const bool zeroed : {false, true}) {
      std::filesystem::remove_all(folder.path + "/log");
      std::filesystem::create_directory(folder.path + "/log");
      std::string torn = whole.substr(0, cut);
      if (zeroed) torn.resize(whole.size());
      if (torn == whole) continue;  // what was cut off were zeroes: one hash in 256 ends with one
      write_bytes(path, torn);
      Recovery recovery;
      REQUIRE(opens(folder.path + "/log", &recovery));
      if (recovery.last_seq != 9) FAIL("cut at " << cut << " recovered up to " << recovery.last_seq);
      const bool something_left = torn.find_last_not_of('\0') >= ends[2];
      if (recovery.torn_tail != something_left) FAIL("cut at " << cut << " torn_tail " << recovery.torn_tail);
      if (recovery.torn_tail) {
        CHECK(recovery.offset == ends[2]);
        CHECK(recovery.segment == segment_name(1));
        CHECK(recovery.bytes_dropped == torn.find_last_not_of('\0') + 1 - ends[2]);
      }
      const Verification after = verify(folder.path + "/log").value();
      if (!after.damages.empty() || after.events != 9) FAIL("cut at " << cut << " left damage behind");
      CHECK(read_all(**read_offline(folder.path + "/log", 0)) == 9);
    }
  }
}

TEST_CASE("a byte changed anywhere in a crashed log is found, located, and refused where it had been durable") {
  const TemporaryFolder folder(Medium::kMemory);
  const auto ends = make_crashed(folder.path + "/log", 3);
  const std::string path = folder.path + "/log/" + segment_name(1);
  const std::string whole = read_bytes(path);
  for (std::size_t offset = 0; offset < ends[2] + 600; ++offset) {
    std::string damaged = whole;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 0x40);
    std::filesystem::remove_all(folder.path + "/log");
    std::filesystem::create_directory(folder.path + "/log");
    write_bytes(path, damaged);
    const Verification verification = verify(folder.path + "/log").value();
    INFO("byte " << offset);
    REQUIRE(verification.damages.size() == 1);
    const Damage& damage = verification.damages.front();
    CHECK(damage.segment == segment_name(1));
    // The damage is located at the record that holds the byte, a torn tail at its batch, a bad header at 0.
    const std::uint64_t distance = offset - damage.offset;
    if (damage.offset > offset || (offset >= kSegmentHeaderBytes && distance > ends[2] - ends[1])) {
      FAIL("byte " << offset << " located at " << damage.offset);
    }
    Error error;
    Recovery recovery;
    const bool opened = opens(folder.path + "/log", &recovery, &error);
    // The last batch was synced, but nothing on disk says so yet: it is indistinguishable from a torn one.
    const bool durable_point = offset < ends[1];
    if (opened == durable_point) FAIL("byte " << offset << (opened ? " opened" : " refused"));
    if (!opened) {
      CHECK(error.reason == Reason::kLogCorrupt);
      CHECK(error.metadata.at("segment") == segment_name(1));
      CHECK(error.metadata.at("offset") == std::to_string(damage.offset));
      CHECK(read_bytes(path) == damaged);
    } else {
      CHECK(recovery.last_seq == (offset < ends[2] ? 6U : 9U));
    }
  }
}

TEST_CASE("damage inside a sealed segment is corruption wherever it is") {
  const TemporaryFolder folder(Medium::kMemory);
  {
    LivingLog living({.folder = folder.path});
    for (int i = 0; i < 3; ++i) living.append_durable(2);
  }
  const std::string path = folder.path + "/" + segment_name(1);
  const std::string whole = read_bytes(path);
  for (std::size_t offset = 0; offset < whole.size(); ++offset) {
    std::string damaged = whole;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 0x01);
    write_bytes(path, damaged);
    if (verify(folder.path)->damages.size() != 1) FAIL("byte " << offset << " not found once");
    // A damaged seal alone looks like a life that ended before it was written; everything in front of it is kept.
    if (offset < whole.size() - kLinkRecordBytes && opens(folder.path)) FAIL("byte " << offset << " opened");
  }
  write_bytes(path, whole);
  CHECK(verify(folder.path)->damages.empty());
}

TEST_CASE("damage in an inner segment, a missing and a foreign segment are told apart") {
  const TemporaryFolder folder(Medium::kMemory);
  {
    LivingLog living({.folder = folder.path, .segment_bytes = kDamageSegmentBytes});
    for (int i = 0; i < 40; ++i) living.append_durable(10);
  }
  const auto names = segments_in(folder.path);
  REQUIRE(names.size() > 5);
  Error error;

  SECTION("a flipped byte") {
    const std::string path = folder.path + "/" + names[2];
    std::string bytes = read_bytes(path);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write_bytes(path, bytes);
    const Verification verification = verify(folder.path).value();
    REQUIRE(verification.damages.size() == 1);
    CHECK(verification.damages[0].kind == DamageKind::kBadCrc);
    CHECK(verification.damages[0].segment == names[2]);
    auto reader = read_offline(folder.path, 0);
    v1::Event event;
    auto any = (*reader)->next(event);
    while (any && *any) any = (*reader)->next(event);
    REQUIRE_FALSE(any.has_value());
    CHECK(any.error().reason == Reason::kLogCorrupt);
    CHECK(any.error().metadata.at("segment") == names[2]);
  }
  SECTION("two flipped bytes in different batches are two damages") {
    const std::string path = folder.path + "/" + names[1];
    std::string bytes = read_bytes(path);
    for (const std::size_t offset : {std::size_t{5000}, bytes.size() - 1000}) {
      bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    }
    write_bytes(path, bytes);
    CHECK(verify(folder.path)->damages.size() == 2);
  }
  SECTION("a segment cut short") {
    const std::string path = folder.path + "/" + names[1];
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 200);
    CHECK_FALSE(opens(folder.path, nullptr, &error));
    CHECK(error.metadata.at("segment") == names[1]);
    CHECK(verify(folder.path)->damages.size() >= 1);
  }
  SECTION("a missing segment") {
    std::filesystem::remove(folder.path + "/" + names[3]);
    CHECK_FALSE(opens(folder.path, nullptr, &error));
    CHECK(error.metadata.at("kind") == "missing_segment");
    CHECK(error.metadata.at("segment") == names[3]);
    const Verification verification = verify(folder.path).value();
    REQUIRE(verification.damages.size() == 1);
    CHECK(verification.damages[0].kind == DamageKind::kMissingSegment);
    CHECK(verification.damages[0].segment == names[3]);
  }
  SECTION("a segment of another node") {
    rewrite_header(folder.path + "/" + names[2], [](SegmentHeader& header) { header.node[3] ^= std::byte{1}; });
    CHECK_FALSE(opens(folder.path, nullptr, &error));
    CHECK(error.message.find("belongs to node") != std::string::npos);
    CHECK_FALSE(verify(folder.path)->damages.empty());
  }
  SECTION("a renamed segment") {
    std::filesystem::rename(folder.path + "/" + names[1], folder.path + "/00000000000000099999.lgl");
    CHECK_FALSE(opens(folder.path, nullptr, &error));
    CHECK_FALSE(verify(folder.path)->damages.empty());
  }
  SECTION("foreign files are left alone, unless they end like a segment") {
    write_bytes(folder.path + "/notes.txt", "hello");
    CHECK(opens(folder.path));
    CHECK(verify(folder.path)->foreign_files == std::vector<std::string>{"notes.txt"});
    CHECK(verify(folder.path)->damages.empty());
    write_bytes(folder.path + "/copy.lgl", "hello");
    CHECK_FALSE(opens(folder.path, nullptr, &error));
    CHECK(error.message.find("copy.lgl") != std::string::npos);
  }
  SECTION("a newer format is refused by its version") {
    rewrite_header(folder.path + "/" + names.back(), [](SegmentHeader& header) { ++header.version; });
    CHECK_FALSE(opens(folder.path, nullptr, &error));
    CHECK(error.reason == Reason::kInvalidConfig);
    CHECK(verify(folder.path).error().reason == Reason::kInvalidConfig);
  }
}

TEST_CASE("unsynced commits that were lost in part are a torn tail, before a durable claim they are corruption") {
  const TemporaryFolder folder(Medium::kMemory);
  const std::string log = folder.path + "/log";
  const std::string path = log + "/" + segment_name(1);
  std::vector<std::uint64_t> ends;
  // A machine so slow that the log synced them by itself meanwhile proves nothing: once more.
  for (EventSeq durable = 0; durable != 3;) {
    ends.clear();
    const TemporaryFolder living_folder(Medium::kMemory);
    LivingLog living({.folder = living_folder.path, .segment_bytes = 64 * 1024});
    living.append_durable(3);
    const auto written_end = [&] {
      return (read_bytes(living_folder.path + "/" + segment_name(1)).find_last_not_of('\0') + 8) / 8 * 8;
    };
    std::uint64_t end = written_end();
    for (int i = 0; i < 4; ++i) {  // four commits, written and not synced: the files alone tell when
      living.append(SyncClass::kEventually);
      while (written_end() == end) std::this_thread::yield();
      ends.push_back(end = written_end());
    }
    copy_log(living_folder.path, log);
    durable = living.log->durable_seq();
  }
  std::string bytes = read_bytes(path);
  // The disk wrote the fourth and third of the unsynced commits but not the second.
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(ends[0]), bytes.begin() + static_cast<std::ptrdiff_t>(ends[1]),
            '\0');
  write_bytes(path, bytes);
  CHECK(verify(log)->damages.size() == 1);
  Recovery recovery;
  REQUIRE(opens(log, &recovery));
  CHECK(recovery.last_seq == 4);
  CHECK(recovery.torn_tail);
  CHECK(recovery.offset == ends[0]);
  CHECK(verify(log)->damages.empty());
}
