#include "kernel/snapshot/snapshot_writer.h"

#include <boost/asio/post.hpp>

#include "kernel/registry/state.h"
#include "kernel/snapshot/state_replay.h"

namespace liongate::snapshot {

SnapshotWriter::~SnapshotWriter() {
  thread_.join();
}

void SnapshotWriter::write(registry::StateCopy copy, std::vector<EventSeq> keep, Done done) {
  auto shared = std::make_shared<registry::StateCopy>(std::move(copy));
  boost::asio::post(thread_, [this, shared, keep = std::move(keep), done = std::move(done)]() mutable {
    Result<WrittenSnapshot> written = write_now(*shared, std::move(keep));
    shared.reset();
    boost::asio::post(parts_.io, [written = std::move(written), done = std::move(done)] { done(written); });
  });
}

Result<WrittenSnapshot> SnapshotWriter::write_now(const registry::StateCopy& copy, std::vector<EventSeq> keep) {
  v1::Snapshot snapshot;
  const event_log::LogView log = parts_.log.view();
  snapshot.set_node_id(log.node_id);
  snapshot.set_seq(copy.state.seq());
  LG_ASSIGN(*snapshot.mutable_event_sha256(), event_sha256(log, copy.state.seq()));
  const std::int64_t now_ns = parts_.clock.wall_ns();
  snapshot.mutable_time()->set_seconds(now_ns / 1'000'000'000);
  snapshot.mutable_time()->set_nanos(static_cast<std::int32_t>(now_ns % 1'000'000'000));
  snapshot.set_version(parts_.version);
  *snapshot.mutable_state() = to_message(copy);
  snapshot.set_state_sha256(registry::state_sha256(snapshot.state()));
  LG_ASSIGN(WrittenSnapshot written, parts_.store->write(snapshot));
  keep.push_back(snapshot.seq());
  LG_TRY(parts_.store->keep_only(keep));
  return written;
}

}  // namespace liongate::snapshot
