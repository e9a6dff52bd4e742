// How long a program takes from its spawn to its first byte on stdout.
//
// Ownership and thread: a function; ends the benchmark (give_up) when the program does not do what is expected.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "bench/measurement.h"

namespace liongate::bench {

// Nanoseconds; `words` are looked up in PATH and have ended with status 0 when it returns. Its stdin is empty.
inline std::uint64_t first_byte_ns(std::vector<std::string> words) {
  const std::string name = words.front();
  std::vector<char*> command;
  for (std::string& word : words) command.push_back(word.data());
  command.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up(name + ": pipe2");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  pid_t pid = -1;
  const std::uint64_t begin = now_ns();
  const int error = ::posix_spawnp(&pid, command.front(), &actions, nullptr, command.data(), environ);
  if (error != 0) give_up(name + ": " + std::strerror(error));
  ::close(ends[1]);
  char byte = 0;
  if (::read(ends[0], &byte, 1) != 1) give_up(name + ": the program said nothing");
  const std::uint64_t took_ns = now_ns() - begin;
  int status = 0;
  ::waitpid(pid, &status, 0);
  ::close(ends[0]);
  ::posix_spawn_file_actions_destroy(&actions);
  if (status != 0) give_up(name + ": the program failed");
  return took_ns;
}

}  // namespace liongate::bench
