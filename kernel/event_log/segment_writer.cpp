#include "kernel/event_log/segment_writer.h"

#include <sys/random.h>

namespace liongate::event_log {

SegmentWriter::SegmentWriter(std::shared_ptr<File> file, const LogEnd& end)
    : file_(std::move(file)), first_seq_(end.last_seq + 1), last_seq_(end.last_seq), last_time_ns_(end.last_time_ns) {}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(Storage& storage, const LogEnd& end,
                                                             std::int64_t created_ns) {
  LG_ASSIGN(std::shared_ptr<File> spare, storage.open(kSpareFileName, Access::kWrite));
  SegmentHeader header;
  header.node = end.node;
  header.epoch = end.epoch;
  header.first_seq = end.last_seq + 1;
  header.created_ns = created_ns;
  header.previous_hash = end.hash;
  LG_ASSERT(::getrandom(&header.salt, sizeof header.salt, 0) == static_cast<ssize_t>(sizeof header.salt));
  std::array<std::byte, kSegmentHeaderBytes> page;
  encode_header(header, page);
  LG_TRY(spare->write_at(0, page));
  LG_TRY(spare->sync());
  LG_TRY(storage.rename(kSpareFileName, segment_name(header.first_seq)));
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
  const bool has_events = batch.count() != 0;
  const EventSeq last_seq = has_events ? batch.last_seq() : last_seq_;
  const std::int64_t last_time_ns = has_events ? batch.last_time_ns() : last_time_ns_;
  Commit commit{.count = batch.count(),
                .first_seq = has_events ? batch.first_seq() : last_seq_ + 1,
                .last_seq = last_seq,
                .batch_offset = position_,
                .durable_offset = durable_offset_,
                .previous_hash = hash_};
  const std::span<std::byte> all = batch.records_and(kLinkRecordBytes);
  const std::span<std::byte> record = all.subspan(records.size());
  const std::span<std::byte, kLinkBodyBytes> body(record.data() + kRecordHeaderBytes, kLinkBodyBytes);
  begin_record(record, RecordKind::kCommit, last_seq, last_time_ns, kLinkBodyBytes);
  encode_commit(commit, body);
  commit.hash = chain_.of_link(hash_, records, body);
  encode_commit(commit, body);
  finish_record(record, key_);
  LG_TRY(file_->write_at(position_, all));
  position_ += all.size();
  hash_ = commit.hash;
  last_seq_ = last_seq;
  last_time_ns_ = last_time_ns;
  return {};
}

Result<void> SegmentWriter::sync() {
  if (durable_offset_ == position_) return {};
  LG_TRY(file_->sync());
  durable_offset_ = position_;
  return {};
}

Result<void> SegmentWriter::seal(SealReason reason, LogEnd& end) {
  LG_ASSERT(durable_offset_ == position_ && !empty());
  const SealPlace place{.offset = position_, .key = key_, .time_ns = last_time_ns_};
  LG_ASSIGN(end.hash,
            write_seal(*file_, place,
                       {.reason = reason, .first_seq = first_seq_, .last_seq = last_seq_, .previous_hash = hash_}));
  end.last_seq = last_seq_;
  end.last_time_ns = last_time_ns_;
  return {};
}

}  // namespace liongate::event_log
