// One simulated history of a log: some lives of appending, reading, crashing and recovering on one faulty disk, all
// drawn from a seed, and the laws that every recovery is held against.
//
// The laws: what was acknowledged is recovered; what is recovered is a prefix of what was submitted, byte for byte and
// without a gap; a kill loses nothing that was written; verify finds nothing in what was recovered, and nothing but a
// torn tail before; an honest disk is never a reason to refuse or to give up; whoever waits is answered; the log
// extends every signed checkpoint that was ever taken from it.
//
// Ownership and thread: `run_history` is one call on one thread and leaves nothing behind. Errors: in the result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/event_log/simulation/faulty_disk.h"

namespace liongate::simulation {

struct HistoryOptions {
  std::uint64_t seed = 0;
  Lie lie = Lie::kNone;
  bool print = false;  // every operation, on stdout
};

struct HistoryCounts {
  std::uint64_t lives = 0;
  std::uint64_t recoveries = 0;
  std::uint64_t torn_tails = 0;
  std::uint64_t kills = 0;
  std::uint64_t power_cuts = 0;
  std::uint64_t fatal_faults = 0;  // lives that ended because the disk failed
  std::uint64_t full_disks = 0;    // lives that met one
  std::uint64_t submitted = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t checkpoints = 0;  // exported and kept
  std::uint64_t events_read = 0;
  std::uint64_t operations = 0;

  HistoryCounts& operator+=(const HistoryCounts& other);
};

struct HistoryResult {
  std::optional<std::string> violation;  // the law that did not hold
  std::uint64_t digest = 0;              // of everything that happened
  HistoryCounts counts;
};

HistoryResult run_history(const HistoryOptions& options);

}  // namespace liongate::simulation
