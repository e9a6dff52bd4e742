// Computes the tree over a log while it is verified and holds it against the checkpoints in it, and against one that
// was kept elsewhere.
//
// Ownership and thread: a value that a verification feeds segment by segment, on one thread; a copy taken before a
// segment is what it is set back to where that segment must be read again. The evidence must outlive it.
// Errors: only `make`, for a checkpoint that proves nothing; what is wrong with the log are damages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/event_log/batch_witness.h"
#include "kernel/event_log/checkpoint.h"
#include "kernel/event_log/event_log.h"

namespace liongate::event_log {

class CheckpointAudit final : public BatchWitness {
 public:
  // `node` is nothing where the log holds no segment that could be read.
  static Result<CheckpointAudit> make(const Evidence& evidence, std::optional<NodeId> node);

  enum class Place : std::uint8_t { kOldest, kLater };
  void begin_segment(const SegmentHeader& header, Place place);
  void on_checkpoint(const RecordView& record) override;
  void on_batch(const Commit& commit, std::uint64_t offset) override;
  void on_gap() override;

  // What was found since the last call.
  std::vector<Damage> take_damages();
  // The end: adds what is known only now to `result`.
  void finish(Verification& result);

 private:
  // Consecutive checkpoints by the same key.
  struct KeySpan {
    signing::NoteKey key;
    EventSeq from_seq = 0;  // the first event that no key before it covers
    std::string segment;
    std::uint64_t offset = 0;
  };

  CheckpointAudit(const Evidence& evidence, std::string origin);
  void report(DamageKind kind, std::uint64_t offset, const std::string& what);
  void check_signature(const SignedCheckpoint& found, std::uint64_t offset);
  void compare_kept(std::uint64_t offset);
  void judge_keys(Verification& result) const;
  void judge_kept(Verification& result);
  void note_what_is_unproved(Verification& result) const;
  Damage damage(DamageKind kind, const std::string& segment, std::uint64_t offset, const std::string& what) const;

  const Evidence* evidence_;
  signing::KeyRing keys_;  // the evidence's, with the trusted one
  std::string origin_;
  std::optional<Checkpoint> kept_;
  CheckpointVerdict verdict_ = CheckpointVerdict::kNone;

  std::shared_ptr<ChainHash> hasher_ = std::make_shared<ChainHash>();
  std::optional<MerkleTree> tree_;  // nothing: unknown until the next checkpoint
  EventSeq first_seq_ = 0;          // there is; 0: the log is empty
  EventSeq last_seq_ = 0;           // in front
  bool place_known_ = true;         // nothing is missing right in front
  bool gapped_ = false;             // something was missing anywhere
  bool signing_begun_ = false;      // from here on every segment begins with a checkpoint
  bool beginning_checked_ = false;  // of this segment
  std::string segment_;
  std::uint64_t last_offset_ = 0;
  std::vector<Damage> damages_;
  std::vector<KeySpan> spans_;
  std::uint64_t checkpoints_ = 0;
  EventSeq signed_seq_ = 0;
};

}  // namespace liongate::event_log
