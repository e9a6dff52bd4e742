#include "cli/progress.h"

#include <unistd.h>

#include <chrono>

namespace liongate::cli {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::milliseconds kQuiet{2'000};
constexpr std::chrono::milliseconds kInterval{250};
constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

Progress::Progress(Context& context, std::string subject, Terminal shown)
    : err_(context.err), subject_(std::move(subject)) {
  if (shown == Terminal::kYes) thread_ = std::thread([this] { run(); });
}

Progress::~Progress() {
  end();
}

void Progress::say(std::string how_far) {
  const std::lock_guard lock(mutex_);
  how_far_ = std::move(how_far);
}

void Progress::end() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (shown_) err_ << kClearLine << std::flush;
}

void Progress::run() {
  const auto begin = steady_clock::now();
  std::unique_lock lock(mutex_);
  auto next = begin + kQuiet;
  while (!wake_.wait_until(lock, next, [this] { return end_; })) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - begin).count();
    err_ << kClearLine << subject_ << ": " << (how_far_.empty() ? "at work" : how_far_) << ", " << seconds << " s"
         << std::flush;
    shown_ = true;
    next += kInterval;
  }
}

Terminal error_terminal() {
  return ::isatty(STDERR_FILENO) == 1 ? Terminal::kYes : Terminal::kNo;
}

}  // namespace liongate::cli
