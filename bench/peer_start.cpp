// Starts a confined program with any other program that confines, many times: the peers of a plugin's load.
//
// Usage: bench_peer_start COUNT COMMAND...
// "{n}" in a word of COMMAND becomes the number of the start: runtimes want a name for each container. Measured from
// the spawn of COMMAND until the confined program's first byte arrives on its stdout.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/measurement.h"

namespace liongate::bench {
namespace {

std::string numbered(std::string word, int number) {
  if (const std::size_t at = word.find("{n}"); at != std::string::npos) word.replace(at, 3, std::to_string(number));
  return word;
}

// Microseconds from the spawn to the first byte; the command has ended when it returns.
std::uint64_t start_once(char** words, int count, int number) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(numbered(words[i], number));
  std::vector<char*> command;
  for (std::string& text : texts) command.push_back(text.data());
  command.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up("bench_peer_start: pipe2");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  pid_t pid = -1;
  const std::uint64_t begin = now_ns();
  const int error = ::posix_spawnp(&pid, command.front(), &actions, nullptr, command.data(), environ);
  if (error != 0) give_up("bench_peer_start: " + texts.front() + ": " + std::strerror(error));
  ::close(ends[1]);
  char byte = 0;
  if (::read(ends[0], &byte, 1) != 1) give_up("bench_peer_start: " + texts.front() + ": the program said nothing");
  const std::uint64_t took = now_ns() - begin;
  int status = 0;
  ::waitpid(pid, &status, 0);
  ::close(ends[0]);
  ::posix_spawn_file_actions_destroy(&actions);
  if (status != 0) give_up("bench_peer_start: " + texts.front() + " failed");
  return took;
}

int run(int argc, char** argv) {
  if (argc < 3) give_up("usage: bench_peer_start COUNT COMMAND...");
  Samples samples;
  for (int number = 0; number < std::atoi(argv[1]); ++number) {
    samples.add_ns(start_once(argv + 2, argc - 2, number));
  }
  print_figures({{"p50_us", samples.percentile_us(0.50)},
                 {"p99_us", samples.percentile_us(0.99)},
                 {"count", static_cast<double>(samples.count())}});
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
