// Walks the records of one segment through a buffer, checking each checksum; knows nothing of batches or order.
//
// Ownership and thread: shares the file; one thread at a time. A RecordView is valid until the next call.
// Errors: only what the file's reads return. Damage is a step, not an error: the caller knows what it means.
#pragma once

#include <memory>
#include <vector>

#include "kernel/event_log/format.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

class RecordCursor {
 public:
  enum class Step : std::uint8_t {
    kRecord,
    kEnd,   // the bound is reached
    kZero,  // zeroes at offset(): nothing was written here
    kBad,   // no record of this segment at offset()
  };

  // Reads `file` from `begin` up to `end`, never beyond it.
  RecordCursor(std::shared_ptr<File> file, std::uint32_t key, std::uint64_t begin, std::uint64_t end);

  Result<Step> next(RecordView& record);
  // Steps over anything at 8-byte distances, from the current offset on, until a whole commit or seal is found, and
  // returns it as `next` would. kEnd where there is none. For finding what lies behind damage.
  Result<Step> next_link(RecordView& record);

  std::uint64_t offset() const { return offset_; }  // of the next record
  std::uint64_t end() const { return end_; }
  void jump_to(std::uint64_t offset);
  void extend_to(std::uint64_t end) { end_ = end; }

 private:
  std::span<const std::byte> buffered() const;
  Result<bool> fill(std::size_t wanted_bytes);

  std::shared_ptr<File> file_;
  std::uint32_t key_;
  std::uint64_t offset_;
  std::uint64_t end_;
  std::vector<std::byte> buffer_;
  std::uint64_t buffer_offset_ = 0;  // where in the segment the buffer begins
  std::size_t buffer_bytes_ = 0;
};

// Opens the segment `name` and decodes its header. kLogCorrupt for a bad header, kInvalidConfig for a newer format.
struct OpenedSegment {
  std::shared_ptr<File> file;
  SegmentHeader header;
  std::uint32_t key = 0;
  std::vector<std::byte> page;  // the header's bytes, where the chain begins
  std::uint64_t size_bytes = 0;
};
Result<OpenedSegment> open_segment(Storage& storage, const std::string& name, Access access);

}  // namespace liongate::event_log
