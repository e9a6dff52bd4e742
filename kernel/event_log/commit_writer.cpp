#include "kernel/event_log/commit_writer.h"

#include <algorithm>

#include "kernel/base/failpoint.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::event_log {
namespace {

constexpr std::chrono::milliseconds kStallRetryDelay{100};

std::size_t batch_bytes_max(const Options& options) {
  const std::uint64_t checkpoints = options.open_key ? 2 * kCheckpointBatchBytesMax : 0;
  const std::uint64_t kOverhead = kSegmentHeaderBytes + 2 * kLinkRecordBytes + checkpoints;
  const std::uint64_t room = options.segment_bytes > 2 * kOverhead ? options.segment_bytes - kOverhead : kOverhead;
  return static_cast<std::size_t>(std::min(limits::kLogBatchBytesMax, room));
}

}  // namespace

CommitWriter::CommitWriter(std::shared_ptr<Storage> storage, std::shared_ptr<Catalog> catalog, const Options& options,
                           Handlers handlers, const LogEnd& end, const Clock& clock, std::unique_ptr<Notary> notary)
    : storage_(std::move(storage)),
      catalog_(std::move(catalog)),
      options_(options),
      handlers_(std::move(handlers)),
      clock_(clock),
      end_(end),
      notary_(std::move(notary)),
      queue_(batch_bytes_max(options)),
      prewriter_(storage_, options.segment_bytes, [this] { queue_.poke(); }),
      footer_maker_(storage_, options.segment_bytes),
      durable_seq_(end.last_seq),
      thread_([this] { run(); }) {}

CommitWriter::~CommitWriter() {
  if (thread_.joinable()) (void)close();
}

Result<void> CommitWriter::close() {
  queue_.stop();
  thread_.join();
  if (notary_) notary_->end(make_error(Reason::kShuttingDown, "the event log is closed"));
  if (failed()) return failure();
  return {};
}

void CommitWriter::run() {
  sys::name_thread("log-writer");
  for (;;) {
    const std::optional<runtime::SteadyClock::time_point> due = sync_due_ && checkpoint_due_
                                                                    ? std::min(*sync_due_, *checkpoint_due_)
                                                                : sync_due_ ? sync_due_
                                                                            : checkpoint_due_;
    AppendQueue::Taken taken = queue_.take(due);
    const bool sync_due = sync_due_ && runtime::SteadyClock::now() >= *sync_due_;
    taken.sync = sync_wanted_.exchange(false) || taken.sync || sync_due;
    Result<void> result;
    if (auto failure = prewriter_.failure()) result = *std::move(failure);
    if (result && (!taken.batches.empty() || (taken.sync && sync_due_))) result = commit(taken);
    if (result && notary_ && !taken.stop) result = checkpoint_when_due();
    if (result && taken.stop && segment_) result = end_segment(SealReason::kClosed);
    if (!result) return fail(std::move(result).error());
    report_read_only();
    remove_segments();
    queue_.recycle(std::move(taken.batches));
    if (taken.stop) return;
  }
}

Result<void> CommitWriter::commit(AppendQueue::Taken& taken) {
  for (Batch& batch : taken.batches) LG_TRY(write_when_space(batch));
  if (taken.sync) {
    LG_TRY(sync());
    notify_listeners();
  } else if (!sync_due_) {
    sync_due_ = runtime::SteadyClock::now() + std::chrono::milliseconds(limits::kLogSyncDelayMs);
  }
  return {};
}

Result<void> CommitWriter::write_when_space(Batch& batch) {
  for (;;) {
    auto result = write(batch);
    if (result || !is_out_of_space(result.error())) {
      stalled_ = false;
      return result;
    }
    stalled_ = true;
    report_read_only();
    if (notary_) notary_->fail_requests(result.error());
    // What could be written need not wait for the space that the rest needs.
    LG_TRY(sync());
    notify_listeners();
    if (queue_.wait_for_stop(kStallRetryDelay)) {
      // The last try was a moment ago: what is queued is lost, and nobody was told that it is durable.
      return std::move(result).error().in("the log was closed while the disk was full");
    }
  }
}

Result<void> CommitWriter::write(Batch& batch) {
  const std::uint64_t closing = kLinkRecordBytes + (notary_ ? kCheckpointBatchBytesMax : 0);
  const bool full = segment_ && !segment_->empty() && segment_->end_after(batch) + closing > options_.segment_bytes;
  if (full) LG_TRY(end_segment(SealReason::kRotated));
  if (!segment_) LG_TRY(begin_segment());
  if (notary_ && !segment_->has_batches()) LG_TRY(write_checkpoint());
  const std::uint64_t begin = segment_->position();
  LG_TRY(append(batch));
  unpublished_.push_back({.first_seq = batch.first_seq(),
                          .last_seq = batch.last_seq(),
                          .begin_offset = begin,
                          .end_offset = segment_->position(),
                          .last_time_ns = batch.last_time_ns()});
  footer_maker_.written(segment_->position());
  return {};
}

Result<void> CommitWriter::append(Batch& batch) {
  // The seal must fit as well: it is what makes room for everything that comes after.
  prewriter_.claim(segment_->end_after(batch));
  LG_TRY(segment_->write(batch));
  if (notary_) notary_->add_batch(segment_->hash());
  return {};
}

Result<void> CommitWriter::begin_segment() {
  LG_TRY(prewriter_.wait_for_spare());
  LG_ASSIGN(segment_, SegmentWriter::create(*storage_, end_, clock_.wall_ns()));
  prewriter_.used_spare();
  footer_maker_.begin(segment_->first_seq());
  catalog_->add_active(segment_->first_seq());
  if (handlers_.on_segment_begun) handlers_.on_segment_begun();
  const RetentionRule rule{.bytes_max = options_.retention_bytes_max, .needed_seq = catalog_->committed_seq()};
  if (const auto removal = catalog_->removable(rule)) {
    remove_through_ = removal->last_seq;
    remove_segments();
  }
  return {};
}

Result<void> CommitWriter::end_segment(SealReason reason) {
  LG_TRY(sync());
  if (owes_checkpoint()) LG_TRY(make_checkpoint());
  prewriter_.left();
  LG_TRY(segment_->seal(reason, end_, footer_maker_.finish(segment_->position())));
  segment_.reset();
  return {};
}

Result<void> CommitWriter::sync() {
  if (!segment_) return {};
  LG_TRY(segment_->sync());
  sync_due_.reset();
  publish();  // first, so that whoever hears that an event is durable can read it
  if (segment_->last_seq() == durable_seq()) return {};
  {
    const std::lock_guard lock(durable_mutex_);
    durable_seq_.store(segment_->last_seq(), std::memory_order_release);
  }
  durable_wake_.notify_all();
  if (handlers_.on_durable) handlers_.on_durable(segment_->last_seq());
  failpoint::reach(failpoint::Point::kLogAcknowledged);
  return {};
}

void CommitWriter::sync_up_to(EventSeq seq, std::chrono::milliseconds wait) {
  if (durable_seq() >= seq || failed() || read_only()) return;
  sync_wanted_ = true;
  queue_.poke();
  std::unique_lock lock(durable_mutex_);
  durable_wake_.wait_for(lock, wait, [&] { return durable_seq() >= seq || failed(); });
}

// Steady time, as the queue's: what jumps is the wall clock.
Result<void> CommitWriter::checkpoint_when_due() {
  const auto now = runtime::SteadyClock::now();
  if (owes_checkpoint() && !checkpoint_due_) checkpoint_due_ = now + options_.checkpoint_interval;
  const bool asked = notary_->is_asked();
  if (!asked && !(checkpoint_due_ && now >= *checkpoint_due_)) return {};
  const Result<void> made = make_checkpoint();
  checkpoint_due_.reset();
  if (made) {
    notary_->answer_requests();
    return {};
  }
  if (!is_out_of_space(made.error())) return made;
  // Nothing is lost by signing later, when there is space again.
  checkpoint_due_ = now + options_.checkpoint_interval;
  notary_->fail_requests(made.error());
  return {};
}

// What is signed is on disk before, so that no crash makes the log shorter than a checkpoint that somebody holds.
Result<void> CommitWriter::make_checkpoint() {
  LG_TRY(sync());
  notify_listeners();
  if (!owes_checkpoint()) return {};
  if (segment_) {
    LG_TRY(write_checkpoint());
    return sync();
  }
  // Between two segments there is nothing to write it into; the next segment begins with one.
  notary_->made(notary_->sign(end_.last_seq, std::max(end_.last_time_ns, clock_.wall_ns())));
  return {};
}

Result<void> CommitWriter::write_checkpoint() {
  const std::int64_t last_time_ns = segment_->last_time_ns();
  Notary::Draft draft = notary_->sign(segment_->last_seq(), std::max(last_time_ns, clock_.wall_ns()));
  checkpoint_batch_.clear();
  Notary::put(draft, last_time_ns, checkpoint_batch_);
  LG_TRY(append(checkpoint_batch_));
  notary_->made(std::move(draft));
  return {};
}

Result<std::string> CommitWriter::checkpoint() {
  if (!notary_) {
    return make_error(Reason::kInvalidArgument, "the event log has no key to sign checkpoints with");
  }
  return notary_->request([this] { queue_.poke(); });
}

// What is durable may be read: no sooner, or a reader's cursor could point behind what a crash leaves.
void CommitWriter::publish() {
  if (unpublished_.empty()) return;
  for (const Catalog::CommittedBatch& batch : unpublished_) catalog_->commit(batch);
  committed_seq_ = unpublished_.back().last_seq;
  unpublished_.clear();
}

void CommitWriter::notify_listeners() {
  const std::lock_guard lock(listeners_mutex_);
  for (const auto& [token, listener] : listeners_) listener(committed_seq_);
}

void CommitWriter::sync_soon() {
  sync_wanted_ = true;
  queue_.poke();
}

void CommitWriter::remove_through(EventSeq last_seq) {
  EventSeq before = remove_through_.load();
  while (before < last_seq && !remove_through_.compare_exchange_weak(before, last_seq)) {
  }
  queue_.poke();
}

// One after the other, each durable before the next: neither a crash nor a failure between two may leave a hole in the
// middle of the log. So after a failure nothing is removed any more; the next start finds all of it again.
void CommitWriter::remove_segments() {
  const EventSeq last_seq = remove_through_.exchange(0);
  if (last_seq == 0) return;
  while (!removal_failed_) {
    const auto name = catalog_->forget_oldest(last_seq);
    if (!name) return;
    removal_failed_ = !storage_->remove(*name) || !storage_->sync_dir();
  }
}

void CommitWriter::report_read_only() {
  const bool now = read_only();
  if (now == reported_read_only_) return;
  reported_read_only_ = now;
  if (!handlers_.on_read_only) return;
  handlers_.on_read_only(now, now ? "no space left for the event log in " + storage_->location()
                                  : "there is space for the event log again");
}

void CommitWriter::fail(Error error) {
  if (notary_) notary_->end(error);
  failure_ = std::move(error);
  {
    const std::lock_guard lock(durable_mutex_);
    failed_.store(true, std::memory_order_release);
  }
  durable_wake_.notify_all();
  if (handlers_.on_fatal) handlers_.on_fatal(*failure_);
}

std::uint64_t CommitWriter::add_listener(std::function<void(EventSeq)> listener) {
  const std::lock_guard lock(listeners_mutex_);
  listeners_.emplace(next_token_, std::move(listener));
  return next_token_++;
}

void CommitWriter::remove_listener(std::uint64_t token) {
  const std::lock_guard lock(listeners_mutex_);
  listeners_.erase(token);
}

}  // namespace liongate::event_log
