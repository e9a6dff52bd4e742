#include "daemon/log_readers.h"

#include "kernel/base/sys.h"

namespace liongate::daemon {

LogReaders::LogReaders(event_log::EventLog& log) : log_(log) {
  listener_ = log_.add_commit_listener([this](EventSeq) {
    const std::lock_guard lock(mutex_);
    for (auto& [token, wake] : followers_) wake();
  });
  boost::asio::post(reader_, [] { sys::name_thread("log-reader"); });
  boost::asio::post(verifier_, [] { sys::name_thread("log-verifier"); });
}

LogReaders::~LogReaders() {
  stop();
}

void LogReaders::stop() {
  if (listener_ == 0) return;
  log_.remove_commit_listener(listener_);
  listener_ = 0;
  begin_stop();
  for (boost::asio::thread_pool* pool : {&reader_, &verifier_}) {
    pool->stop();
    pool->join();
  }
}

bool LogReaders::submit_verification(std::function<void()> job) {
  if (verifications_.fetch_add(1) >= limits::kVerificationsMax) {
    --verifications_;
    return false;
  }
  boost::asio::post(verifier_, [this, job = std::move(job)] {
    job();
    --verifications_;
  });
  return true;
}

std::uint64_t LogReaders::follow(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  if (followers_.size() >= limits::kFollowersMax) return 0;
  followers_[++last_token_] = std::move(wake);
  return last_token_;
}

void LogReaders::leave(std::uint64_t token) {
  const std::lock_guard lock(mutex_);
  followers_.erase(token);
}

}  // namespace liongate::daemon
