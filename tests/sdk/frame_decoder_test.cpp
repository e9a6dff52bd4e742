// The decoder must find the same frames however the bytes are cut, and must refuse lengths before it makes room.
#include "sdk/cpp/frame_decoder.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using liongate::plugin::FrameDecoder;
using liongate::plugin::kReadBytes;

namespace {

std::string framed(std::string_view body) {
  std::string bytes;
  for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(body.size() >> (8 * i) & 0xFFU));
  return bytes.append(body);
}

// Feeds the bytes in pieces of at most `piece_bytes` and collects every frame.
std::vector<std::string> decode(FrameDecoder& decoder, std::string_view bytes, std::size_t piece_bytes) {
  std::vector<std::string> frames;
  while (!bytes.empty() && decoder.error().empty()) {
    const std::span<char> space = decoder.space();
    const std::size_t count = std::min({space.size(), piece_bytes, bytes.size()});
    std::memcpy(space.data(), bytes.data(), count);
    decoder.commit(count);
    bytes.remove_prefix(count);
    while (const auto frame = decoder.next()) frames.emplace_back(*frame);
  }
  return frames;
}

}  // namespace

TEST_CASE("frames are found however the bytes are cut") {
  const std::vector<std::string> bodies = {"a", std::string(300, 'b'), std::string(70'000, 'c'), "d",
                                           std::string(500'000, 'e')};
  std::string bytes;
  for (const std::string& body : bodies) bytes += framed(body);
  const std::size_t piece_bytes = GENERATE(1UL, 3UL, 4096UL, 65'536UL, 1'000'000UL);
  FrameDecoder decoder;
  CHECK(decode(decoder, bytes, piece_bytes) == bodies);
  CHECK(decoder.error().empty());
  CHECK_FALSE(decoder.midway());
}

TEST_CASE("a frame of length 0 is refused") {
  FrameDecoder decoder;
  CHECK(decode(decoder, framed("x") + std::string(4, '\0') + framed("y"), 100) == std::vector<std::string>{"x"});
  CHECK(decoder.error() == "a frame of length 0");
  CHECK_FALSE(decoder.next());
}

TEST_CASE("a length above the bound is refused before there is room for it") {
  FrameDecoder decoder(1000);
  CHECK(decode(decoder, framed(std::string(1000, 'x')), 64).size() == 1);
  CHECK(decode(decoder, std::string("\xE9\x03\0\0", 4), 4).empty());
  CHECK(decoder.error() == "a frame of 1001 bytes, at most 1000 are allowed");
  CHECK(decoder.capacity_bytes() <= kReadBytes);
}

TEST_CASE("the buffer grows with what arrives, not with what a length claims") {
  FrameDecoder decoder;
  CHECK(decode(decoder, std::string("\0\0\0\x01", 4) + "little", 100).empty());  // claims 16 MiB
  CHECK(decoder.error().empty());
  CHECK(decoder.midway());
  static_cast<void>(decoder.space());
  CHECK(decoder.capacity_bytes() == kReadBytes);
}

TEST_CASE("a large frame's memory is given back") {
  FrameDecoder decoder;
  CHECK(decode(decoder, framed(std::string(4UL * 1024 * 1024, 'x')), 65'536).size() == 1);
  CHECK(decoder.capacity_bytes() > kReadBytes);
  static_cast<void>(decoder.space());
  CHECK(decoder.capacity_bytes() == kReadBytes);
}
