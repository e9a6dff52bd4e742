#include "kernel/event_log/checkpoint_audit.h"

#include <algorithm>

#include "kernel/signing/note_time.h"

namespace liongate::event_log {
namespace {

Error proves_nothing(const std::string& what, const std::string& hint) {
  return make_error(Reason::kInvalidArgument, what).with_hint(hint);
}

// The key that signed `kept`, if it is one to trust; else why the checkpoint proves nothing.
Result<void> check_kept_signature(const signing::KeyRing& keys, const std::optional<signing::NoteKey>& trusted,
                                  const SignedCheckpoint& kept) {
  if (keys.empty()) {
    return proves_nothing("there is no public key to check the checkpoint's signature with",
                          "name the key that was exported with it: --key FILE");
  }
  const signing::NoteKey* const key = keys.signer_of(kept.note);
  if (key == nullptr) {
    return proves_nothing("the checkpoint is signed by a key that this log does not know",
                          "name the key that was exported with it: --key FILE; if you trust the checkpoint, the log's "
                          "keys were replaced");
  }
  if (!kept.note.is_signed_by(*key)) {
    return proves_nothing("the checkpoint has a wrong signature of key " + key->hash_text(),
                          "its text was changed; take another copy of it");
  }
  if (trusted && !keys.vouches(*trusted, *key)) {
    return proves_nothing("the checkpoint is signed by key " + key->hash_text() + ", which the key given, " +
                              trusted->hash_text() + ", did not hand over to",
                          "give the key that was in force when the checkpoint was made, or one before it");
  }
  return {};
}

}  // namespace

std::string_view name_of(CheckpointVerdict verdict) {
  switch (verdict) {
    case CheckpointVerdict::kNone:
      return "";
    case CheckpointVerdict::kExtends:
      return "extends";
    case CheckpointVerdict::kContradicted:
      return "contradicted";
    case CheckpointVerdict::kNotProvable:
      return "not_provable";
  }
  return "unknown";
}

CheckpointAudit::CheckpointAudit(const Evidence& evidence, std::string origin)
    : evidence_(&evidence), keys_(evidence.keys), origin_(std::move(origin)) {
  if (evidence.trusted) keys_.add(*evidence.trusted);
}

Result<CheckpointAudit> CheckpointAudit::make(const Evidence& evidence, std::optional<NodeId> node) {
  CheckpointAudit audit(evidence, node ? checkpoint_origin(*node) : "");
  if (evidence.checkpoint.empty()) return audit;
  const auto kept = parse_checkpoint(evidence.checkpoint);
  if (!kept) return proves_nothing("it is no checkpoint", "make one with liongatectl export-checkpoint");
  if (node && kept->checkpoint.origin != audit.origin_) {
    return proves_nothing(
        "the checkpoint is of " + kept->checkpoint.origin + ", and the log is that of " + audit.origin_,
        "give the log and the checkpoint of the same node");
  }
  LG_TRY(check_kept_signature(audit.keys_, evidence.trusted, *kept));
  audit.kept_ = kept->checkpoint;
  return audit;
}

Damage CheckpointAudit::damage(DamageKind kind, const std::string& segment, std::uint64_t offset,
                               const std::string& what) const {
  return {.kind = kind,
          .segment = segment,
          .offset = offset,
          .last_good_seq = signed_seq_,
          .message = "segment " + segment + " offset " + std::to_string(offset) + ": " + std::string(name_of(kind)) +
                     ": " + what};
}

void CheckpointAudit::report(DamageKind kind, std::uint64_t offset, const std::string& what) {
  damages_.push_back(damage(kind, segment_, offset, what));
}

std::vector<Damage> CheckpointAudit::take_damages() {
  return std::exchange(damages_, {});
}

void CheckpointAudit::begin_segment(const SegmentHeader& header, Place place) {
  if (origin_.empty()) origin_ = checkpoint_origin(header.node);  // the log's first segment was made since it was asked
  segment_ = segment_name(header.first_seq);
  beginning_checked_ = false;
  last_offset_ = 0;
  if (place == Place::kLater) {
    if (header.first_seq != last_seq_ + 1) on_gap();
    return;
  }
  first_seq_ = header.first_seq;
  last_seq_ = header.first_seq - 1;
  if (last_seq_ != 0) return;
  tree_.emplace();
  compare_kept(0);
}

void CheckpointAudit::on_gap() {
  tree_.reset();
  place_known_ = false;
  gapped_ = true;
  beginning_checked_ = true;  // whatever it was
}

void CheckpointAudit::on_checkpoint(const RecordView& record) {
  beginning_checked_ = true;
  const auto found = decode_checkpoint(record.body, *hasher_);
  if (!found) return report(DamageKind::kBadCheckpoint, record.offset, "the checkpoint cannot be read");
  const Checkpoint& checkpoint = found->signed_checkpoint.checkpoint;
  if (checkpoint.origin != origin_) {
    report(DamageKind::kBadCheckpoint, record.offset, "the checkpoint is of another log, " + checkpoint.origin);
  }
  const bool known = tree_.has_value();
  const bool same_tree = !known || (tree_->size() == checkpoint.tree_size && tree_->root(*hasher_) == checkpoint.root);
  if (!same_tree || (place_known_ && checkpoint.last_seq != last_seq_)) {
    report(DamageKind::kBadCheckpoint, record.offset, "the checkpoint is not of what is in front of it");
  }
  check_signature(found->signed_checkpoint, record.offset);
  ++checkpoints_;
  signing_begun_ = true;
  signed_seq_ = std::max(signed_seq_, checkpoint.last_seq);
  if (known) return;
  // What was removed, or cannot be read, is vouched for by the signature; what follows is computed again.
  tree_ = found->tree;
  last_seq_ = checkpoint.last_seq;
  place_known_ = true;
  compare_kept(record.offset);
}

void CheckpointAudit::check_signature(const SignedCheckpoint& found, std::uint64_t offset) {
  if (keys_.empty()) return;
  const signing::NoteKey* const key = keys_.signer_of(found.note);
  if (key == nullptr) {
    return report(DamageKind::kBadCheckpoint, offset, "the checkpoint is signed by a key that is none of this log's");
  }
  if (!found.note.is_signed_by(*key)) {
    return report(DamageKind::kBadCheckpoint, offset,
                  "the checkpoint has a wrong signature of key " + key->hash_text());
  }
  if (!spans_.empty() && spans_.back().key == *key) return;
  const EventSeq from = spans_.empty() ? 1 : signed_seq_ + 1;
  spans_.push_back({.key = *key, .from_seq = from, .segment = segment_, .offset = offset});
}

void CheckpointAudit::on_batch(const Commit& commit, std::uint64_t offset) {
  if (!beginning_checked_ && signing_begun_) {
    report(DamageKind::kBadCheckpoint, offset, "the segment does not begin with a checkpoint, as others before it do");
  }
  beginning_checked_ = true;
  last_seq_ = commit.last_seq;
  place_known_ = true;
  last_offset_ = offset;
  if (!tree_) return;
  tree_->append(commit.hash, *hasher_);
  compare_kept(offset);
}

// Where the tree is as large as the one that was signed then, it must be the same.
void CheckpointAudit::compare_kept(std::uint64_t offset) {
  if (!kept_ || verdict_ != CheckpointVerdict::kNone || tree_->size() != kept_->tree_size) return;
  if (tree_->root(*hasher_) == kept_->root && last_seq_ == kept_->last_seq) {
    verdict_ = CheckpointVerdict::kExtends;
    return;
  }
  verdict_ = CheckpointVerdict::kContradicted;
  report(DamageKind::kHistoryRewritten, offset,
         "the first " + std::to_string(kept_->tree_size) + " batches are not those that were signed at " +
             signing::time_text(kept_->time_ns) + ", up to event " + std::to_string(kept_->last_seq) +
             ": the log was rewritten, or this is another branch of it");
}

void CheckpointAudit::judge_kept(Verification& result) {
  if (!kept_) return;
  if (kept_->tree_size == 0) verdict_ = CheckpointVerdict::kExtends;  // of a log that held nothing: any goes on from it
  const std::string kept = "the checkpoint of " + signing::time_text(kept_->time_ns) + " covers events up to " +
                           std::to_string(kept_->last_seq);
  if (verdict_ == CheckpointVerdict::kNone) {
    if (gapped_) {
      result.notes.push_back(kept + "; what is damaged is in the way: whether the log extends it cannot be told");
    } else if (last_seq_ < kept_->last_seq || (tree_ && tree_->size() < kept_->tree_size)) {
      verdict_ = CheckpointVerdict::kContradicted;
      result.damages.push_back(damage(DamageKind::kLogTruncated, segment_, last_offset_,
                                      kept + ", and the log ends with event " + std::to_string(last_seq_) +
                                          ": its end was cut off, or this is an older copy or another branch of it"));
    } else {
      verdict_ = CheckpointVerdict::kNotProvable;
      result.notes.push_back(kept + ", and the log begins with event " + std::to_string(first_seq_) +
                             ": its beginning was removed, and that it extends the checkpoint cannot be proved");
    }
  }
  result.verdict = verdict_;
}

// A key that the trusted one did not hand over to: said always, and damage where somebody named the key to trust.
void CheckpointAudit::judge_keys(Verification& result) const {
  if (spans_.empty()) return;
  const signing::NoteKey& trusted = evidence_->trusted ? *evidence_->trusted : keys_.keys().front();
  const auto is_trusted = [&](const KeySpan& span) { return keys_.vouches(trusted, span.key); };
  // A trusted key signs for everything in front of it, whoever signed there.
  auto span = std::find_if(spans_.rbegin(), spans_.rend(), is_trusted).base();
  for (; span != spans_.end(); ++span) {
    const std::string what = "from event " + std::to_string(span->from_seq) + " on key " + span->key.hash_text() +
                             " signs, and nobody vouched for it (trusted: key " + trusted.hash_text() +
                             "): a key was lost and replaced, or somebody else signed";
    if (evidence_->trusted) {
      result.damages.push_back(damage(DamageKind::kUnvouchedKey, span->segment, span->offset, what));
    } else {
      result.notes.push_back(what);
    }
  }
}

void CheckpointAudit::note_what_is_unproved(Verification& result) const {
  if (first_seq_ == 0) return;
  if (checkpoints_ == 0) {
    result.notes.emplace_back("no checkpoint is in the log: nothing in it is signed");
    return;
  }
  if (keys_.empty()) {
    result.notes.emplace_back("signatures were not checked: there is no public key beside the log, and none was given");
  }
  if (first_seq_ > 1) {
    result.notes.push_back(
        "events before " + std::to_string(first_seq_) +
        " were removed: the checkpoint in front of it vouches for them, and they cannot be computed again");
  }
  if (last_seq_ > signed_seq_) {
    result.notes.push_back("events after " + std::to_string(signed_seq_) + " are in no checkpoint yet");
  }
}

void CheckpointAudit::finish(Verification& result) {
  result.checkpoints = checkpoints_;
  result.signed_seq = signed_seq_;
  judge_keys(result);
  judge_kept(result);
  note_what_is_unproved(result);
}

}  // namespace liongate::event_log
