// `run-plugin --learn`: runs a program in its sandbox again and again, each time with what it was seen to miss, until
// it misses nothing; then prints the manifest that it needs.
//
// Each round loads the plugin into a private daemon in learn mode, calls it once and reads from the daemon's log what
// was refused (learned_permissions.h). The program really runs, as often as there are rounds, with what it asked for so
// far and no more: what it does to files that it was granted is done.
//
// Ownership and thread: a function of the verb's thread; starts the private daemon, so it comes before any Connection.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/loading.h"

namespace liongate::cli {

inline constexpr std::uint64_t kLearnRoundsDefault = 20;
inline constexpr std::uint64_t kLearnRoundsMax = 100;

struct LearnOptions {
  std::string manifest;              // of a plugin that there is; or
  std::vector<std::string> program;  // a program and its arguments
  std::string save;                  // where the plugin made of `program` is to stay; empty: nowhere
  std::uint64_t rounds_max = kLearnRoundsDefault;
  InvokeOptions invoke;
};

// Prints the manifest (with -o json what was learned, too). kPluginFailed where the program fails even then, kFailure
// where it still missed something after the last round.
ExitCode learn(Context& context, const LearnOptions& options);

}  // namespace liongate::cli
