// Feeds one observer: follows the log from its cursor, writes ObservedEvent frames to its pipe, takes its Acks.
//
// Life: begin() -> (reads, writes, waits for room in the pipe, in the window, or for more events) -> end(). The cursor
// is the last event that was acknowledged, or the last that was looked at while nothing is outstanding; it is written
// at every Ack and, where none is due, every limits::kReplayCursorEventsMax events. It was enrolled when the plugin was
// registered: where it is not there, it was lost. A gap is acknowledged like an event, by its last number.
//
// What an observer is not shown, so that feeding it never makes something to feed: events about itself, and the network
// flows of any observer (docs/observers.md). The feed itself records nothing but what `FeedListener` is told of, which
// is at most once a start or a gap.
//
// Ownership and thread: shared by Observation, the plugin's actor and, behind a FeedOutlet, the instance; all work is
// done on the observation thread. The methods that may be called from the kernel thread say so; they only post. Errors
// are told to the listener, once: kPluginProtocolError (an Ack for what was not sent), kDeadlineExceeded (no Ack in
// time), kLogCorrupt, kInternal (the cursor's file).
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "kernel/event_log/event_log.h"
#include "kernel/event_log/query.h"
#include "kernel/observation/cursor_file.h"
#include "kernel/supervision/frame_outlet.h"
#include "liongate/v1/event.pb.h"
#include "liongate/v1/frame.pb.h"

namespace liongate::observation {

// What the kernel thread may look at while the feed works.
struct FeedProgress {
  std::atomic<EventSeq> cursor{0};
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> acknowledged{0};
  std::atomic<std::uint64_t> missed{0};
  EventSeq last_missed = 0;  // of the gaps that were told; observation thread
};

// Told on the kernel thread.
struct FeedListener {
  std::function<void(const Error&)> failed;                       // the instance is of no use any more
  std::function<void()> pipe_closed;                              // it does not read any more
  std::function<void(const event_log::Gap&)> gap;                 // it was told so, too
  std::function<void(const v1::ObserverCursorReset&)> was_reset;  // its cursor is in no place of this log
};

struct FeedOrder {
  std::string plugin_id;
  v1::ObserverSettings settings;
  UniqueFd pipe;       // not blocking
  std::string unsent;  // goes out first
  FeedListener listener;
  std::shared_ptr<FeedProgress> progress;
};

class Feed final : public std::enable_shared_from_this<Feed> {
 public:
  // `kernel` is the loop in which the listener is told.
  Feed(boost::asio::io_context& io, boost::asio::io_context& kernel, event_log::EventLog& log, std::string cursor_path,
       FeedOrder order);

  // --- kernel thread ---
  void send(std::string frames);
  void finish();
  void acknowledge(EventSeq seq);
  // The instance has ended, or will: nobody is told anything from here on, and the cursor is synced.
  void end();

  // --- observation thread ---
  void begin();
  // As end(), for who owns the thread.
  void abandon();
  // More was committed.
  void wake();
  bool ended() const { return ended_; }
  bool at_end() const { return at_end_; }
  EventSeq position() const { return query_ ? query_->position() : 0; }

 private:
  struct Outstanding {
    EventSeq seq = 0;
    std::size_t bytes = 0;
  };

  Result<void> open();
  void step();
  bool flush();
  Result<void> gather();
  bool wants(const event_log::EventFields& fields) const;
  void add_event(EventSeq seq, std::string_view bytes);
  void add_gap(const event_log::Gap& gap);
  bool window_is_full() const;
  void take_ack(EventSeq seq);
  void move_cursor(EventSeq seq);
  void expect_ack();
  void await_ack(std::uint64_t timeout_ms);
  void fail(Error error);
  void tell(std::function<void(const FeedListener&)> what);
  void close();

  boost::asio::io_context& io_;
  boost::asio::io_context& kernel_;
  event_log::EventLog& log_;
  const std::string cursor_path_;
  FeedOrder order_;
  std::shared_ptr<std::atomic<bool>> listens_ = std::make_shared<std::atomic<bool>>(true);
  std::optional<boost::asio::posix::stream_descriptor> pipe_;  // until close()
  std::optional<boost::asio::steady_timer> ack_timer_;         // the same
  std::optional<CursorFile> file_;
  std::unique_ptr<event_log::EventQuery> query_;
  std::string out_;
  std::size_t out_sent_ = 0;
  std::string control_;  // frames of other kinds that wait for room in front of the next events
  std::deque<Outstanding> window_;
  std::size_t window_bytes_ = 0;
  EventSeq last_sent_ = 0;
  EventSeq last_acknowledged_ = 0;
  EventSeq cursor_ = 0;
  v1::Frame frame_;
  bool write_waiting_ = false;
  bool step_queued_ = false;
  bool at_end_ = false;
  bool finishing_ = false;
  bool ended_ = false;
  bool is_overdue_ = false;  // the ack timer has run out once
};

// Stands for a feed that is made a moment later: with the pipe that the instance hands over.
class FeedOutlet final : public supervision::FrameOutlet {
 public:
  void set_feed(std::shared_ptr<Feed> feed) { feed_ = std::move(feed); }
  void send(std::string frames) override {
    if (feed_) feed_->send(std::move(frames));
  }
  void finish() override {
    if (feed_) feed_->finish();
  }

 private:
  std::shared_ptr<Feed> feed_;
};

}  // namespace liongate::observation
