// The last lines that a plugin wrote to stdout, stderr or its log, in a ring of bounded size, for get-plugin-logs.
//
// Ownership and thread: one a plugin, on the kernel thread. It outlives the plugin's instances.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "kernel/base/clock.h"
#include "kernel/base/limits.h"
#include "kernel/base/result.h"

namespace liongate::supervision {

struct LogLine {
  std::int64_t wall_ns = 0;
  std::string source;  // "stdout", "stderr" or "log"
  std::string level;   // of "log" lines
  std::string text;    // without the line end; not necessarily UTF-8
  std::string execution_id;
  std::uint64_t dropped_before = 0;  // lines lost in front of this one
};

class PluginLog {
 public:
  // `hide` takes out of each line what nobody may read in a log; it outlives whoever adds lines.
  using Hide = std::function<std::string(std::string)>;
  explicit PluginLog(const Clock& clock, Hide hide = nullptr) : clock_(clock), hide_(std::move(hide)) {}
  ~PluginLog();
  PluginLog(const PluginLog&) = delete;
  PluginLog& operator=(const PluginLog&) = delete;

  // Keeps a line; the oldest go when the ring is full. A line over the bound is cut.
  void add(std::string_view source, std::string_view level, std::string_view text, std::string_view execution_id);

  const std::deque<LogLine>& lines() const { return lines_; }

  // Calls `follower` with each new line until the token is given back, and with nullptr when there will be no more: the
  // plugin was unloaded. Fails (kQueueFull) beyond limits::kLogFollowersPerPluginMax.
  using Follower = std::function<void(const LogLine*)>;
  Result<std::uint64_t> follow(Follower follower);
  void unfollow(std::uint64_t token) { followers_.erase(token); }

  // The last lines as one text of at most `bytes_max`: for the error of a plugin that died.
  std::string tail(std::size_t bytes_max) const;

 private:
  const Clock& clock_;
  Hide hide_;
  std::deque<LogLine> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t next_token_ = 1;
  std::map<std::uint64_t, Follower> followers_;
};

// Cuts a stream of bytes into lines of bounded length.
class LineSplitter {
 public:
  // Calls `take(line)` for each line that `bytes` completes; a line longer than the bound is given in pieces.
  template <typename Take>
  void feed(std::string_view bytes, Take take) {
    while (!bytes.empty()) {
      // A full piece is given when its line goes on, not before: the next byte may be its end.
      if (partial_.size() == limits::kPluginLogLineBytesMax && bytes.front() != '\n') {
        take(std::string_view(partial_));
        partial_.clear();
      }
      const std::size_t end = bytes.find('\n');
      const std::size_t length = end == std::string_view::npos ? bytes.size() : end;
      const std::size_t piece = std::min(length, limits::kPluginLogLineBytesMax - partial_.size());
      partial_.append(bytes.substr(0, piece));
      if (piece == length && end != std::string_view::npos) {
        take(std::string_view(partial_));
        partial_.clear();
        bytes.remove_prefix(end + 1);
      } else {
        bytes.remove_prefix(piece);
      }
    }
  }
  // Gives what is left without a line end.
  template <typename Take>
  void finish(Take take) {
    if (!partial_.empty()) take(std::string_view(partial_));
    partial_.clear();
  }

 private:
  std::string partial_;
};

}  // namespace liongate::supervision
