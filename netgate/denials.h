// Which refusals of one gate are told, and when what was refused may know: the first of its kind at once, and whoever
// was refused waits until the daemon has recorded it; repetitions are answered at once and counted, and the count is
// told once a minute and at the end. Kinds are bounded; what is beyond shares one.
//
// Ownership and thread: owned by its gate; the process's only thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "liongate/v1/netgate.pb.h"

namespace liongate::netgate {

inline constexpr std::size_t kRefusalKindsMax = 64;
inline constexpr std::chrono::seconds kRefusalWindow{60};

struct Attempt {
  std::string action;  // "connect", "send", "resolve"
  std::string host;
  std::uint16_t port = 0;
  std::string why;
};

class Denials {
 public:
  using Clock = std::chrono::steady_clock;
  using Send = std::function<void(v1::Refused)>;
  explicit Denials(Send send) : send_(std::move(send)) {}

  // `then` lets the plugin see it.
  void refuse(const Attempt& attempt, std::function<void()> then);
  // The daemon has it.
  void recorded(std::uint64_t refusal_id);
  // Tells what was counted in windows that are over; with `all` in every one.
  void flush(Clock::time_point now, bool all);
  // Nobody will be told any more: what waits is let go of without a word.
  void drop();
  // Whether a flush has something to tell, sooner or later.
  bool has_counts() const;

 private:
  struct Window {
    Attempt attempt;
    Clock::time_point end;
    std::uint64_t count = 0;
    std::uint64_t refusal_id = 0;  // not 0: not recorded yet
    std::vector<std::function<void()>> waiting;
  };
  v1::Refused describe(const Attempt& attempt, std::uint64_t count) const;

  Send send_;
  std::map<std::string, Window> windows_;
  std::uint64_t last_id_ = 0;
};

}  // namespace liongate::netgate
