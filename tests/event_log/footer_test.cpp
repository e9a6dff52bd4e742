// Goal: a footer says what is in its segment, every bound of it holds, and whatever becomes of it costs time at most.
// Method: builders fed with records; sealed logs whose footers are damaged, and what a query still finds in them.
#include <filesystem>
#include <random>

#include "kernel/event_log/footer.h"
#include "kernel/event_log/footer_reader.h"
#include "kernel/event_log/query.h"
#include "kernel/event_log/record_cursor.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/storage.h"
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

// Events as a builder sees them, laid out like in a segment.
class Feed {
 public:
  explicit Feed(std::uint64_t block_bytes) : builder(1, block_bytes) {}

  void add(const v1::Event& event) {
    const std::string body = event.SerializeAsString();
    RecordView record;
    record.kind = static_cast<std::uint8_t>(RecordKind::kEvent);
    record.seq = ++seq_;
    record.time_ns = static_cast<std::int64_t>(seq_) * 1000;
    record.offset = offset_;
    record.body = std::as_bytes(std::span(body));
    builder.add(record);
    offset_ += record_bytes(body.size());
  }
  std::optional<Footer> footer() {
    bytes_ = builder.encode(kKey);
    RecordView record;
    REQUIRE(parse_record(bytes_, 0, kKey, record) == ParseStatus::kRecord);
    return decode_footer(record.body);
  }

  static constexpr std::uint32_t kKey = 77;
  FooterBuilder builder;

 private:
  EventSeq seq_ = 0;
  std::uint64_t offset_ = kSegmentHeaderBytes;
  std::vector<std::byte> bytes_;
};

v1::Event event_of(const std::string& type, const std::string& plugin, const std::string& actor) {
  v1::Event event;
  event.set_type(type);
  event.set_plugin_id("id-of-" + plugin);
  event.set_plugin_name(plugin);
  event.set_actor(actor);
  event.set_correlation_id("c");
  return event;
}

// A sealed log of one segment; returns its only segment's path.
std::string make_sealed(const std::string& folder, int events) {
  LivingLog living({.folder = folder});
  living.append_durable(static_cast<std::uint64_t>(events));
  REQUIRE(living.log->close().has_value());
  return folder + "/" + segment_name(1);
}

Seal seal_of(const std::string& path) {
  const std::string bytes = read_bytes(path);
  const auto body = std::as_bytes(std::span(bytes)).last(kLinkBodyBytes);
  return decode_seal(body).value();
}

std::uint64_t count_matches(const std::string& folder, const Filter& filter) {
  auto query = query_offline(folder, filter);
  REQUIRE(query.has_value());
  return summarize(**query).value().total;
}

}  // namespace

TEST_CASE("a footer's groups count exactly and know their blocks") {
  Feed feed(1024);
  for (int i = 0; i < 100; ++i) feed.add(event_of(i % 2 == 0 ? "A" : "B", i < 50 ? "first" : "second", "uid:1"));
  const auto footer = feed.footer();
  REQUIRE(footer.has_value());
  CHECK(footer->groups_complete);
  CHECK(footer->first_seq == 1);
  CHECK(footer->last_seq == 100);
  CHECK(footer->last_time_ns == 100'000);
  REQUIRE(footer->groups.size() == 4);
  const FooterGroup& second = footer->groups[2];
  CHECK(second.plugin_name == "second");
  CHECK(second.plugin_id == "id-of-second");
  CHECK(second.count == 25);
  CHECK(second.first_seq == 51);
  CHECK(second.last_seq == 99);
  REQUIRE(footer->blocks.size() > 4);
  CHECK_FALSE(second.is_in(0));
  CHECK(second.is_in(footer->blocks.size() - 1));
}

TEST_CASE("more groups than the bound: none is kept, and the footer says so") {
  Feed feed(64 * 1024);
  const auto add = [&](std::size_t i) { feed.add(event_of("A", "p", "uid:" + std::to_string(i))); };
  for (std::size_t i = 0; i < limits::kFooterGroupsMax; ++i) add(i);
  CHECK(feed.footer()->groups.size() == limits::kFooterGroupsMax);
  add(limits::kFooterGroupsMax);
  add(0);
  CHECK_FALSE(feed.footer()->groups_complete);
  CHECK(feed.footer()->groups.empty());
}

TEST_CASE("longer names than the bound: the same") {
  Feed feed(64 * 1024);
  for (int i = 0; i < 9; ++i) feed.add(event_of("A", "p", std::string(30'000, static_cast<char>('a' + i))));
  CHECK_FALSE(feed.footer()->groups_complete);
}

TEST_CASE("more blocks than the bound: the last one takes the rest") {
  Feed feed(8);
  for (std::size_t i = 0; i < limits::kFooterBlocksMax + 10; ++i) feed.add(event_of("A", "p", "u"));
  const auto footer = feed.footer();
  CHECK(footer->blocks.size() == limits::kFooterBlocksMax);
  CHECK(footer->blocks.back().first_seq == limits::kFooterBlocksMax);
  CHECK(footer->last_seq == limits::kFooterBlocksMax + 10);
}

TEST_CASE("a correlation filter holds what was put in, halved or not, and little else") {
  FilterRow row(kCorrelationBits);
  row.add_block();
  for (int i = 0; i < 100; ++i) CorrelationKey("id-" + std::to_string(i)).add_to(row.last_block());
  row.halve_for(100, 12);
  CHECK(row.bits() == 2048);
  for (int i = 0; i < 100; ++i) CHECK(CorrelationKey("id-" + std::to_string(i)).may_be_in(row.last_block()));
  int others = 0;
  for (int i = 100; i < 10'100; ++i) {
    if (CorrelationKey("id-" + std::to_string(i)).may_be_in(row.last_block())) ++others;
  }
  CHECK(others < 100);
}

TEST_CASE("a text filter holds each part of a text; one that is full says nothing") {
  FilterRow row(kTextBits);
  row.add_block();
  add_text(row.last_block(), "the quick brown fox");
  CHECK(TextKey("quick br").may_be_in(row.last_block()));
  CHECK(TextKey("ab").may_be_in(row.last_block()));  // too short to tell
  CHECK_FALSE(TextKey("needle").may_be_in(row.last_block()));
  CHECK_FALSE(saturate(row.last_block()));
  std::string noise;
  std::mt19937 random(1);
  for (int i = 0; i < 60'000; ++i) noise.push_back(static_cast<char>(random()));
  add_text(row.last_block(), noise);
  CHECK(saturate(row.last_block()));
  CHECK(TextKey("needle").may_be_in(row.last_block()));
}

TEST_CASE("every life seals its segment with a footer, and so does recovery") {
  const TemporaryFolder folder(Medium::kMemory);
  const std::string path = make_sealed(folder.path, 10);
  CHECK(seal_of(path).footer_offset > kSegmentHeaderBytes);
  CHECK(verify(folder.path)->damages.empty());

  const TemporaryFolder crashed(Medium::kMemory);
  LivingLog living({.folder = folder.path});
  living.append_durable(5);
  copy_log(folder.path, crashed.path);
  { const LivingLog recovered({.folder = crashed.path}); }
  const Seal seal = seal_of(crashed.path + "/" + segment_name(11));
  CHECK(seal.reason == SealReason::kRecovered);
  CHECK(seal.footer_offset > kSegmentHeaderBytes);
  CHECK(verify(crashed.path)->damages.empty());
  CHECK(count_matches(crashed.path, {.types = {"PluginInvoked"}}) == 15);
}

TEST_CASE("a byte changed anywhere in a footer is damage that is found, and no query is wrong for it") {
  const TemporaryFolder folder(Medium::kMemory);
  const std::string path = make_sealed(folder.path, 30);
  const std::string whole = read_bytes(path);
  const std::uint64_t footer = seal_of(path).footer_offset;
  for (std::size_t offset = footer; offset < whole.size() - kLinkRecordBytes; ++offset) {
    std::string damaged = whole;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 0x10);
    write_bytes(path, damaged);
    INFO("byte " << offset);
    const Verification verification = verify(folder.path).value();
    REQUIRE(verification.damages.size() == 1);
    CHECK(verification.damages[0].offset >= footer);
    CHECK(verification.damages[0].last_good_seq == 30);
    // As an inner segment, whose footer nobody reads at start: a reader goes by what stands in the segment.
    const auto storage = open_disk_storage(folder.path).value();
    const auto catalog = std::make_shared<Catalog>();
    catalog->add_sealed(1, 30, footer);
    for (const Filter& filter : {Filter{.correlation_id = "call-7"}, Filter{.text = "input 7."}}) {
      const auto query = make_query(storage, catalog, filter);
      CHECK(summarize(*query)->total == 1);
    }
  }
}

TEST_CASE("a footer with right checksums that leads nowhere is not believed") {
  const TemporaryFolder folder(Medium::kMemory);
  const std::string path = make_sealed(folder.path, 30);
  std::string bytes = read_bytes(path);
  const std::uint64_t at = seal_of(path).footer_offset;
  const auto page = std::as_bytes(std::span(bytes)).first(kSegmentHeaderBytes);
  const std::uint32_t key = segment_key(page);
  // The first block begins eight bytes too late, where no record begins.
  const std::size_t block = at + kRecordHeaderBytes + 64;
  bytes[block] = static_cast<char>(bytes[block] + 8);
  const auto all = std::as_writable_bytes(std::span(bytes)).subspan(at);
  finish_record(all.first(stated_record_bytes(all)), key);
  write_bytes(path, bytes);
  const auto catalog = std::make_shared<Catalog>();
  catalog->add_sealed(1, 30, at);
  const auto query = make_query(open_disk_storage(folder.path).value(), catalog, {.correlation_id = "call-7"});
  CHECK(summarize(*query)->total == 1);
}

TEST_CASE("decoding takes no footer whose numbers cannot be") {
  Feed feed(64);
  for (int i = 0; i < 20; ++i) feed.add(event_of("A", "p", "u"));
  const std::vector<std::byte> records = feed.builder.encode(Feed::kKey);
  RecordView record;
  REQUIRE(parse_record(records, 0, Feed::kKey, record) == ParseStatus::kRecord);
  const std::vector<std::byte> body(record.body.begin(), record.body.end());
  REQUIRE(decode_footer(body).has_value());
  for (std::size_t cut = 0; cut < body.size(); ++cut)
    CHECK_FALSE(decode_footer(std::span(body).first(cut)).has_value());
  for (const std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{44}, std::size_t{47}, std::size_t{50}}) {
    std::vector<std::byte> odd = body;
    odd[at] ^= std::byte{0x81};
    INFO("byte " << at);
    CHECK_FALSE(decode_footer(odd).has_value());
  }
}
