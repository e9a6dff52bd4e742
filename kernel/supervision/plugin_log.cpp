#include "kernel/supervision/plugin_log.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernel/policy/secrets.h"

namespace liongate::supervision {
namespace {

// What a line costs besides its text; keeps a flood of empty lines bounded too.
constexpr std::size_t kLineOverheadBytes = 128;

std::size_t cost_of(const LogLine& line) {
  return line.text.size() + kLineOverheadBytes;
}

}  // namespace

PluginLog::~PluginLog() {
  for (const auto& [token, follower] : std::exchange(followers_, {})) follower(nullptr);
}

void PluginLog::add(std::string_view source, std::string_view level, std::string_view text,
                    std::string_view execution_id) {
  // Hidden before it is cut: half a secret is one. What is kept is a copy of its own size: a text that was cut to it
  // would hold the memory of all that it was, 15 MiB of a frame for a line of 8 KiB.
  const std::string_view within_reach = text.substr(0, limits::kPluginLogLineBytesMax + policy::kHidingReachBytes);
  const std::string hidden = hide_ ? hide_(std::string(within_reach)) : std::string(within_reach);
  LogLine line{clock_.wall_ns(),
               std::string(source),
               std::string(level),
               hidden.substr(0, limits::kPluginLogLineBytesMax),
               std::string(execution_id),
               0};
  bytes_ += cost_of(line);
  while (bytes_ > limits::kPluginLogBytesMax && !lines_.empty()) {
    bytes_ -= cost_of(lines_.front());
    dropped_ += lines_.front().dropped_before + 1;
    lines_.pop_front();
    if (!lines_.empty()) {
      lines_.front().dropped_before += dropped_;
      dropped_ = 0;
    }
  }
  line.dropped_before += dropped_;
  dropped_ = 0;
  lines_.push_back(std::move(line));
  // A follower may unfollow itself or another while it is called: it is kept, and looked for, each by itself.
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, follower] : followers_) tokens.push_back(token);
  for (const std::uint64_t token : tokens) {
    const auto found = followers_.find(token);
    if (found == followers_.end()) continue;
    const Follower follower = found->second;
    follower(&lines_.back());
  }
}

Result<std::uint64_t> PluginLog::follow(Follower follower) {
  if (followers_.size() >= limits::kLogFollowersPerPluginMax) {
    return make_error(Reason::kQueueFull,
                      std::to_string(followers_.size()) + " readers follow this plugin's output already")
        .with_hint("read without --follow, or end one of the others");
  }
  followers_[next_token_] = std::move(follower);
  return next_token_++;
}

std::string PluginLog::tail(std::size_t bytes_max) const {
  std::string text;
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    if (text.size() + line->text.size() + 1 > bytes_max) break;
    text = text.empty() ? line->text : line->text + "\n" + text;
  }
  return text;
}

}  // namespace liongate::supervision
