// Goal: a damaged log can be opened again after repair, with everything up to the damage in it; nothing that was there
// is gone from the disk; a second repair changes nothing. Method: a small log of several segments, damaged by hand.
#include "kernel/event_log/repair.h"

#include <filesystem>
#include <map>

#include "kernel/event_log/format.h"
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kRepairSegmentBytes = 16 * 1024;
constexpr EventSeq kRepairedEvents = 300;

using Contents = std::map<std::string, std::string>;  // by file name

Contents contents_of(const std::string& folder) {
  Contents contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".lgl") contents[entry.path().filename()] = read_bytes(entry.path());
  }
  return contents;
}

struct DamagedLog {
  TemporaryFolder folder{Medium::kMemory};
  std::string path = folder.path + "/log";
  std::vector<std::string> names;

  DamagedLog() {
    LivingLog living({.folder = path, .segment_bytes = kRepairSegmentBytes});
    for (EventSeq i = 0; i < kRepairedEvents / 10; ++i) living.append_durable(10);
    REQUIRE(living.log->close().has_value());
    names = segments_in(path);
    REQUIRE(names.size() > 4);
  }
  std::string file(std::size_t index) const { return path + "/" + names.at(index); }
  void flip(std::size_t index, std::size_t offset) const {
    std::string bytes = read_bytes(file(index));
    bytes.at(offset) = static_cast<char>(bytes.at(offset) ^ 1);
    write_bytes(file(index), bytes);
  }

  // Repairs, checks what must hold whatever the damage was, and returns what it said.
  Repair repaired() const {
    const Contents before = contents_of(path);
    const auto repair = event_log::repair(path);
    INFO((repair ? std::string() : repair.error().message));
    REQUIRE(repair.has_value());
    REQUIRE_FALSE(repair->damages.empty());
    // Nothing is gone: every file of before is in the log or in quarantine, byte for byte.
    const Contents kept = contents_of(path);
    const Contents aside = contents_of(repair->quarantine);
    for (const auto& [name, bytes] : before) {
      const bool here = kept.contains(name) && kept.at(name) == bytes;
      const bool there = aside.contains(name) && aside.at(name) == bytes;
      if (!here && !there) FAIL(name << " is gone");
    }
    CHECK(verify(path)->damages.empty());
    if (repair->events != 0) CHECK(read_all(**read_offline(path, 0)) == repair->last_seq);
    const auto again = event_log::repair(path);
    REQUIRE(again.has_value());
    CHECK(again->damages.empty());
    CHECK(contents_of(path) == kept);
    LivingLog living({.folder = path, .segment_bytes = kRepairSegmentBytes});
    CHECK(living.log->recovery().last_seq == repair->last_seq);
    living.append_durable(20);
    REQUIRE(living.log->close().has_value());
    CHECK(verify(path)->damages.empty());
    return *repair;
  }
};

}  // namespace

TEST_CASE("repair keeps everything up to a flipped bit and moves the segments behind it aside") {
  const DamagedLog log;
  log.flip(2, kSegmentHeaderBytes + 5000);
  const Verification before = verify(log.path).value();
  const Repair repair = log.repaired();
  CHECK(repair.last_seq == before.damages.front().last_good_seq);
  CHECK(repair.events == repair.last_seq);
  CHECK(repair.shortened == log.names[2]);
  CHECK(repair.damages.front().kind == DamageKind::kBadCrc);
  CHECK(repair.moved == std::vector<std::string>(log.names.begin() + 3, log.names.end()));
  CHECK(std::filesystem::exists(repair.quarantine + "/report.txt"));
}

TEST_CASE("a bit flipped in the first batch of a segment moves that segment whole") {
  const DamagedLog log;
  log.flip(2, kSegmentHeaderBytes + 30);
  const Repair repair = log.repaired();
  CHECK(repair.shortened.empty());
  CHECK(repair.moved.front() == log.names[2]);
}

TEST_CASE("a damaged header moves its segment and all behind it") {
  const DamagedLog log;
  log.flip(1, 40);
  const Repair repair = log.repaired();
  CHECK(repair.moved == std::vector<std::string>(log.names.begin() + 1, log.names.end()));
  CHECK(repair.damages.front().kind == DamageKind::kBadHeader);
}

TEST_CASE("a log whose first header is damaged keeps nothing, and says so") {
  const DamagedLog log;
  log.flip(0, 40);
  const Repair repair = log.repaired();
  CHECK(repair.events == 0);
  CHECK(repair.last_seq == 0);
}

TEST_CASE("a missing segment ends the log in front of the gap") {
  const DamagedLog log;
  std::filesystem::remove(log.file(2));
  const Repair repair = log.repaired();
  CHECK(repair.damages.front().kind == DamageKind::kMissingSegment);
  CHECK(repair.moved == std::vector<std::string>(log.names.begin() + 3, log.names.end()));
}

TEST_CASE("bytes behind a seal cost no event") {
  const DamagedLog log;
  write_bytes(log.file(1), read_bytes(log.file(1)) + std::string(100, 'x'));
  const Repair repair = log.repaired();
  CHECK(repair.last_seq == kRepairedEvents);
  CHECK(repair.moved.empty());
}

TEST_CASE("a segment that lost its seal is kept, and what was chained to that seal is moved") {
  const DamagedLog log;
  std::filesystem::resize_file(log.file(2), std::filesystem::file_size(log.file(2)) - 200);
  const Repair repair = log.repaired();
  CHECK(repair.shortened == log.names[2]);
  CHECK(repair.moved.front() == log.names[3]);
}

TEST_CASE("a file that only ends like a segment is moved aside, and no event is lost") {
  const DamagedLog log;
  write_bytes(log.path + "/copy.lgl", "hello");
  const Repair repair = log.repaired();
  CHECK(repair.last_seq == kRepairedEvents);
  CHECK(repair.moved == std::vector<std::string>{"copy.lgl"});
}

TEST_CASE("a second damage gets a quarantine of its own") {
  const DamagedLog log;
  log.flip(3, kSegmentHeaderBytes + 5000);
  const Repair first = log.repaired();
  log.flip(1, kSegmentHeaderBytes + 5000);
  const Repair second = log.repaired();
  CHECK(second.quarantine != first.quarantine);
  CHECK(std::filesystem::exists(first.quarantine + "/" + log.names[3]));
}

TEST_CASE("repair leaves a whole log and a torn tail alone") {
  const TemporaryFolder folder(Medium::kMemory);
  LivingLog living({.folder = folder.path + "/log"});
  living.append_durable(10);
  const std::string crashed = folder.path + "/crashed";
  copy_log(folder.path + "/log", crashed);
  REQUIRE(living.log->close().has_value());
  const std::string path = crashed + "/" + segment_name(1);
  std::string bytes = read_bytes(path);
  bytes.replace((bytes.find_last_not_of('\0') + 8) / 8 * 8, 64, std::string(64, 'x'));
  write_bytes(path, bytes);
  const Repair repair = event_log::repair(crashed).value();
  CHECK(repair.damages.empty());
  CHECK(repair.last_seq == 10);
  CHECK(read_bytes(path) == bytes);
  CHECK(event_log::repair(folder.path + "/log")->damages.empty());
}

TEST_CASE("zeroes behind the last seal are what a crash leaves, zeroes behind another are damage") {
  const DamagedLog log;
  write_bytes(log.file(log.names.size() - 1), read_bytes(log.file(log.names.size() - 1)) + std::string(4096, '\0'));
  CHECK(event_log::repair(log.path)->damages.empty());
  write_bytes(log.file(1), read_bytes(log.file(1)) + std::string(4096, '\0'));
  CHECK(log.repaired().last_seq == kRepairedEvents);
}

TEST_CASE("repair is refused while a daemon holds the folder, for a newer format, and where nothing is") {
  const DamagedLog log;
  {
    const LivingLog living({.folder = log.path, .segment_bytes = kRepairSegmentBytes});
    const auto refused = event_log::repair(log.path);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message.find("in use by another daemon") != std::string::npos);
  }
  std::string bytes = read_bytes(log.file(1));
  SegmentHeader header = decode_header(std::as_bytes(std::span(bytes))).value();
  ++header.version;
  std::array<std::byte, kSegmentHeaderBytes> page;
  encode_header(header, page);
  std::memcpy(bytes.data(), page.data(), page.size());
  write_bytes(log.file(1), bytes);
  CHECK(event_log::repair(log.path).error().reason == Reason::kInvalidConfig);
  CHECK_FALSE(event_log::repair(log.folder.path + "/nothing").has_value());
  CHECK_FALSE(std::filesystem::exists(log.folder.path + "/nothing"));
}

// A repair that was stopped: after any number of its steps, the next one ends the work.
TEST_CASE("a repair that was cut short is ended by the next one") {
  const DamagedLog log;
  log.flip(2, kSegmentHeaderBytes + 5000);
  // As after a stop between the second and the third segment that left, with a copy half made.
  std::filesystem::create_directory(log.path + "/quarantine-1");
  for (const std::size_t index : {log.names.size() - 1, log.names.size() - 2}) {
    std::filesystem::rename(log.file(index), log.path + "/quarantine-1/" + log.names[index]);
  }
  std::filesystem::create_hard_link(log.file(2), log.path + "/quarantine-1/" + log.names[2]);
  write_bytes(log.path + "/repair.tmp", "half");
  const Repair repair = log.repaired();
  CHECK(repair.shortened == log.names[2]);
  CHECK(repair.quarantine == log.path + "/quarantine-2");
  CHECK(std::filesystem::exists(log.path + "/quarantine-1/" + log.names.back()));
}
