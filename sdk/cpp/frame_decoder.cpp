#include "sdk/cpp/frame_decoder.h"

#include <algorithm>
#include <cstring>

namespace liongate::plugin {

std::span<char> FrameDecoder::space() {
  const std::size_t held = end_ - begin_;
  if (held == 0 && capacity_ > kReadBytes) {
    buffer_.reset();  // a large frame has passed; an idle plugin does not keep megabytes for the next one
    capacity_ = 0;
  } else if (held > 0 && begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, held);
  }
  begin_ = 0;
  end_ = held;
  // A length above the bound never gets room: next() has refused it before anybody asks for space.
  const std::size_t wanted = held < kFrameHeaderBytes ? 0 : kFrameHeaderBytes + pending_length();
  if (held == capacity_ || capacity_ < kReadBytes) {
    // Doubling instead of trusting the length at once: only bytes that really arrive make the buffer large.
    reserve(std::max(kReadBytes, std::min(wanted, 2 * capacity_)));
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

std::optional<std::string_view> FrameDecoder::next() {
  if (!error_.empty() || end_ - begin_ < kFrameHeaderBytes) return std::nullopt;
  const std::uint32_t length = pending_length();
  if (length == 0) {
    error_ = "a frame of length 0";
    return std::nullopt;
  }
  if (length > frame_bytes_max_) {
    error_ =
        "a frame of " + std::to_string(length) + " bytes, at most " + std::to_string(frame_bytes_max_) + " are allowed";
    return std::nullopt;
  }
  if (end_ - begin_ - kFrameHeaderBytes < length) return std::nullopt;
  const std::string_view frame(buffer_.get() + begin_ + kFrameHeaderBytes, length);
  begin_ += kFrameHeaderBytes + length;
  return frame;
}

void FrameDecoder::reserve(std::size_t bytes) {
  if (bytes <= capacity_) return;
  std::unique_ptr<char[]> larger(new char[bytes]);
  if (end_ > 0) std::memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ = bytes;
}

std::uint32_t FrameDecoder::pending_length() const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(buffer_.get()) + begin_;
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

}  // namespace liongate::plugin
