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
    : kernel_(kernel), log_(log), folder_(std::move(folder)), work_(io_.get_executor()), gather_timer_(io_) {
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
    gather_timer_.cancel();
    for (const auto& feed : std::exchange(feeds_, {})) feed->abandon();
  });
  work_.reset();
  thread_.join();
}

// Writer thread: a single post for all that is committed until we have looked.
void Observation::on_commit() {
  if (asleep_.exchange(false)) asio::post(io_, [this] { gather(); });
}

// What is committed in the next moments goes along.
void Observation::gather() {
  gather_timer_.expires_at(
      std::max(std::chrono::steady_clock::now() + std::chrono::milliseconds(limits::kObserverGatherMs),
               last_wake_ + std::chrono::milliseconds(kBusyIntervalMs)));
  gather_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) wake_feeds();
  });
}

void Observation::wake_feeds() {
  last_wake_ = std::chrono::steady_clock::now();
  asleep_ = true;  // first: what is committed from here on wakes us again
  std::erase_if(feeds_, [](const auto& feed) { return feed->ended(); });
  for (const auto& feed : feeds_) feed->wake();
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
