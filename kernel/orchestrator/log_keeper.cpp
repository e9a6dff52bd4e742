#include "kernel/orchestrator/log_keeper.h"

#include <algorithm>
#include <utility>

namespace liongate::orchestrator {
namespace {

constexpr std::int64_t kNanosPerMilli = 1'000'000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

void set_time(std::int64_t ns, google::protobuf::Timestamp& time) {
  time.set_seconds(ns / kNanosPerSecond);
  time.set_nanos(static_cast<std::int32_t>(ns % kNanosPerSecond));
}

}  // namespace

LogKeeper::LogKeeper(KernelContext& context, const Dispatcher& dispatcher, snapshot::SnapshotWriter* writer)
    : context_(context), dispatcher_(dispatcher), writer_(writer), timer_(context.io) {}

LogKeeper::~LogKeeper() {
  *alive_ = false;
}

void LogKeeper::warn(const std::string& text) const {
  if (warn_) warn_(text);
}

void LogKeeper::begin(const snapshot::ReplayedState& replayed, std::int64_t log_time_ns) {
  // The older one may be needed yet, so what it needs stays too.
  for (const EventSeq seq : {replayed.older_seq, replayed.snapshot_seq}) {
    if (seq > 0) usable_.push_back(seq);
  }
  counted_seq_ = replayed.snapshot_seq;
  bytes_before_ = replayed.bytes_replayed;
  for (const std::string& ignored : replayed.snapshots_ignored) warn("snapshot ignored: " + ignored);
  seen_wall_ns_ = context_.clock.wall_ns();
  seen_passed_ns_ = context_.clock.awake_or_asleep_ns();
  const std::int64_t gap_ns = seen_wall_ns_ - log_time_ns;
  const bool too_far = gap_ns > limits::kClockGapMs * kNanosPerMilli || gap_ns < -limits::kClockJumpMs * kNanosPerMilli;
  if (log_time_ns > 0 && too_far) record_jump(log_time_ns, seen_wall_ns_);
  remove_segments();
  arm_timer();
}

void LogKeeper::arm_timer() {
  timer_.expires_after(std::chrono::milliseconds(limits::kRetentionCheckMs));
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    check();
    arm_timer();
  });
}

void LogKeeper::check() {
  if (ended_) return;
  look_at_clock();
  remove_segments();
}

// --- snapshots ---

registry::StateCopy LogKeeper::copy_state() const {
  registry::StateCopy copy = context_.registry.copy_state(context_.journal.last_seq());
  for (v1::OpenCall& call : dispatcher_.open_calls()) copy.state.add_open_calls()->Swap(&call);
  return copy;
}

void LogKeeper::on_durable() {
  if (writer_ == nullptr || writing_ || on_last_ || ended_) return;
  const std::uint64_t events = context_.journal.last_seq() - counted_seq_;
  const std::uint64_t bytes = bytes_before_ + context_.journal.bytes_recorded() - counted_bytes_;
  if (events >= context_.settings.snapshot_every_events || bytes >= context_.settings.snapshot_every_bytes) take();
}

void LogKeeper::take_last(std::function<void()> done) {
  timer_.cancel();
  on_last_ = std::move(done);
  if (writer_ == nullptr || context_.journal.read_only()) {
    finish_last();
    return;
  }
  // A disk that does not answer must not keep the daemon from ending.
  timer_.expires_after(std::chrono::milliseconds(limits::kShutdownDrainMs));
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (!error && *alive) finish_last();
  });
  if (!writing_) take();
}

void LogKeeper::finish_last() {
  ended_ = true;
  timer_.cancel();
  if (const auto done = std::exchange(on_last_, nullptr)) done();
}

void LogKeeper::take() {
  writing_ = true;
  auto copy = std::make_shared<registry::StateCopy>(copy_state());
  const EventSeq seq = copy->state.seq();
  // Counted from here on, whatever becomes of it: a disk that refuses it is not asked again with every commit.
  counted_seq_ = seq;
  counted_bytes_ = bytes_before_ + context_.journal.bytes_recorded();
  context_.journal.log().sync_soon();
  context_.journal.when_durable(seq, [this, alive = alive_, copy] {
    if (!*alive) return;
    std::vector<EventSeq> keep;
    if (!usable_.empty()) keep.push_back(usable_.back());
    writer_->write(std::move(*copy), keep, [this, alive](const Result<snapshot::WrittenSnapshot>& written) {
      if (*alive) on_written(written);
    });
  });
}

void LogKeeper::on_written(const Result<snapshot::WrittenSnapshot>& written) {
  writing_ = false;
  if (ended_) return;
  if (written) {
    usable_.push_back(written->seq);
    if (usable_.size() > limits::kSnapshotsKept) usable_.erase(usable_.begin());
    v1::Event event;
    event.set_type("SnapshotTaken");
    event.set_actor("system");
    v1::SnapshotTaken& taken = *event.mutable_snapshot_taken();
    taken.set_at_seq(written->seq);
    taken.set_file(written->file);
    taken.set_size_bytes(written->size_bytes);
    taken.set_state_sha256(written->state_sha256);
    const Result<EventSeq> recorded = context_.journal.record_state(event);
    if (!recorded) warn("SnapshotTaken was not recorded: " + recorded.error().message);
  } else {
    warn("no snapshot was taken: " + written.error().message);
  }
  if (on_last_) {
    finish_last();
    return;
  }
  remove_segments();
}

// --- retention ---

event_log::RetentionRule LogKeeper::rule() const {
  event_log::RetentionRule rule;
  rule.bytes_max = context_.settings.log_retention_bytes_max;
  if (!usable_.empty()) {
    rule.needed_seq = std::min(usable_.front(), dispatcher_.oldest_open_seq().value_or(usable_.front()));
  }
  const std::int64_t age_ms = context_.settings.log_retention_age_max_ms;
  const std::int64_t now_ns = context_.clock.wall_ns();
  const google::protobuf::Timestamp& jump = context_.registry.clock_jump_time();
  const bool distrusted =
      jump.seconds() > 0 && now_ns / kNanosPerSecond < jump.seconds() + limits::kClockDistrustMs / 1000;
  if (age_ms > 0 && !distrusted) rule.older_than_ns = now_ns - age_ms * kNanosPerMilli;
  return rule;
}

void LogKeeper::remove_segments() {
  if (ended_) return;  // nothing comes after DaemonStopped
  const auto removal = context_.journal.log().removable(rule());
  if (!removal || removal->first_seq <= removed_through_) return;  // the second: recorded, and on its way
  v1::Event event;
  event.set_type("LogSegmentsRemoved");
  event.set_actor("system");
  v1::LogSegmentsRemoved& removed = *event.mutable_log_segments_removed();
  removed.set_first_seq(removal->first_seq);
  removed.set_last_seq(removal->last_seq);
  removed.set_segments(removal->segments);
  removed.set_size_bytes(removal->size_bytes);
  removed.set_reason(removal->reason == event_log::RemovalReason::kSize ? "size" : "age");
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  if (!recorded) {
    warn("nothing was removed from the log: " + recorded.error().message);
    return;
  }
  removed_through_ = removal->last_seq;
  context_.journal.when_durable(*recorded, [this, alive = alive_, last_seq = removal->last_seq] {
    if (*alive) context_.journal.log().remove_through(last_seq);
  });
}

// --- the clock ---

void LogKeeper::look_at_clock() {
  const std::int64_t wall_ns = context_.clock.wall_ns();
  const std::int64_t passed_ns = context_.clock.awake_or_asleep_ns();
  const std::int64_t expected_ns = seen_wall_ns_ + (passed_ns - seen_passed_ns_);
  seen_wall_ns_ = wall_ns;
  seen_passed_ns_ = passed_ns;
  if (std::abs(wall_ns - expected_ns) > limits::kClockJumpMs * kNanosPerMilli) record_jump(expected_ns, wall_ns);
}

void LogKeeper::record_jump(std::int64_t expected_ns, std::int64_t found_ns) {
  const bool forward = found_ns > expected_ns;
  v1::Event event;
  event.set_type("ClockJumped");
  event.set_actor("system");
  set_time(expected_ns, *event.mutable_clock_jumped()->mutable_expected());
  set_time(found_ns, *event.mutable_clock_jumped()->mutable_found());
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  const std::int64_t seconds = std::abs(found_ns - expected_ns) / kNanosPerSecond;
  warn("the clock jumped " + std::string(forward ? "forward" : "back") + " by " + std::to_string(seconds) + " s" +
       (forward ? "; nothing is removed from the log by age until it can be believed" : "") +
       (recorded ? "" : "; not recorded: " + recorded.error().message));
}

}  // namespace liongate::orchestrator
