// Goal: the bytes are what docs/event-log-format.md says and nothing else passes for them. Method: known values, and
// every byte of a header and a record changed.
#include "kernel/event_log/format.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "kernel/event_log/crc32c.h"

using namespace liongate::event_log;

namespace {
std::vector<std::byte> counting_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}
}  // namespace

TEST_CASE("CRC32C has its published value, by instruction and by table, at every length and alignment") {
  const std::string_view digits = "123456789";
  CHECK(crc32c_extend(0, std::as_bytes(std::span(digits))) == 0xE3069283U);
  CHECK(crc32c_extend_by_table(0, std::as_bytes(std::span(digits))) == 0xE3069283U);
  const auto bytes = counting_bytes(300);
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t count = 0; count < 280; ++count) {
      const auto part = std::span(bytes).subspan(from, count);
      if (crc32c_extend(42, part) != crc32c_extend_by_table(42, part)) FAIL(from << " " << count);
    }
  }
}

TEST_CASE("segment names carry the first number, and nothing else is taken for one") {
  CHECK(segment_name(1) == "00000000000000000001.lgl");
  CHECK(parse_segment_name("00000000000000000001.lgl") == 1U);
  CHECK(parse_segment_name(segment_name(18446744073709551615U)) == 18446744073709551615U);
  for (const char* name :
       {"", "1.lgl", "00000000000000000000.lgl", "0000000000000000000x.lgl", "99999999999999999999.lgl",
        "00000000000000000001.lgx", "000000000000000000001.lgl", "-0000000000000000001.lgl"}) {
    CHECK_FALSE(parse_segment_name(name).has_value());
  }
}

TEST_CASE("a header comes back, and no byte of its page may change") {
  SegmentHeader header;
  header.node = parse_node_id("7c9e6679-7425-40de-944b-e07fc1f90ae7");
  CHECK(node_id_text(header.node) == "7c9e6679-7425-40de-944b-e07fc1f90ae7");
  header.epoch = 3;
  header.first_seq = 1000;
  header.salt = 77;
  header.previous_hash[31] = std::byte{9};
  std::array<std::byte, kSegmentHeaderBytes> page;
  encode_header(header, page);
  const auto back = decode_header(page);
  REQUIRE(back.has_value());
  CHECK(back->node == header.node);
  CHECK(back->epoch == 3);
  CHECK(back->first_seq == 1000);
  CHECK(back->previous_hash == header.previous_hash);
  for (std::byte& byte : page) {
    byte ^= std::byte{0x10};
    if (decode_header(page)) FAIL("byte " << &byte - page.data());
    byte ^= std::byte{0x10};
  }
  CHECK_FALSE(decode_header(std::span(page).first(100)));
}

TEST_CASE("a record is taken only whole, unchanged and with the key of its segment") {
  for (const std::size_t body_bytes : {0U, 1U, 7U, 8U, 100U}) {
    std::vector<std::byte> record(record_bytes(body_bytes), std::byte{0xFF});
    begin_record(record, RecordKind::kEvent, 5, 99, body_bytes);
    finish_record(record, 1234);
    RecordView view;
    REQUIRE(parse_record(record, 4096, 1234, view) == ParseStatus::kRecord);
    CHECK(view.seq == 5);
    CHECK(view.time_ns == 99);
    CHECK(view.offset == 4096);
    CHECK(view.body.size() == body_bytes);
    CHECK(parse_record(record, 4096, 1235, view) == ParseStatus::kBad);
    CHECK(parse_record(std::span(record).first(record.size() - 1), 0, 1234, view) == ParseStatus::kIncomplete);
    for (std::byte& byte : record) {
      for (const unsigned mask : {0x01U, 0x80U, 0xFFU}) {
        byte ^= static_cast<std::byte>(mask);
        if (parse_record(record, 0, 1234, view) == ParseStatus::kRecord) FAIL("byte " << &byte - record.data());
        byte ^= static_cast<std::byte>(mask);
      }
    }
  }
  const std::vector<std::byte> zeroes(64);
  RecordView view;
  CHECK(parse_record(zeroes, 0, 1234, view) == ParseStatus::kZero);
}
