// Goal: frames come out as they went in however the pipe cuts them, and no bytes a plugin sends cost more than they
// are.
#include "kernel/supervision/frame_codec.h"

#include <catch2/catch.hpp>
#include <cstring>

using namespace liongate;
using supervision::append_frame;
using supervision::FrameDecoder;

namespace {

v1::Frame result_frame(std::uint64_t call_id, const std::string& text) {
  v1::Frame frame;
  frame.mutable_result()->set_call_id(call_id);
  frame.mutable_result()->mutable_output()->set_text(text);
  return frame;
}

std::string bytes_of(const v1::Frame& frame) {
  std::string bytes;
  REQUIRE(append_frame(frame, bytes).has_value());
  return bytes;
}

std::string length_header(std::uint32_t length) {
  std::string header(4, '\0');
  for (unsigned i = 0; i < 4; ++i) header[i] = static_cast<char>(length >> (8 * i) & 0xFF);
  return header;
}

void feed(FrameDecoder& decoder, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> room = decoder.room();
    REQUIRE_FALSE(room.empty());
    const std::size_t count = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), count);
    decoder.filled(count);
    bytes.remove_prefix(count);
  }
}

// The texts of all whole frames.
std::vector<std::string> take_all(FrameDecoder& decoder) {
  std::vector<std::string> texts;
  v1::Frame frame;
  for (;;) {
    const Result<bool> more = decoder.next(frame);
    REQUIRE(more.has_value());
    if (!*more) return texts;
    texts.push_back(frame.result().output().text());
  }
}

Reason refusal_of(std::string_view bytes, std::uint32_t frame_bytes_max = limits::kFrameBytesMax) {
  FrameDecoder decoder(frame_bytes_max);
  feed(decoder, bytes);
  v1::Frame frame;
  const Result<bool> next = decoder.next(frame);
  REQUIRE_FALSE(next.has_value());
  return next.error().reason;
}

}  // namespace

TEST_CASE("the length stands in front, little-endian") {
  const std::string bytes = bytes_of(result_frame(1, std::string(300, 'x')));
  const std::size_t body = bytes.size() - 4;
  CHECK(static_cast<unsigned char>(bytes[0]) == (body & 0xFF));
  CHECK(static_cast<unsigned char>(bytes[1]) == (body >> 8));
  CHECK(bytes[2] == 0);
  CHECK(bytes[3] == 0);
}

TEST_CASE("frames cut at every byte come out whole") {
  const std::string bytes = bytes_of(result_frame(1, "first")) + bytes_of(result_frame(2, "second"));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameDecoder decoder;
    feed(decoder, std::string_view(bytes).substr(0, cut));
    std::vector<std::string> texts = take_all(decoder);
    feed(decoder, std::string_view(bytes).substr(cut));
    for (std::string& text : take_all(decoder)) texts.push_back(std::move(text));
    INFO("cut at " << cut);
    CHECK(texts == std::vector<std::string>{"first", "second"});
    CHECK_FALSE(decoder.midway());
  }
}

TEST_CASE("frames that come byte by byte come out whole") {
  const std::string bytes = bytes_of(result_frame(1, "slow"));
  FrameDecoder decoder;
  v1::Frame frame;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    feed(decoder, bytes.substr(i, 1));
    CHECK_FALSE(*decoder.next(frame));
    CHECK(decoder.midway());
  }
  feed(decoder, bytes.substr(bytes.size() - 1));
  CHECK(take_all(decoder) == std::vector<std::string>{"slow"});
}

TEST_CASE("many frames in one read come out in order") {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += bytes_of(result_frame(1, std::to_string(i)));
  FrameDecoder decoder;
  feed(decoder, bytes);
  const std::vector<std::string> texts = take_all(decoder);
  REQUIRE(texts.size() == 5000);
  for (int i = 0; i < 5000; ++i) REQUIRE(texts[static_cast<std::size_t>(i)] == std::to_string(i));
}

TEST_CASE("a frame larger than any single read comes out whole, and small ones behind it") {
  const std::string large(3 * 1024 * 1024, 'L');
  FrameDecoder decoder;
  feed(decoder, bytes_of(result_frame(1, large)) + bytes_of(result_frame(2, "small")));
  CHECK(take_all(decoder) == std::vector<std::string>{large, "small"});
  CHECK(decoder.room().size() <= 2 * limits::kFrameReadChunkBytes);
}

TEST_CASE("a length of 0 is a protocol error") {
  CHECK(refusal_of(length_header(0)) == Reason::kPluginProtocolError);
}

TEST_CASE("a length over the bound is refused as soon as it is known; one at the bound is awaited") {
  CHECK(refusal_of(length_header(limits::kFrameBytesMax + 1)) == Reason::kPluginProtocolError);
  CHECK(refusal_of(length_header(0xFFFFFFFF)) == Reason::kPluginProtocolError);
  FrameDecoder decoder;
  feed(decoder, length_header(limits::kFrameBytesMax));
  v1::Frame frame;
  CHECK(*decoder.next(frame) == false);
}

TEST_CASE("bytes that are no Frame are a protocol error") {
  CHECK(refusal_of(length_header(5) + "\xFF\xFF\xFF\xFF\xFF") == Reason::kPluginProtocolError);
  CHECK(refusal_of("GET / HTTP/1.1\r\n\r\n") == Reason::kPluginProtocolError);
}

TEST_CASE("text that is not UTF-8 is no Frame: nothing behind the decoder has to doubt it") {
  v1::Frame frame;
  frame.mutable_result()->mutable_output()->set_data("\xC3\x28");
  std::string body = frame.SerializeAsString();
  const std::size_t at = body.find("\xC3\x28");
  body[at - 2] = 0x0A;  // Payload.text instead of Payload.data: the same bytes as a string field
  CHECK(refusal_of(length_header(static_cast<std::uint32_t>(body.size())) + body) == Reason::kPluginProtocolError);
}

TEST_CASE("an announced length costs nothing until its bytes come") {
  FrameDecoder decoder;
  feed(decoder, length_header(limits::kFrameBytesMax) + std::string(100, 'x'));
  v1::Frame frame;
  REQUIRE_FALSE(*decoder.next(frame));
  CHECK(decoder.room().size() <= limits::kFrameReadChunkBytes);
}

TEST_CASE("what is read ahead stays bounded by what has arrived") {
  FrameDecoder decoder;
  v1::Frame frame;
  feed(decoder, length_header(8 * 1024 * 1024));
  for (int i = 0; i < 100; ++i) {
    feed(decoder, std::string(10'000, 'x'));
    REQUIRE_FALSE(*decoder.next(frame));
    CHECK(decoder.room().size() <= 2 * limits::kFrameReadChunkBytes);
  }
}

TEST_CASE("append_frame takes a frame at the bound and refuses a larger one without touching what is there") {
  v1::Frame frame = result_frame(1, "");
  std::string& text = *frame.mutable_result()->mutable_output()->mutable_text();
  text.assign(limits::kFrameBytesMax - 64, 'x');
  while (frame.ByteSizeLong() < limits::kFrameBytesMax) text.push_back('x');
  std::string bytes = "before";
  CHECK(append_frame(frame, bytes).has_value());
  CHECK(bytes.size() == 6 + 4 + limits::kFrameBytesMax);

  text.push_back('x');
  bytes = "before";
  const Result<void> refused = append_frame(frame, bytes);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().reason == Reason::kInputTooLarge);
  CHECK(bytes == "before");
}

namespace {

// A whole frame around these bytes of a Result.
std::string frame_of_result(std::string_view result) {
  std::string frame(1, static_cast<char>(v1::Frame::kResultFieldNumber << 3 | 2));
  for (std::size_t left = result.size();; left >>= 7) {
    frame.push_back(static_cast<char>(left < 0x80 ? left : (left & 0x7F) | 0x80));
    if (left < 0x80) break;
  }
  frame += result;
  return length_header(static_cast<std::uint32_t>(frame.size())) + frame;
}

std::string repeated(std::string_view piece, int times) {
  std::string bytes;
  for (int i = 0; i < times; ++i) bytes += piece;
  return bytes;
}

Result<bool> decoded(const std::string& bytes) {
  FrameDecoder decoder;
  feed(decoder, bytes);
  v1::Frame frame;
  return decoder.next(frame);
}

}  // namespace

TEST_CASE("a frame has no more fields than the bound, wherever they are") {
  const std::string warning("\x22\x00", 2);          // field 4, empty
  const std::string entry("\x2a\x00", 2);            // field 5, an empty entry of metadata: one key, many times
  const std::string unknown("\xa0\x06\x01", 3);      // field 100, a number
  const std::string group("\xa3\x06\xa4\x06", 4);    // field 100, an empty group: two tags
  const std::string output_head("\x12\x80\x7d", 3);  // field 2, the payload: 16,000 bytes of
  const std::string empty_text("\x0a\x00", 2);       //   field 1, empty, 8,000 times
  constexpr int kOuter = 1;                          // the Result itself
  constexpr int kMax = limits::kFrameFieldsMax;
  CHECK(decoded(frame_of_result(repeated(warning, kMax - kOuter))));
  for (const std::string& piece : {warning, entry, unknown}) {
    const auto refused = decoded(frame_of_result(repeated(piece, kMax - kOuter + 1)));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == Reason::kPluginProtocolError);
    CHECK(refused.error().message == "a frame has more than 4096 fields");
  }
  CHECK_FALSE(decoded(frame_of_result(repeated(group, kMax))));
  CHECK_FALSE(decoded(frame_of_result(output_head + repeated(empty_text, 8'000))));
  // What is no message does not hide what comes behind it.
  const std::string odd("\xa2\x06\x01\x00", 4);  // field 100, one byte that is no field
  CHECK_FALSE(decoded(frame_of_result(odd + repeated(warning, kMax))));
  std::string hidden = odd + frame_of_result(repeated(warning, kMax)).substr(4);
  CHECK_FALSE(decoded(length_header(static_cast<std::uint32_t>(hidden.size())) + hidden));
  // Bytes of a payload are no fields, however many.
  v1::Frame large;
  large.mutable_result()->mutable_output()->set_data(std::string(1'000'000, '\x22'));
  CHECK(decoded(bytes_of(large)));
}

TEST_CASE("frames that follow one another without a pause take the memory of one") {
  FrameDecoder decoder;
  const std::string frame = bytes_of(result_frame(1, std::string(1'000'003, 'x')));
  const std::string stream = frame + frame + frame + frame + frame + frame + frame + frame;
  std::size_t taken = 0;
  // A pipe gives 64 KiB at a time, so that a read ends in one frame and begins in the one before.
  for (int round = 0; round < 8; ++round) {
    for (std::size_t at = 0; at < stream.size(); at += 65'536) {
      feed(decoder, std::string_view(stream).substr(at, 65'536));
      taken += take_all(decoder).size();
      REQUIRE(decoder.memory_bytes() <= 2 * (frame.size() + limits::kFrameReadChunkBytes));
    }
  }
  CHECK(taken == 64);
}
