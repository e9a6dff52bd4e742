#include "kernel/event_log/notary.h"

namespace liongate::event_log {

Notary::Draft Notary::sign(EventSeq last_seq, std::int64_t time_ns) {
  const Checkpoint checkpoint{.origin = signer_.public_key().name,
                              .tree_size = state_.tree.size(),
                              .root = state_.tree.root(hasher_),
                              .last_seq = last_seq,
                              .time_ns = time_ns};
  return {.tree = state_.tree, .note = signer_.sign(checkpoint_text(checkpoint)), .last_seq = last_seq};
}

void Notary::made(Draft draft) {
  state_.note = std::move(draft.note);
  state_.last_seq = draft.last_seq;
}

void Notary::put(const Draft& draft, std::int64_t record_time_ns, Batch& batch) {
  const std::size_t body_bytes = checkpoint_body_bytes(draft.tree, draft.note);
  const std::span<std::byte> record = batch.add_uncounted(record_bytes(body_bytes));
  begin_record(record, RecordKind::kCheckpoint, draft.last_seq, record_time_ns, body_bytes);
  encode_checkpoint(draft.tree, draft.note, record.subspan(kRecordHeaderBytes, body_bytes));
}

Result<std::string> Notary::request(const std::function<void()>& wake) {
  std::unique_lock lock(mutex_);
  if (ended_) return *ended_;
  const std::uint64_t ticket = ++asked_;
  lock.unlock();
  wake();
  lock.lock();
  answered_.wait(lock, [&] { return served_ >= ticket; });
  return answer_;
}

bool Notary::is_asked() const {
  const std::lock_guard lock(mutex_);
  return asked_ > served_;
}

void Notary::answer(Result<std::string> result) {
  const std::lock_guard lock(mutex_);
  served_ = asked_;
  answer_ = std::move(result);
  answered_.notify_all();
}

void Notary::answer_requests() {
  answer(state_.note);
}

void Notary::fail_requests(const Error& error) {
  answer(error);
}

void Notary::end(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    ended_ = error;
  }
  answer(error);
}

}  // namespace liongate::event_log
