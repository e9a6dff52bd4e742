// Feeds the daemon's frame decoder what a hostile plugin may write to fd 4. The first byte says into which pieces the
// rest is cut; however it is cut, the same frames and the same refusal must come out, the room asked for must stay
// within what has arrived, and a frame that was read must be written and read again as the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/supervision/frame_codec.h"

namespace {

using liongate::supervision::append_frame;
using liongate::supervision::FrameDecoder;

constexpr std::uint32_t kFrameBytesMax = 4096;  // small, so that the fuzzer reaches both sides of it

struct Decoded {
  std::vector<std::string> frames;
  bool refused = false;
  bool midway = false;

  bool operator==(const Decoded&) const = default;
};

void check_round_trip(const liongate::v1::Frame& frame) {
  std::string bytes;
  if (!append_frame(frame, bytes).has_value()) std::abort();
  FrameDecoder decoder;
  const std::span<char> room = decoder.room();
  if (room.size() < bytes.size()) return;  // larger than a first read; the pieces are tried above
  std::memcpy(room.data(), bytes.data(), bytes.size());
  decoder.filled(bytes.size());
  liongate::v1::Frame again;
  const auto next = decoder.next(again);
  if (!next.has_value() || !*next || decoder.midway()) std::abort();
  if (again.kind_case() != frame.kind_case()) std::abort();
}

Decoded decode(std::string_view bytes, std::size_t piece_bytes) {
  FrameDecoder decoder(kFrameBytesMax);
  Decoded decoded;
  liongate::v1::Frame frame;
  while (!bytes.empty() && !decoded.refused) {
    const std::span<char> room = decoder.room();
    if (room.empty() || room.size() > 4 * liongate::limits::kFrameReadChunkBytes) std::abort();
    const std::size_t count = std::min({room.size(), piece_bytes, bytes.size()});
    std::memcpy(room.data(), bytes.data(), count);
    decoder.filled(count);
    bytes.remove_prefix(count);
    for (;;) {
      const auto more = decoder.next(frame);
      decoded.refused = !more.has_value();
      if (decoded.refused || !*more) break;
      if (frame.ByteSizeLong() > kFrameBytesMax) std::abort();
      decoded.frames.push_back(frame.SerializeAsString());
      check_round_trip(frame);
    }
  }
  // What is left behind a refusal depends on how much was read before; everything else may not.
  decoded.midway = !decoded.refused && decoder.midway();
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!(decode(bytes, bytes.size() + 1) == decode(bytes, 1UL + data[0]))) std::abort();
  return 0;
}
