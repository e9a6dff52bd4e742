// Reads what a process writes to stdout or stderr into its log, line by line, at a bounded rate.
//
// Ownership and thread: shared with its own pending reads; kernel thread. A plugin that floods is slowed down by its
// full pipe: at most limits::kCaptureBytesPerWindowMax are read in each window, so that it costs its neighbours
// nothing.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "kernel/base/limits.h"
#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "kernel/policy/secrets.h"
#include "kernel/supervision/plugin_log.h"

namespace liongate::supervision {

class OutputCapture : public std::enable_shared_from_this<OutputCapture> {
 public:
  // `source` is "stdout" or "stderr"; `log` is shared because lines may still come while the plugin is being forgotten.
  static Result<std::shared_ptr<OutputCapture>> open(boost::asio::io_context& context, UniqueFd read_end,
                                                     std::string source, std::shared_ptr<PluginLog> log,
                                                     std::string execution_id);
  OutputCapture(boost::asio::io_context& context, std::string source, std::shared_ptr<PluginLog> log,
                std::string execution_id);

  void start() { wait(); }

  // Reads what is still in the pipe and closes it: nothing written before the end is lost.
  void finish();

  // Closes it as it is: the writers may still live.
  void drop() {
    if (!closed_) close();
  }

  // The last bytes, for the error of a command that failed: more than limits::kCommandStderrTailBytes, so that what is
  // secret can be hidden before it is cut.
  const std::string& tail() const { return tail_; }

 private:
  static constexpr std::size_t kReadBytes = 16 * 1024;
  static constexpr std::size_t kTailBytesMax = limits::kCommandStderrTailBytes + policy::kHidingReachBytes;

  void wait();
  void on_readable();
  enum class ReadOutcome { kMore, kNothingNow, kClosed };
  ReadOutcome read_once();
  void keep(std::string_view bytes);
  void close();

  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer timer_;
  std::string source_;
  std::shared_ptr<PluginLog> log_;
  std::string execution_id_;
  LineSplitter lines_;
  std::string tail_;
  std::size_t window_bytes_ = 0;
  std::chrono::steady_clock::time_point window_start_{};
  bool closed_ = false;
};

}  // namespace liongate::supervision
