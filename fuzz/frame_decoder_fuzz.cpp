// Feeds the C++ SDK's frame decoder and the Frame parser behind it. The first byte says into which pieces the rest is
// cut; however it is cut, the same frames must come out, nothing larger than the bound, and nothing after an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "liongate/v1/frame.pb.h"
#include "sdk/cpp/frame_decoder.h"

namespace {

using liongate::plugin::FrameDecoder;

constexpr std::uint32_t kFrameBytesMax = 4096;  // small, so that the fuzzer reaches both sides of it

struct Decoded {
  std::vector<std::string> frames;
  std::string error;
  bool midway = false;

  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view bytes, std::size_t piece_bytes) {
  FrameDecoder decoder(kFrameBytesMax);
  Decoded decoded;
  while (!bytes.empty() && decoder.error().empty()) {
    const std::span<char> space = decoder.space();
    const std::size_t count = std::min({space.size(), piece_bytes, bytes.size()});
    std::memcpy(space.data(), bytes.data(), count);
    decoder.commit(count);
    bytes.remove_prefix(count);
    while (const auto frame = decoder.next()) {
      if (frame->empty() || frame->size() > kFrameBytesMax) std::abort();
      decoded.frames.emplace_back(*frame);
    }
  }
  if (!decoder.error().empty() && decoder.next()) std::abort();
  decoded.error = decoder.error();
  decoded.midway = decoder.midway();
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Decoded whole = decode(bytes, bytes.size() + 1);
  Decoded pieces = decode(bytes, 1UL + data[0]);
  // What is left behind a refused length depends on how much was read before; everything else may not.
  if (!whole.error.empty()) whole.midway = pieces.midway = false;
  if (!(whole == pieces)) std::abort();
  for (const std::string& bytes_of_frame : whole.frames) {
    liongate::v1::Frame frame;
    static_cast<void>(frame.ParseFromString(bytes_of_frame));
  }
  return 0;
}
