#include "kernel/observation/observation.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>

#include "kernel/base/sys.h"

namespace liongate::observation {

namespace asio = boost::asio;

namespace {

constexpr int kNiceness = 5;

}  // namespace

Result<std::unique_ptr<Observation>> Observation::open(asio::io_context& kernel, event_log::EventLog& log,
                                                       std::string folder) {
  LG_TRY(sys::make_directories(folder, 0700));
  return std::unique_ptr<Observation>(new Observation(kernel, log, std::move(folder)));
}

Observation::Observation(asio::io_context& kernel, event_log::EventLog& log, std::string folder)
    : kernel_(kernel), log_(log), folder_(std::move(folder)), work_(io_.get_executor()), round_timer_(io_) {
  listener_ = log_.add_commit_listener([this](EventSeq) { on_commit(); });
  thread_ = std::thread([this] {
    sys::name_thread("observation");
    // Of this thread alone, as Linux has it. Without it observers are a little more in the way; nothing else.
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNiceness));
    io_.run();
  });
}

Observation::~Observation() {
  stop();
}

void Observation::stop() {
  if (!thread_.joinable()) return;
  log_.remove_commit_listener(listener_);
  asio::post(io_, [this] {
    round_timer_.cancel();
    for (const auto& feed : std::exchange(feeds_, {})) feed->abandon();
  });
  work_.reset();
  thread_.join();
}

// Writer thread: a single post for all that is committed until we have looked.
void Observation::on_commit() {
  has_commit_ = true;
  if (asleep_.exchange(false)) asio::post(io_, [this] { begin_round(); });
}

void Observation::begin_round() {
  has_commit_ = false;
  next_feed_ = 0;
  std::erase_if(feeds_, [](const auto& feed) { return feed->ended(); });
  const auto now = std::chrono::steady_clock::now();
  const auto slot = last_wake_ + std::chrono::milliseconds(kBusySlotMs);
  if (now >= slot) {
    // What is committed in the next moments goes along.
    wake_in(now + std::chrono::milliseconds(limits::kObserverGatherMs), [this] { wake_all(); });
  } else {
    wake_in(slot, [this] { wake_slot(); });
  }
}

void Observation::wake_in(std::chrono::steady_clock::time_point when, std::function<void()> what) {
  round_timer_.expires_at(when);
  round_timer_.async_wait([what = std::move(what)](const boost::system::error_code& error) {
    if (!error) what();
  });
}

void Observation::wake_all() {
  last_wake_ = std::chrono::steady_clock::now();
  asleep_ = true;  // first: what is committed from here on wakes us again
  for (const auto& feed : feeds_) feed->wake();
}

void Observation::wake_slot() {
  last_wake_ = std::chrono::steady_clock::now();
  const std::size_t share = (feeds_.size() * kBusySlotMs + kBusyRoundMs - 1) / kBusyRoundMs;
  for (const std::size_t end = std::min(next_feed_ + share, feeds_.size()); next_feed_ < end; ++next_feed_) {
    feeds_[next_feed_]->wake();
  }
  if (next_feed_ < feeds_.size()) {
    wake_in(last_wake_ + std::chrono::milliseconds(kBusySlotMs), [this] { wake_slot(); });
  } else {
    end_round();
  }
}

// What was committed since the round began is for the feeds that had their turn before.
void Observation::end_round() {
  asleep_ = true;
  if (has_commit_ && asleep_.exchange(false)) begin_round();
}

void Observation::enroll(const std::string& plugin_id, EventSeq seq) {
  asio::post(io_, [this, path = path_of(plugin_id), seq] {
    // Where it cannot be written the feed finds none, tries again and says why.
    Result<CursorFile> file = CursorFile::open(path);
    if (!file || !file->write({seq, log_.node_id()})) return;
    // Once in a life: from here on a power cut leaves an older cursor at worst, not none.
    file->sync();
    static_cast<void>(sys::sync_directory(folder_).has_value());
  });
}

std::shared_ptr<Feed> Observation::begin(FeedOrder order) {
  std::string path = path_of(order.plugin_id);
  auto feed = std::make_shared<Feed>(io_, kernel_, log_, std::move(path), std::move(order));
  asio::post(io_, [this, feed] {
    if (feed->ended()) return;
    feeds_.push_back(feed);
    feed->begin();
  });
  return feed;
}

void Observation::forget(const std::string& plugin_id) {
  asio::post(io_, [path = path_of(plugin_id)] { ::unlink(path.c_str()); });
}

}  // namespace liongate::observation
