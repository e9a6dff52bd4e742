#include "kernel/snapshot/snapshot_store.h"

#include <algorithm>
#include <cerrno>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::snapshot {
namespace {

constexpr const char* kSpareName = "spare.tmp";
constexpr mode_t kFolderMode = 0700;

}  // namespace

Result<std::vector<EventSeq>> SnapshotStore::list() {
  LG_ASSIGN(const std::vector<std::string> names, storage_->list());
  std::vector<EventSeq> seqs;
  for (const std::string& name : names) {
    if (const auto seq = parse_file_name(name)) seqs.push_back(*seq);
  }
  std::sort(seqs.rbegin(), seqs.rend());
  return seqs;
}

Result<v1::Snapshot> SnapshotStore::read(EventSeq seq) {
  LG_ASSIGN(const std::shared_ptr<event_log::File> file, storage_->open(file_name(seq), event_log::Access::kRead));
  LG_ASSIGN(const std::uint64_t size, file->size_bytes());
  if (size > limits::kSnapshotBytesMax + kFrameBytes) {
    return make_error(Reason::kLogCorrupt, "it is damaged: " + std::to_string(size) + " bytes are over the bound");
  }
  std::string bytes(static_cast<std::size_t>(size), '\0');
  LG_ASSIGN(const std::size_t got, file->read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size()))));
  bytes.resize(got);
  LG_ASSIGN(v1::Snapshot snapshot, decode(bytes));
  if (snapshot.seq() != seq) return make_error(Reason::kLogCorrupt, "its name is not that of its content");
  return snapshot;
}

Result<WrittenSnapshot> SnapshotStore::write(const v1::Snapshot& snapshot) {
  LG_ASSIGN(const std::string bytes, encode(snapshot));
  const std::string name = file_name(snapshot.seq());
  {
    LG_ASSIGN(const std::shared_ptr<event_log::File> file, storage_->open(kSpareName, event_log::Access::kCreate));
    LG_TRY(file->resize(0));  // of a crash, or of a disk that was full
    LG_TRY(file->write_at(0, std::as_bytes(std::span(bytes.data(), bytes.size()))));
    LG_TRY(file->sync());
  }
  auto renamed = storage_->rename(kSpareName, name);
  if (!renamed && renamed.error().sys_errno == EEXIST) {
    LG_TRY(storage_->remove(name));
    renamed = storage_->rename(kSpareName, name);
  }
  LG_TRY(std::move(renamed));
  LG_TRY(storage_->sync_dir());
  return WrittenSnapshot{snapshot.seq(), name, bytes.size(), snapshot.state_sha256()};
}

Result<void> SnapshotStore::keep_only(const std::vector<EventSeq>& keep) {
  LG_ASSIGN(const std::vector<EventSeq> seqs, list());
  for (const EventSeq seq : seqs) {
    if (std::find(keep.begin(), keep.end(), seq) == keep.end()) LG_TRY(storage_->remove(file_name(seq)));
  }
  return storage_->sync_dir();
}

Result<std::shared_ptr<SnapshotStore>> open_store(const std::string& folder) {
  auto made = sys::make_directories(folder, kFolderMode);
  if (!made) return std::move(made).error().in("snapshot folder");
  LG_ASSIGN(auto storage, event_log::open_disk_storage(folder));
  return std::make_shared<SnapshotStore>(std::move(storage));
}

Result<std::shared_ptr<SnapshotStore>> find_store(const std::string& folder) {
  auto storage = event_log::open_disk_storage(folder);
  if (!storage && storage.error().sys_errno == ENOENT) return std::shared_ptr<SnapshotStore>();
  if (!storage) return std::move(storage).error();
  return std::make_shared<SnapshotStore>(std::move(*storage));
}

}  // namespace liongate::snapshot
