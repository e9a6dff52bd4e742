#include "kernel/event_log/tree_tail.h"

#include "kernel/base/assert.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/segment_scan.h"

namespace liongate::event_log {
namespace {

constexpr std::size_t kLeavesMax = 64 * 1024;  // kept unhashed, 2 MiB

Result<void> scan_into(Storage& storage, const std::string& name, TreeTail& tail) {
  LG_ASSIGN(const OpenedSegment segment, open_segment(storage, name, Access::kRead));
  LG_ASSIGN(const SegmentScan scan, scan_segment(segment, {.witness = &tail}));
  if (!scan.damages.empty()) return corrupt_error(scan.damages.front());
  return {};
}

}  // namespace

void TreeTail::begin_empty() {
  known_ = true;
}

void TreeTail::on_checkpoint(const RecordView& record) {
  candidate_ = decode_checkpoint(record.body, hasher_);
  // What cannot be read is nothing to go on from; the segment in front may have one, and verify-log tells.
  if (!candidate_) on_gap();
}

void TreeTail::on_batch(const Commit& commit, std::uint64_t /*offset*/) {
  if (candidate_) {
    state_ = {.tree = std::move(candidate_->tree),
              .note = std::move(candidate_->note_text),
              .last_seq = candidate_->signed_checkpoint.checkpoint.last_seq};
    candidate_.reset();
    leaves_.clear();
    known_ = true;
  }
  if (!known_) return;
  leaves_.push_back(commit.hash);
  if (leaves_.size() == kLeavesMax) fold();
}

void TreeTail::on_gap() {
  known_ = false;
  leaves_.clear();
  candidate_.reset();
}

void TreeTail::fold() {
  for (const Hash& leaf : leaves_) state_.tree.append(leaf, hasher_);
  leaves_.clear();
}

TreeState TreeTail::finish() {
  LG_ASSERT(known_);
  fold();
  return std::move(state_);
}

Result<TreeState> complete_tree(Storage& storage, const std::vector<std::string>& segments, TreeTail& tail) {
  if (segments.empty()) return TreeState{};
  if (tail.known()) return tail.finish();
  // A last segment that was written without a key: some segment in front has a checkpoint, or the log never had one.
  for (std::size_t i = segments.size(); i-- > 0;) {
    TreeTail earlier;
    // Where retention took the beginning before anything was signed, the tree begins with the oldest batch there is.
    if (i == 0) earlier.begin_empty();
    LG_TRY(scan_into(storage, segments[i], earlier));
    if (!earlier.known()) continue;
    for (std::size_t next = i + 1; next < segments.size(); ++next) LG_TRY(scan_into(storage, segments[next], earlier));
    if (earlier.known()) return earlier.finish();
  }
  return make_error(Reason::kLogCorrupt, "a checkpoint in the event log cannot be read")
      .with_hint("liongatectl verify-log --state-dir DIR tells which");
}

Result<std::string> find_last_note(Storage& storage, const std::vector<std::string>& segments) {
  for (std::size_t i = segments.size(); i-- > 0;) {
    TreeTail tail;
    LG_TRY(scan_into(storage, segments[i], tail));
    if (tail.known()) return tail.finish().note;
  }
  return std::string();
}

}  // namespace liongate::event_log
