#include "kernel/supervision/frame_codec.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cstring>

namespace liongate::supervision {
namespace {

std::uint32_t read_length(const char* bytes) {
  std::uint32_t length = 0;
  for (int i = 3; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

using google::protobuf::internal::WireFormatLite;

// Whether `field` of the message `kind` of a Frame is a message itself. Nothing lies deeper.
bool holds_message(int kind, int field) {
  switch (kind) {
    case v1::Frame::kHello:
      return field == v1::Hello::kLimitsFieldNumber;
    case v1::Frame::kReady:
      return field == v1::Ready::kCapabilitiesFieldNumber;
    case v1::Frame::kInvoke:
      return field == v1::Invoke::kInputFieldNumber;
    case v1::Frame::kOutput:
      return field == v1::Output::kPartFieldNumber;
    case v1::Frame::kResult:
      return field == v1::Result::kOutputFieldNumber || field == v1::Result::kFailureFieldNumber ||
             field == v1::Result::kMetadataFieldNumber;
    default:
      return false;
  }
}

// Counts fields down from `left`, a message's own and those of the messages in it; false when there are more. To skip a
// field costs next to nothing; to parse millions of empty ones would keep everybody waiting. Where the bytes of a
// message are no fields it is content: the parser refuses them, too.
bool has_few_fields(google::protobuf::io::CodedInputStream& in, int depth, int kind, int& left) {
  while (const std::uint32_t tag = in.ReadTag()) {
    if (--left < 0) return false;
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    std::uint64_t ignored = 0;
    std::uint32_t bytes = 0;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        if (!in.ReadVarint64(&ignored)) return true;
        break;
      case WireFormatLite::WIRETYPE_FIXED64:
        if (!in.Skip(sizeof(std::uint64_t))) return true;
        break;
      case WireFormatLite::WIRETYPE_FIXED32:
        if (!in.Skip(sizeof(std::uint32_t))) return true;
        break;
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: {
        if (!in.ReadVarint32(&bytes)) return true;
        if (depth == 0 || (depth == 1 && holds_message(kind, field))) {
          const auto outer = in.PushLimit(static_cast<int>(bytes));
          if (!has_few_fields(in, depth + 1, depth == 0 ? field : kind, left)) return false;
          // What is left are no fields: bytes of something unknown, or the parser stops there.
          if (!in.Skip(in.BytesUntilLimit())) return true;
          in.PopLimit(outer);
        } else if (!in.Skip(static_cast<int>(bytes))) {
          return true;
        }
        break;
      }
      default:  // groups: what is in them is counted as what is beside them
        break;
    }
  }
  return true;
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
  }
  // Grows by what has really arrived, not by what a length claims: a plugin that announces 16 MiB and sends nothing
  // costs nothing.
  const std::size_t step = std::clamp(end_ - begin_, limits::kFrameReadChunkBytes / 16, limits::kFrameReadChunkBytes);
  if (begin_ > 0 && buffer_.size() - end_ < step) {
    // Before it grows: of frames that follow one another without a pause it would keep every one that was taken.
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
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
  const int body_bytes = static_cast<int>(wanted_ - limits::kFrameHeaderBytes);
  google::protobuf::io::CodedInputStream fields(reinterpret_cast<const std::uint8_t*>(body), body_bytes);
  int left = limits::kFrameFieldsMax;
  if (!has_few_fields(fields, 0, 0, left)) {
    return make_error(Reason::kPluginProtocolError,
                      "a frame has more than " + std::to_string(limits::kFrameFieldsMax) + " fields");
  }
  const bool parsed = frame.ParseFromArray(body, body_bytes);
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
