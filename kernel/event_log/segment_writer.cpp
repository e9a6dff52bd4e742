#include "kernel/event_log/segment_writer.h"

#include <cerrno>

#include "kernel/base/failpoint.h"
#include "kernel/event_log/runtime.h"

namespace liongate::event_log {

SegmentWriter::SegmentWriter(std::shared_ptr<File> file, const LogEnd& end)
    : file_(std::move(file)), first_seq_(end.last_seq + 1), last_seq_(end.last_seq), last_time_ns_(end.last_time_ns) {}

namespace {

struct Begun {
  std::shared_ptr<File> file;
  std::array<std::byte, kSegmentHeaderBytes> page;
};

// Writes the header while the file is nobody's segment yet, then gives it its name.
Result<Begun> begin(Storage& storage, const LogEnd& end, std::int64_t created_ns) {
  const std::string name = segment_name(end.last_seq + 1);
  Begun begun;
  auto spare = storage.open(kSpareFileName, Access::kWrite);
  if (!spare && spare.error().sys_errno == ENOENT) {
    // Space ran out between the rename and the sync of the folder: the file has its name already, and its header must
    // not be touched any more.
    LG_ASSIGN(begun.file, storage.open(name, Access::kWrite));
    LG_ASSIGN(const std::size_t got, begun.file->read_at(0, begun.page));
    const auto header = decode_header(std::span(begun.page).first(got));
    const bool ours = header && header->first_seq == end.last_seq + 1 && header->previous_hash == end.hash;
    if (!ours) return make_error(Reason::kInternal, "segment " + name + " is not the one that was begun");
    return begun;
  }
  if (!spare) return std::move(spare).error();
  begun.file = *std::move(spare);
  SegmentHeader header;
  header.node = end.node;
  header.epoch = end.epoch;
  header.first_seq = end.last_seq + 1;
  header.created_ns = created_ns;
  header.previous_hash = end.hash;
  header.salt = runtime::random_salt();
  encode_header(header, begun.page);
  LG_TRY(begun.file->write_at(0, begun.page));
  LG_TRY(sync_or_fail(*begun.file));
  failpoint::reach(failpoint::Point::kLogSegmentBegun);
  LG_TRY(storage.rename(kSpareFileName, name));
  failpoint::reach(failpoint::Point::kLogSegmentNamed);
  return begun;
}

}  // namespace

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(Storage& storage, const LogEnd& end,
                                                             std::int64_t created_ns) {
  LG_ASSIGN(Begun begun, begin(storage, end, created_ns));
  LG_TRY(storage.sync_dir());
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(begun.file), end));
  writer->key_ = segment_key(begun.page);
  writer->hash_ = writer->chain_.of_header(begun.page);
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
  failpoint::reach(failpoint::Point::kLogBeforeWrite);
  LG_TRY(file_->write_at(position_, all));
  failpoint::reach(failpoint::Point::kLogAfterWrite);
  position_ += all.size();
  hash_ = commit.hash;
  last_seq_ = last_seq;
  last_time_ns_ = last_time_ns;
  return {};
}

Result<void> SegmentWriter::sync() {
  if (durable_offset_ == position_) return {};
  LG_TRY(sync_or_fail(*file_));
  failpoint::reach(failpoint::Point::kLogAfterSync);
  durable_offset_ = position_;
  return {};
}

Result<void> SegmentWriter::seal(SealReason reason, LogEnd& end, std::span<const std::byte> footer) {
  LG_ASSERT(durable_offset_ == position_ && !empty());
  failpoint::reach(failpoint::Point::kLogBeforeSeal);
  const SealPlace place{.offset = position_, .key = key_, .time_ns = last_time_ns_};
  LG_ASSIGN(
      end.hash,
      write_seal(*file_, place,
                 {.reason = reason, .first_seq = first_seq_, .last_seq = last_seq_, .previous_hash = hash_}, footer));
  end.last_seq = last_seq_;
  end.last_time_ns = last_time_ns_;
  return {};
}

}  // namespace liongate::event_log
