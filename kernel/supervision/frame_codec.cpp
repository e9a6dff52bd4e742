#include "kernel/supervision/frame_codec.h"

#include <algorithm>
#include <cstring>

namespace liongate::supervision {
namespace {

std::uint32_t read_length(const char* bytes) {
  std::uint32_t length = 0;
  for (int i = 3; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

}  // namespace

std::span<char> FrameDecoder::room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    // One large frame must not keep its memory for the rest of the plugin's life.
    if (buffer_.size() > 4 * limits::kFrameReadChunkBytes && wanted_ == 0) {
      buffer_.resize(limits::kFrameReadChunkBytes);
      buffer_.shrink_to_fit();
    }
  } else if (begin_ > 0 && buffer_.size() - end_ < limits::kFrameReadChunkBytes / 16) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Grows by what has really arrived, not by what a length claims: a plugin that announces 16 MiB and sends nothing
  // costs nothing.
  const std::size_t step = std::clamp(end_ - begin_, limits::kFrameReadChunkBytes / 16, limits::kFrameReadChunkBytes);
  const std::size_t needed = end_ + step;
  if (buffer_.size() < needed) buffer_.resize(needed);
  return {buffer_.data() + end_, buffer_.size() - end_};
}

Result<bool> FrameDecoder::next(v1::Frame& frame) {
  if (wanted_ == 0) {
    if (end_ - begin_ < limits::kFrameHeaderBytes) return false;
    const std::uint32_t length = read_length(buffer_.data() + begin_);
    if (length == 0 || length > frame_bytes_max_) {
      return make_error(Reason::kPluginProtocolError, "a frame announces " + std::to_string(length) +
                                                          " bytes; between 1 and " + std::to_string(frame_bytes_max_) +
                                                          " are allowed");
    }
    wanted_ = limits::kFrameHeaderBytes + length;
  }
  if (end_ - begin_ < wanted_) return false;
  const char* body = buffer_.data() + begin_ + limits::kFrameHeaderBytes;
  const bool parsed = frame.ParseFromArray(body, static_cast<int>(wanted_ - limits::kFrameHeaderBytes));
  begin_ += wanted_;
  wanted_ = 0;
  if (!parsed) return make_error(Reason::kPluginProtocolError, "bytes that are no Frame");
  return true;
}

Result<void> append_frame(const v1::Frame& frame, std::string& out) {
  const std::size_t size = frame.ByteSizeLong();
  if (size > limits::kFrameBytesMax) {
    return make_error(Reason::kInputTooLarge, "a frame of " + std::to_string(size) + " bytes is over the bound of " +
                                                  std::to_string(limits::kFrameBytesMax));
  }
  const std::size_t at = out.size();
  out.resize(at + limits::kFrameHeaderBytes + size);
  for (unsigned i = 0; i < limits::kFrameHeaderBytes; ++i) {
    out[at + i] = static_cast<char>(size >> (8 * i) & 0xFF);
  }
  frame.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out.data() + at + limits::kFrameHeaderBytes));
  return {};
}

}  // namespace liongate::supervision
