#include "kernel/supervision/output_capture.h"

#include <unistd.h>

#include <cerrno>

#include "kernel/base/limits.h"
#include "kernel/supervision/pipe_end.h"

namespace liongate::supervision {

OutputCapture::OutputCapture(boost::asio::io_context& context, std::string source, std::shared_ptr<PluginLog> log,
                             std::string execution_id)
    : descriptor_(context),
      timer_(context),
      source_(std::move(source)),
      log_(std::move(log)),
      execution_id_(std::move(execution_id)) {}

Result<std::shared_ptr<OutputCapture>> OutputCapture::open(boost::asio::io_context& context, UniqueFd read_end,
                                                           std::string source, std::shared_ptr<PluginLog> log,
                                                           std::string execution_id) {
  auto capture = std::make_shared<OutputCapture>(context, std::move(source), std::move(log), std::move(execution_id));
  LG_TRY(watch_pipe_end(capture->descriptor_, std::move(read_end)));
  return capture;
}

void OutputCapture::wait() {
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error && !self->closed_) self->on_readable();
                         });
}

void OutputCapture::on_readable() {
  const auto now = std::chrono::steady_clock::now();
  if (now - window_start_ > std::chrono::milliseconds(limits::kCaptureWindowMs)) {
    window_start_ = now;
    window_bytes_ = 0;
  }
  if (read_once() == ReadOutcome::kClosed) {
    close();
    return;
  }
  if (window_bytes_ < limits::kCaptureBytesPerWindowMax) {
    wait();
    return;
  }
  timer_.expires_at(window_start_ + std::chrono::milliseconds(limits::kCaptureWindowMs));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->closed_) self->wait();
  });
}

OutputCapture::ReadOutcome OutputCapture::read_once() {
  char bytes[kReadBytes];
  const ssize_t got = ::read(descriptor_.native_handle(), bytes, sizeof bytes);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? ReadOutcome::kNothingNow : ReadOutcome::kClosed;
  if (got == 0) return ReadOutcome::kClosed;
  window_bytes_ += static_cast<std::size_t>(got);
  keep(std::string_view(bytes, static_cast<std::size_t>(got)));
  return ReadOutcome::kMore;
}

void OutputCapture::keep(std::string_view bytes) {
  tail_.append(bytes);
  if (tail_.size() > kTailBytesMax) tail_.erase(0, tail_.size() - kTailBytesMax);
  lines_.feed(bytes, [this](std::string_view line) { log_->add(source_, "", line, execution_id_); });
}

void OutputCapture::finish() {
  if (closed_) return;
  // The writers are gone, so the pipe holds at most its own size: this ends.
  while (read_once() == ReadOutcome::kMore) {
  }
  close();
}

void OutputCapture::close() {
  closed_ = true;
  lines_.finish([this](std::string_view line) { log_->add(source_, "", line, execution_id_); });
  timer_.cancel();
  boost::system::error_code ignored;  // closing a pipe's read end cannot fail in a way that matters
  descriptor_.close(ignored);
}

}  // namespace liongate::supervision
