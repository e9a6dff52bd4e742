// Starts a confined program with any other program that confines, many times: the peers of a plugin's load.
//
// Usage: bench_peer_start COUNT COMMAND...
// "{n}" in a word of COMMAND becomes the number of the start: runtimes want a name for each container. Measured from
// the spawn of COMMAND until the confined program's first byte arrives on its stdout.

#include <cstdlib>
#include <string>
#include <vector>

#include "bench/first_byte.h"

namespace liongate::bench {
namespace {

std::string numbered(std::string word, int number) {
  if (const std::size_t at = word.find("{n}"); at != std::string::npos) word.replace(at, 3, std::to_string(number));
  return word;
}

int run(int argc, char** argv) {
  if (argc < 3) give_up("usage: bench_peer_start COUNT COMMAND...");
  Samples samples;
  for (int number = 0; number < std::atoi(argv[1]); ++number) {
    std::vector<std::string> words;
    for (int i = 2; i < argc; ++i) words.push_back(numbered(argv[i], number));
    samples.add_ns(first_byte_ns(std::move(words)));
  }
  print_durations(samples);
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
