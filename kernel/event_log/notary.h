// Signs the tree of everything a log has committed, and counts what it is asked for: the writer's side of checkpoints.
//
// Ownership and thread: owned by the commit writer and used on its thread, but for `request`, `fail_requests` and
// `end`, which any thread may call. Signing takes some tens of microseconds.
// Errors: `request` passes on why there is no checkpoint.
#pragma once

#include "kernel/event_log/append_queue.h"
#include "kernel/event_log/runtime.h"
#include "kernel/event_log/tree_tail.h"
#include "kernel/signing/note_key.h"

namespace liongate::event_log {

class Notary {
 public:
  Notary(signing::NoteSigner signer, TreeState state) : signer_(std::move(signer)), state_(std::move(state)) {}

  // A batch was written behind all others.
  void add_batch(const Hash& hash) { state_.tree.append(hash, hasher_); }
  // True where something up to `last_seq` is in no checkpoint.
  bool owes(EventSeq last_seq) const { return last_seq > state_.last_seq || state_.note.empty(); }

  // A checkpoint over all batches there are; it counts when `made` says so.
  struct Draft {
    MerkleTree tree;
    std::string note;
    EventSeq last_seq = 0;
  };
  Draft sign(EventSeq last_seq, std::int64_t time_ns);
  void made(Draft draft);
  // Writes the record of `draft` into `batch`.
  static void put(const Draft& draft, std::int64_t record_time_ns, Batch& batch);

  // Waits for a checkpoint that covers what was committed before the call. `wake` makes the writer look.
  Result<std::string> request(const std::function<void()>& wake);
  bool is_asked() const;
  // Every request that waits gets the last checkpoint, which covers all there is, or `error`.
  void answer_requests();
  void fail_requests(const Error& error);
  // The same, for those to come as well.
  void end(const Error& error);

 private:
  void answer(Result<std::string> result);

  const signing::NoteSigner signer_;
  TreeState state_;
  ChainHash hasher_;

  mutable runtime::Mutex mutex_;
  runtime::Condition answered_;
  std::uint64_t asked_ = 0;
  std::uint64_t served_ = 0;
  Result<std::string> answer_ = std::string();
  std::optional<Error> ended_;
};

}  // namespace liongate::event_log
