#include "kernel/event_log/segment_writer.h"

#include <cerrno>

#include "kernel/base/failpoint.h"
#include "kernel/event_log/runtime.h"

namespace liongate::event_log {

SegmentWriter::SegmentWriter(std::shared_ptr<File> file, const LogEnd& end)
    : file_(std::move(file)), first_seq_(end.last_seq + 1), last_seq_(end.last_seq), last_time_ns_(end.last_time_ns) {}

namespace {

// Where space ran out between the rename and the sync of the folder, the file has its new name already when the same
// segment is tried again. Nothing but a header was ever in it.
Result<std::shared_ptr<File>> open_spare(Storage& storage, const std::string& segment, bool& named) {
  auto spare = storage.open(kSpareFileName, Access::kWrite);
  named = !spare && spare.error().sys_errno == ENOENT;
  return named ? storage.open(segment, Access::kWrite) : std::move(spare);
}

}  // namespace

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(Storage& storage, const LogEnd& end,
                                                             std::int64_t created_ns) {
  const std::string name = segment_name(end.last_seq + 1);
  bool named = false;
  LG_ASSIGN(std::shared_ptr<File> spare, open_spare(storage, name, named));
  SegmentHeader header;
  header.node = end.node;
  header.epoch = end.epoch;
  header.first_seq = end.last_seq + 1;
  header.created_ns = created_ns;
  header.previous_hash = end.hash;
  header.salt = runtime::random_salt();
  std::array<std::byte, kSegmentHeaderBytes> page;
  encode_header(header, page);
  LG_TRY(spare->write_at(0, page));
  LG_TRY(sync_or_fail(*spare));
  failpoint::reach(failpoint::Point::kLogSegmentBegun);
  if (!named) LG_TRY(storage.rename(kSpareFileName, name));
  failpoint::reach(failpoint::Point::kLogSegmentNamed);
  LG_TRY(storage.sync_dir());
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(spare), end));
  writer->key_ = segment_key(page);
  writer->hash_ = writer->chain_.of_header(page);
  return writer;
}

Result<void> SegmentWriter::write(Batch& batch) {
  const std::span<std::byte> records = batch.records();
  for (std::size_t at = 0; at < records.size();) {
    const std::size_t bytes = stated_record_bytes(records.subspan(at));
    finish_record(records.subspan(at, bytes), key_);
    at += bytes;
  }
  Commit commit{.count = batch.count(),
                .first_seq = batch.first_seq(),
                .last_seq = batch.last_seq(),
                .batch_offset = position_,
                .durable_offset = durable_offset_,
                .previous_hash = hash_};
  const std::span<std::byte> all = batch.records_and(kLinkRecordBytes);
  const std::span<std::byte> record = all.subspan(records.size());
  const std::span<std::byte, kLinkBodyBytes> body(record.data() + kRecordHeaderBytes, kLinkBodyBytes);
  begin_record(record, RecordKind::kCommit, batch.last_seq(), batch.last_time_ns(), kLinkBodyBytes);
  encode_commit(commit, body);
  commit.hash = chain_.of_link(hash_, records, body);
  encode_commit(commit, body);
  finish_record(record, key_);
  failpoint::reach(failpoint::Point::kLogBeforeWrite);
  LG_TRY(file_->write_at(position_, all));
  failpoint::reach(failpoint::Point::kLogAfterWrite);
  position_ += all.size();
  hash_ = commit.hash;
  last_seq_ = batch.last_seq();
  last_time_ns_ = batch.last_time_ns();
  return {};
}

Result<void> SegmentWriter::sync() {
  if (durable_offset_ == position_) return {};
  LG_TRY(sync_or_fail(*file_));
  failpoint::reach(failpoint::Point::kLogAfterSync);
  durable_offset_ = position_;
  return {};
}

Result<void> SegmentWriter::seal(SealReason reason, LogEnd& end) {
  LG_ASSERT(durable_offset_ == position_ && !empty());
  failpoint::reach(failpoint::Point::kLogBeforeSeal);
  const SealPlace place{.offset = position_, .key = key_, .time_ns = last_time_ns_};
  LG_ASSIGN(end.hash,
            write_seal(*file_, place,
                       {.reason = reason, .first_seq = first_seq_, .last_seq = last_seq_, .previous_hash = hash_}));
  end.last_seq = last_seq_;
  end.last_time_ns = last_time_ns_;
  return {};
}

}  // namespace liongate::event_log
