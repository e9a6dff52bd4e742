// Cuts the bytes that arrive on a pipe into frames: a 4-byte little-endian length, then that many bytes.
//
// Ownership and thread: owns one buffer, used by the reading thread only. A frame handed out points into the buffer and
// is valid until the next call of space().
// Errors: a length of 0 or above the bound is final; error() then says it in words. Nothing is allocated for a length
// before it was checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace liongate::plugin {

inline constexpr std::size_t kFrameHeaderBytes = 4;
// What frame.proto promises; the daemon's Hello may lower it.
inline constexpr std::uint32_t kFrameBytesMax = 16U * 1024 * 1024 + 64 * 1024;
// One read takes at most what a pipe holds by default. The buffer grows beyond it only for a frame that is larger.
inline constexpr std::size_t kReadBytes = 64UL * 1024;

class FrameDecoder {
 public:
  explicit FrameDecoder(std::uint32_t frame_bytes_max = kFrameBytesMax) : frame_bytes_max_(frame_bytes_max) {}

  void set_frame_bytes_max(std::uint32_t bytes_max) { frame_bytes_max_ = bytes_max; }

  // Where the next bytes go: never empty. Moves what is left to the front, so frames handed out before are gone.
  std::span<char> space();
  void commit(std::size_t bytes) { end_ += bytes; }

  // The next whole frame's bytes, or nothing: more input is needed, or error() is set.
  std::optional<std::string_view> next();

  const std::string& error() const { return error_; }
  bool midway() const { return begin_ != end_; }  // part of a frame is waiting for the rest
  std::size_t capacity_bytes() const { return capacity_; }

 private:
  void reserve(std::size_t bytes);
  std::uint32_t pending_length() const;

  std::uint32_t frame_bytes_max_;
  std::unique_ptr<char[]> buffer_;  // left uninitialised: pages that no byte reached cost no memory
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::string error_;
};

}  // namespace liongate::plugin
