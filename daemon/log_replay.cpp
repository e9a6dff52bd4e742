#include "daemon/log_replay.h"

#include <limits>

namespace liongate::daemon {

using event_log::EventQuery;

namespace {

// A message of events is sent when it holds so many or is so large.
constexpr std::size_t kMessageBytesTarget = 256 * 1024;
// A search that finds nothing tells how far it is after so many slices (4 MiB each).
constexpr int kSilentSlicesMax = 16;

}  // namespace

v1::QueryCost to_message(const event_log::QueryCost& cost) {
  v1::QueryCost message;
  message.set_log_bytes(cost.log_bytes);
  message.set_read_bytes(cost.read_bytes);
  message.set_segments(cost.segments);
  message.set_segments_skipped(cost.segments_skipped);
  message.set_blocks(cost.blocks);
  message.set_blocks_skipped(cost.blocks_skipped);
  message.set_events_seen(cost.events_seen);
  return message;
}

LogReplay::LogReplay(LogReaders& readers, std::shared_ptr<ReplayCall> call, event_log::Filter filter)
    : readers_(readers),
      call_(std::move(call)),
      filter_(std::move(filter)),
      left_(call_->request().limit() == 0 ? std::numeric_limits<std::uint64_t>::max() : call_->request().limit()),
      follow_(call_->request().follow()),
      told_seq_(filter_.after_seq) {}

void LogReplay::start() {
  call_->set_on_drained([self = shared_from_this()] { self->go_on(); });
  call_->set_on_end([self = shared_from_this()] { self->leave(); });
  readers_.submit([self = shared_from_this()] { self->open(); });
}

void LogReplay::open() {
  if (call_->ended()) return;
  auto query = readers_.log().query(filter_);
  if (!query) {
    call_->fail(query.error());
    return;
  }
  query_ = std::move(*query);
  if (follow_) {
    token_ = readers_.follow([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->on_commit();
    });
    if (token_ == 0) {
      call_->fail(make_error(Reason::kQueueFull, std::to_string(limits::kFollowersMax) + " followers are connected"));
      return;
    }
  }
  step();
}

void LogReplay::go_on() {
  readers_.submit([self = shared_from_this()] { self->step(); });
}

// Writer thread: wakes the reader only when it waits at the end.
void LogReplay::on_commit() {
  if (at_end_.exchange(false)) go_on();
}

void LogReplay::leave() {
  readers_.submit([self = shared_from_this()] {
    if (self->token_ != 0) self->readers_.leave(self->token_);
    self->token_ = 0;
    self->query_.reset();
  });
}

// Fills `response` for one slice; returns false where the call has failed.
bool LogReplay::gather(v1::ReplayEventsResponse& response) {
  query_->begin_slice();
  if (gap_) {
    response.mutable_gap()->set_first_missing_seq(gap_->first_missing);
    response.mutable_gap()->set_last_missing_seq(gap_->last_missing);
    response.mutable_gap()->set_count(gap_->last_missing - gap_->first_missing + 1);
    gap_.reset();
  }
  reached_end_ = false;
  for (std::size_t bytes = 0; left_ > 0 && bytes <= kMessageBytesTarget &&
                              response.events_size() < static_cast<int>(limits::kReplayEventsPerMessageMax);) {
    EventQuery::Found found;
    const auto step = query_->next(found);
    if (!step) {
      call_->fail(step.error());
      return false;
    }
    if (*step == EventQuery::Step::kPause) break;
    if (*step == EventQuery::Step::kEnd) {
      reached_end_ = true;
      break;
    }
    if (*step == EventQuery::Step::kGap) {
      gap_ = found.gap;  // it stands in front of what comes next
      break;
    }
    if (!response.add_events()->ParseFromArray(found.bytes.data(), static_cast<int>(found.bytes.size()))) {
      call_->fail(make_error(Reason::kLogCorrupt, "event " + std::to_string(found.seq) + " does not decode"));
      return false;
    }
    --left_;
    bytes += found.bytes.size();
  }
  return true;
}

void LogReplay::step() {
  if (query_ == nullptr || call_->ended()) return;
  if (readers_.stopping()) {
    call_->fail(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
    return;
  }
  v1::ReplayEventsResponse response;
  if (!gather(response)) return;
  const bool finished = left_ == 0 || query_->finished() || (reached_end_ && !follow_);
  const EventSeq moved = query_->position() - told_seq_;
  if (!reached_end_) ++silent_slices_;
  const bool cursor_due = (reached_end_ && moved >= limits::kReplayCursorEventsMax) ||
                          silent_slices_ > kSilentSlicesMax || (finished && moved > 0);
  const bool tell = response.events_size() > 0 || response.has_gap() || cursor_due;
  if (finished && call_->request().explain()) *response.mutable_cost() = to_message(query_->cost());
  if (tell || response.has_cost()) {
    send(std::move(response));  // when it has left, on_drained goes on
    if (finished) call_->finish();
    return;
  }
  if (finished) {
    call_->finish();
  } else if (reached_end_ && !gap_) {
    wait_for_more();
  } else {
    go_on();
  }
}

void LogReplay::send(v1::ReplayEventsResponse response) {
  silent_slices_ = 0;
  told_seq_ = query_->position();
  response.set_caught_up_seq(told_seq_);
  response.set_last_seq(readers_.log().durable_seq());
  call_->write(std::move(response));
}

void LogReplay::wait_for_more() {
  at_end_ = true;
  // A commit between the last read and the line above woke nobody.
  if (readers_.log().durable_seq() > query_->position() && at_end_.exchange(false)) go_on();
}

}  // namespace liongate::daemon
