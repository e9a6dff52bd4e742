// Times and percentiles for the benchmarks, and the one JSON line in which each program hands back what it measured.
//
// Ownership and thread: plain values, each used by one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace liongate::bench {

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// Durations of single operations. Percentiles are exact: every sample is kept.
class Samples {
 public:
  void add_ns(std::uint64_t duration_ns) { durations_ns_.push_back(duration_ns); }
  void clear() { durations_ns_.clear(); }
  std::size_t count() const { return durations_ns_.size(); }

  // The value below which `share` (0 to 1) of the samples lie, in microseconds; 0 where there are none.
  double percentile_us(double share) {
    if (durations_ns_.empty()) return 0;
    const std::size_t last = durations_ns_.size() - 1;
    const auto index = std::min(last, static_cast<std::size_t>(share * static_cast<double>(durations_ns_.size())));
    std::nth_element(durations_ns_.begin(), durations_ns_.begin() + static_cast<std::ptrdiff_t>(index),
                     durations_ns_.end());
    return static_cast<double>(durations_ns_[index]) / 1e3;
  }

 private:
  std::vector<std::uint64_t> durations_ns_;
};

// Prints {"name": number, ...} on one line of stdout: what bench/run.py reads.
inline void print_figures(const std::vector<std::pair<std::string, double>>& figures) {
  std::string line = "{";
  for (const auto& [name, value] : figures) {
    char text[128];
    std::snprintf(text, sizeof text, "%s\"%s\": %.3f", line.size() > 1 ? ", " : "", name.c_str(), value);
    line += text;
  }
  std::printf("%s}\n", line.c_str());
  std::fflush(stdout);
}

// The same for one kind of duration: p50_us, p99_us, count.
inline void print_durations(Samples& samples) {
  print_figures({{"p50_us", samples.percentile_us(0.50)},
                 {"p99_us", samples.percentile_us(0.99)},
                 {"count", static_cast<double>(samples.count())}});
}

// Ends the program: a benchmark that cannot measure must not print a number.
[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

}  // namespace liongate::bench
