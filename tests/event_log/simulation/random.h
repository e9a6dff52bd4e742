// The one source of chance in a simulated history: a seed in, always the same numbers out, on every machine.
//
// Ownership and thread: a value; one history has one. No errors.
#pragma once

#include <cstdint>

namespace liongate::simulation {

// SplitMix64 (Steele, Lea, Flood 2014): one addition and three mixing steps a number, no state to warm up.
class Random {
 public:
  // Neighbouring seeds begin one step of each other apart: where each is to be a history of its own, seed with
  // Random(seed).next().
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
  }
  // From 0 to `bound` - 1; 0 where bound is 0.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  // From `low` to `high`, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace liongate::simulation
