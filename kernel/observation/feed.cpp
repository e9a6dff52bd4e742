#include "kernel/observation/feed.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <limits>

#include "kernel/event_log/event_fields.h"
#include "kernel/supervision/frame_codec.h"
#include "kernel/supervision/pipe_end.h"

namespace liongate::observation {

namespace asio = boost::asio;
using event_log::EventQuery;

Feed::Feed(asio::io_context& io, asio::io_context& kernel, event_log::EventLog& log, std::string cursor_path,
           FeedOrder order)
    : io_(io),
      kernel_(kernel),
      log_(log),
      cursor_path_(std::move(cursor_path)),
      order_(std::move(order)),
      pipe_(std::in_place, io),
      ack_timer_(std::in_place, io),
      out_(std::move(order_.unsent)) {}

// --- kernel thread ---

void Feed::send(std::string frames) {
  asio::post(io_, [self = shared_from_this(), frames = std::move(frames)] {
    if (self->ended_ || self->control_.size() + frames.size() > limits::kObserverControlBytesMax) return;
    self->control_ += frames;
    self->step();
  });
}

void Feed::finish() {
  asio::post(io_, [self = shared_from_this()] {
    self->finishing_ = true;
    if (!self->ended_) self->step();
  });
}

void Feed::acknowledge(EventSeq seq) {
  asio::post(io_, [self = shared_from_this(), seq] {
    if (!self->ended_) self->take_ack(seq);
  });
}

void Feed::end() {
  *listens_ = false;
  order_.listener = {};  // which holds the instance, as the instance holds us
  asio::post(io_, [self = shared_from_this()] { self->close(); });
}

void Feed::abandon() {
  *listens_ = false;
  close();
}

void Feed::tell(std::function<void(const FeedListener&)> what) {
  asio::post(kernel_, [self = shared_from_this(), what = std::move(what)] {
    if (*self->listens_) what(self->order_.listener);
  });
}

// --- observation thread ---

void Feed::begin() {
  Result<void> watched = supervision::watch_pipe_end(*pipe_, std::move(order_.pipe));
  if (watched) watched = open();
  if (!watched) {
    fail(std::move(watched).error());
    return;
  }
  step();
}

// Where it goes on: at its cursor, if that is a place in this log.
Result<void> Feed::open() {
  LG_ASSIGN(file_, CursorFile::open(cursor_path_));
  const EventSeq last_seq = log_.last_seq();
  const std::optional<Cursor> kept = file_->cursor();
  std::string fault;
  if (!kept) {
    fault = "the cursor is lost: its file was removed or damaged";
  } else if (kept->node_id != log_.node_id()) {
    fault = "the cursor is of the log of node " + kept->node_id;
  } else if (kept->seq > last_seq) {
    fault = "the cursor is beyond the end of the log";
  }
  if (!fault.empty()) {
    // Nothing is known of what it has had of this log. At least once: from the first event there is.
    v1::ObserverCursorReset reset;
    reset.set_cursor_seq(kept ? kept->seq : 0);
    reset.set_last_seq(last_seq);
    reset.set_start_seq(std::max<EventSeq>(log_.first_seq(), 1));
    reset.set_message(fault);
    LG_TRY(file_->write({reset.start_seq() - 1, log_.node_id()}));
    file_->sync();
    tell([reset](const FeedListener& listener) { listener.was_reset(reset); });
  }
  cursor_ = file_->cursor()->seq;
  last_acknowledged_ = cursor_;
  last_sent_ = cursor_;
  order_.progress->cursor = cursor_;
  event_log::Filter filter;
  filter.after_seq = cursor_;
  filter.plugin = order_.settings.plugin();
  filter.correlation_id = order_.settings.correlation_id();
  filter.types.assign(order_.settings.types().begin(), order_.settings.types().end());
  LG_ASSIGN(query_, log_.follow(std::move(filter)));
  return {};
}

void Feed::wake() {
  if (std::exchange(at_end_, false)) step();
}

// Writes what there is, makes more where there is room, and comes again in a later turn: other feeds have theirs
// between.
void Feed::step() {
  if (ended_ || write_waiting_ || !flush()) return;
  if (finishing_) {
    boost::system::error_code ignored;
    pipe_->close(ignored);
    return;
  }
  if (query_ == nullptr || window_is_full()) return;
  if (Result<void> gathered = gather(); !gathered) {
    fail(std::move(gathered).error());
    return;
  }
  if ((at_end_ && out_.empty()) || step_queued_) return;
  step_queued_ = true;
  asio::post(io_, [self = shared_from_this()] {
    self->step_queued_ = false;
    self->step();
  });
}

// True when everything has been written.
bool Feed::flush() {
  for (;;) {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      out_.swap(control_);
      if (out_.empty()) return true;
    }
    if (!pipe_->is_open()) return false;
    const ssize_t sent = ::write(pipe_->native_handle(), out_.data() + out_sent_, out_.size() - out_sent_);
    if (sent >= 0) {
      out_sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      write_waiting_ = true;
      pipe_->async_wait(asio::posix::stream_descriptor::wait_write,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          self->write_waiting_ = false;
                          if (!error) self->step();
                        });
      return false;
    } else if (errno != EINTR) {
      boost::system::error_code ignored;
      pipe_->close(ignored);  // it closed fd 3 or died: its end tells more
      tell([](const FeedListener& listener) { listener.pipe_closed(); });
      return false;
    }
  }
}

bool Feed::window_is_full() const {
  return window_.size() >= limits::kObserverWindowEventsMax || window_bytes_ >= limits::kObserverWindowBytesMax;
}

bool Feed::wants(const event_log::EventFields& fields) const {
  if (fields.plugin_id == order_.plugin_id) return false;
  return !fields.from_observer || (fields.payload_field != v1::Event::kNetworkFlowOpenedFieldNumber &&
                                   fields.payload_field != v1::Event::kNetworkFlowClosedFieldNumber);
}

// Fills `out_` with about a pipe's worth of frames.
Result<void> Feed::gather() {
  query_->begin_slice();
  at_end_ = false;
  while (out_.size() < limits::kObserverChunkBytes && !window_is_full()) {
    EventQuery::Found found;
    LG_ASSIGN(const EventQuery::Step step, query_->next(found));
    if (step == EventQuery::Step::kPause) break;
    if (step == EventQuery::Step::kEnd) {
      at_end_ = true;
      break;
    }
    if (step == EventQuery::Step::kGap) {
      add_gap(found.gap);
      continue;
    }
    event_log::EventFields fields;
    if (!event_log::read_fields(found.bytes, fields) || wants(fields)) add_event(found.seq, found.bytes);
  }
  if (window_.empty() && (query_->position() >= cursor_ + limits::kReplayCursorEventsMax || at_end_)) {
    order_.progress->cursor = query_->position();
    if (query_->position() >= cursor_ + limits::kReplayCursorEventsMax) move_cursor(query_->position());
  }
  return {};
}

void Feed::add_event(EventSeq seq, std::string_view bytes) {
  v1::ObservedEvent& event = *frame_.mutable_event();
  event.set_seq(seq);
  event.set_event(bytes.data(), bytes.size());
  // An event is at most 1 MiB, far below the bound of a frame.
  static_cast<void>(supervision::append_frame(frame_, out_).has_value());
  if (window_.empty()) expect_ack();
  window_.push_back({seq, bytes.size()});
  window_bytes_ += bytes.size();
  last_sent_ = seq;
  ++order_.progress->sent;
}

void Feed::add_gap(const event_log::Gap& gap) {
  const std::uint64_t count = gap.last_missing - gap.first_missing + 1;
  v1::Frame frame;
  frame.mutable_gap()->set_first_missing_seq(gap.first_missing);
  frame.mutable_gap()->set_last_missing_seq(gap.last_missing);
  frame.mutable_gap()->set_count(count);
  static_cast<void>(supervision::append_frame(frame, out_).has_value());
  if (window_.empty()) expect_ack();
  window_.push_back({gap.last_missing, 0});
  last_sent_ = gap.last_missing;
  if (gap.last_missing <= order_.progress->last_missed) return;  // told before, and not acknowledged
  order_.progress->last_missed = gap.last_missing;
  order_.progress->missed += count;
  tell([gap](const FeedListener& listener) { listener.gap(gap); });
}

void Feed::take_ack(EventSeq seq) {
  if (seq > last_sent_ || seq < last_acknowledged_) {
    fail(make_error(Reason::kPluginProtocolError, seq > last_sent_
                                                      ? "it acknowledged event " + std::to_string(seq) + ", and " +
                                                            std::to_string(last_sent_) + " is the last that it was sent"
                                                      : "it acknowledged event " + std::to_string(seq) +
                                                            " behind event " + std::to_string(last_acknowledged_)));
    return;
  }
  last_acknowledged_ = seq;
  const std::size_t before = window_.size();
  while (!window_.empty() && window_.front().seq <= seq) {
    window_bytes_ -= window_.front().bytes;
    if (window_.front().bytes > 0) ++order_.progress->acknowledged;
    window_.pop_front();
  }
  const bool is_progress = window_.size() < before;
  move_cursor(window_.empty() ? std::max(seq, query_->position()) : seq);
  if (ended_) return;  // the cursor could not be written
  if (window_.empty()) {
    ack_timer_->cancel();
  } else if (is_progress) {  // the same once more is none
    expect_ack();
  }
  step();
}

void Feed::move_cursor(EventSeq seq) {
  if (seq <= cursor_) return;
  cursor_ = seq;
  order_.progress->cursor = seq;
  if (Result<void> written = file_->write({seq, log_.node_id()}); !written) fail(std::move(written).error());
}

void Feed::expect_ack() {
  const std::uint64_t timeout_ms =
      order_.settings.ack_timeout_ms() == 0 ? limits::kObserverAckTimeoutMsDefault : order_.settings.ack_timeout_ms();
  is_overdue_ = false;
  ack_timer_->expires_after(std::chrono::milliseconds(timeout_ms));
  await_ack(timeout_ms);
}

// What it wrote while the daemon itself was stopped may lie in the pipe yet: it has a moment more to be read.
void Feed::await_ack(std::uint64_t timeout_ms) {
  ack_timer_->async_wait([self = shared_from_this(), timeout_ms](const boost::system::error_code& error) {
    if (error || self->ended_ || self->window_.empty()) return;
    if (!std::exchange(self->is_overdue_, true)) {
      self->ack_timer_->expires_after(std::chrono::milliseconds(limits::kObserverAckGraceMs));
      self->await_ack(timeout_ms);
      return;
    }
    self->fail(make_error(Reason::kDeadlineExceeded, "it acknowledged nothing for " + std::to_string(timeout_ms) +
                                                         " ms with " + std::to_string(self->window_.size()) +
                                                         " events sent"));
  });
}

void Feed::fail(Error error) {
  if (ended_) return;
  tell([error = std::move(error)](const FeedListener& listener) { listener.failed(error); });
  close();
}

void Feed::close() {
  if (std::exchange(ended_, true)) return;
  // What waits in the kernel's loop may keep us beyond the end of this one, of which they are.
  ack_timer_.reset();
  pipe_.reset();
  // Not acknowledged is not handled; what was looked at and is for somebody else need not be looked at again.
  if (query_ != nullptr && file_ && window_.empty() && query_->position() > cursor_) {
    cursor_ = query_->position();
    order_.progress->cursor = cursor_;
    static_cast<void>(file_->write({cursor_, log_.node_id()}).has_value());
  }
  if (file_) file_->sync();
  file_.reset();
  query_.reset();
}

}  // namespace liongate::observation
