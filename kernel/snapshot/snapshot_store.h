// The folder of snapshots: writes one so that it is whole or not there, reads one back, keeps few.
//
//   <state>/snapshots/00000000000000187263.snapshot     one snapshot (kernel/snapshot/snapshot_file.h)
//   <state>/snapshots/spare.tmp                         one in the making; of no value after a crash
//
// Written as spare.tmp, synced, renamed, the folder synced. Files with other names are left alone. Whatever is here is
// derived from the log and may be deleted, as long as retention has removed nothing from it.
//
// Ownership and thread: shares a Storage of its own folder; one thread at a time. Errors: what the storage returns, and
// what decode says of a file that is no snapshot.
#pragma once

#include <memory>
#include <vector>

#include "kernel/event_log/storage.h"
#include "kernel/snapshot/snapshot_file.h"

namespace liongate::snapshot {

struct WrittenSnapshot {
  EventSeq seq = 0;
  std::string file;
  std::uint64_t size_bytes = 0;
  std::string state_sha256;
};

class SnapshotStore {
 public:
  explicit SnapshotStore(std::shared_ptr<event_log::Storage> storage) : storage_(std::move(storage)) {}

  // What snapshots there are, newest first; whether they can be used is not known yet.
  Result<std::vector<EventSeq>> list();
  Result<v1::Snapshot> read(EventSeq seq);

  // Durable when it returns. A snapshot of the same event is replaced.
  Result<WrittenSnapshot> write(const v1::Snapshot& snapshot);

  // Removes every snapshot but those in `keep`.
  Result<void> keep_only(const std::vector<EventSeq>& keep);

 private:
  std::shared_ptr<event_log::Storage> storage_;
};

// The folder `folder` on disk, made with mode 0700 when missing.
Result<std::shared_ptr<SnapshotStore>> open_store(const std::string& folder);
// The same, and nothing (no error) where there is no such folder; changes nothing.
Result<std::shared_ptr<SnapshotStore>> find_store(const std::string& folder);

}  // namespace liongate::snapshot
