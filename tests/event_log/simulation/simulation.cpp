// Runs simulated histories of the event log and says what they covered; a violation is told with its seed.
//
// Usage: event_log_simulation [--histories N] [--first-seed N] [--seconds N]      many
//        event_log_simulation --seed N                                            one, every operation printed
// Exit codes: 0 every law held; 1 one did not, its seed is printed and replays it exactly; 2 usage.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tests/event_log/simulation/history.h"

using namespace liongate;
using namespace liongate::simulation;

namespace {

struct Arguments {
  std::uint64_t histories = 30'000;
  std::uint64_t first_seed = 1;
  std::uint64_t seconds = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t seed = 0;  // 0: many
};

bool parse(int count, char** words, Arguments& arguments) {
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count) return false;
    char* end = nullptr;
    const std::uint64_t number = std::strtoull(words[i + 1], &end, 10);
    if (*end != '\0' || number == 0) return false;
    std::uint64_t* const place = std::strcmp(words[i], "--histories") == 0    ? &arguments.histories
                                 : std::strcmp(words[i], "--first-seed") == 0 ? &arguments.first_seed
                                 : std::strcmp(words[i], "--seconds") == 0    ? &arguments.seconds
                                 : std::strcmp(words[i], "--seed") == 0       ? &arguments.seed
                                                                              : nullptr;
    if (place == nullptr) return false;
    *place = number;
  }
  return true;
}

void print_counts(std::uint64_t histories, const HistoryCounts& counts) {
  std::printf(
      "counts: %llu histories: %llu lives, %llu recoveries (%llu cut off a torn tail), ended by %llu kills, %llu power "
      "cuts, "
      "%llu failures of the disk; %llu met a full disk\n"
      "counts: %llu events submitted, %llu acknowledged at their histories' ends, %llu read back and compared; %llu "
      "operations; %llu checkpoints exported\n",
      static_cast<unsigned long long>(histories), static_cast<unsigned long long>(counts.lives),
      static_cast<unsigned long long>(counts.recoveries), static_cast<unsigned long long>(counts.torn_tails),
      static_cast<unsigned long long>(counts.kills), static_cast<unsigned long long>(counts.power_cuts),
      static_cast<unsigned long long>(counts.fatal_faults), static_cast<unsigned long long>(counts.full_disks),
      static_cast<unsigned long long>(counts.submitted), static_cast<unsigned long long>(counts.acknowledged),
      static_cast<unsigned long long>(counts.events_read), static_cast<unsigned long long>(counts.operations),
      static_cast<unsigned long long>(counts.checkpoints));
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  if (!parse(count, words, arguments)) {
    std::fprintf(stderr, "usage: event_log_simulation [--histories N] [--first-seed N] [--seconds N] | --seed N\n");
    return 2;
  }
  const bool one = arguments.seed != 0;
  const std::uint64_t first = one ? arguments.seed : arguments.first_seed;
  const std::uint64_t histories = one ? 1 : arguments.histories;
  const auto begin = std::chrono::steady_clock::now();
  const auto limit = std::chrono::seconds(std::min<std::uint64_t>(arguments.seconds, 1'000'000));
  HistoryCounts counts;
  std::uint64_t done = 0;
  std::uint64_t broken = 0;
  for (; done < histories && std::chrono::steady_clock::now() - begin < limit; ++done) {
    const HistoryResult result = run_history({.seed = first + done, .print = one});
    counts += result.counts;
    if (!result.violation) continue;
    ++broken;
    std::printf("VIOLATION in seed %llu: %s\n  replay: event_log_simulation --seed %llu\n",
                static_cast<unsigned long long>(first + done), result.violation->c_str(),
                static_cast<unsigned long long>(first + done));
    std::fflush(stdout);
  }
  print_counts(done, counts);
  std::printf("counts: %llu violations\n", static_cast<unsigned long long>(broken));
  return broken == 0 ? 0 : 1;
}
