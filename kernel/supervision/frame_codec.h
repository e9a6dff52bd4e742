// Cuts a byte stream into frames and joins frames into one; the length is checked before anything is allocated.
//
// Format: 4 bytes length, little-endian, then so many bytes of one serialised liongate.v1.Frame (frame.proto has the
// prose). Ownership and thread: one decoder a pipe, used by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernel/base/limits.h"
#include "kernel/base/result.h"
#include "liongate/v1/frame.pb.h"

namespace liongate::supervision {

class FrameDecoder {
 public:
  explicit FrameDecoder(std::uint32_t frame_bytes_max = limits::kFrameBytesMax) : frame_bytes_max_(frame_bytes_max) {}

  // Room for the next read; `read_bytes` then says how much of it was filled.
  std::span<char> room();
  void filled(std::size_t read_bytes) { end_ += read_bytes; }

  // Takes the next whole frame out of what was read. Returns false when more bytes are needed. A length of 0 or above
  // the bound, more than limits::kFrameFieldsMax fields, or bytes that are no Frame, is kPluginProtocolError; the
  // decoder is of no use after it.
  Result<bool> next(v1::Frame& frame);

  // True while the beginning of a frame was read and its end was not.
  bool midway() const { return end_ > begin_; }

  // What its buffer takes: at most twice the largest frame and a chunk.
  std::size_t memory_bytes() const { return buffer_.capacity(); }

 private:
  std::uint32_t frame_bytes_max_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t wanted_ = 0;  // whole size of the frame that is midway, 0 when its length is not known yet
};

// Appends the length and the bytes of `frame` to `out`. Fails with kInputTooLarge above the bound.
Result<void> append_frame(const v1::Frame& frame, std::string& out);

}  // namespace liongate::supervision
