// A real launcher under test: started as the wanted user, asked, and its answers collected.
//
// The test program is root in CI and a plain user elsewhere; as root every sandbox test runs twice, the second time
// with a launcher that a forked child started as `nobody`. Programs that every user must reach are copied to a folder
// of the test's own. Single-threaded; owns everything it makes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox::testing {

enum class User { kRoot, kNobody };

// The users the present process can start a launcher as.
std::vector<User> available_users();
const char* name_of(User user);

struct Outcome {
  std::optional<Started> started;
  Exited exited;
  std::string out;  // what the program wrote to stdout and stderr, bounded
  std::vector<Denied> denials;
};

// A folder under /tmp that every user may read, removed at the end.
class SharedFolder {
 public:
  SharedFolder();
  ~SharedFolder();
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Launcher {
 public:
  explicit Launcher(User user, std::vector<std::string> arguments = {});
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  pid_t pid() const { return pid_; }
  User user() const { return user_; }
  int control() const { return control_.get(); }
  int files() const { return files_.get(); }

  // Sends a launch; the ends of its pipes that are ours come back. Descriptors 3 and 4 are a socket pair's two halves.
  struct Running {
    std::uint64_t launch_id = 0;
    UniqueFd output;
    UniqueFd input;
  };
  Running launch(LaunchRequest request);
  Outcome finish(Running running, int timeout_ms = 10'000);
  Outcome run(LaunchRequest request, const std::string& input = {});

  // The next report but for denials; fails the test when none comes in time. Denials are collected, and answered
  // ("recorded") at once unless the test wants to do it.
  Report next_report(int timeout_ms = 10'000);
  std::vector<Denied> denials;
  // So many of the descriptors behind the program's go along, in the place of secrets.
  void pass_as_secrets(std::size_t count) { passed_secrets_ = count; }
  bool answers_denials = true;
  Denied next_denial(int timeout_ms = 10'000);  // the last one, or the first to come
  void record(const Denied& denied);
  void kill_launch(std::uint64_t launch_id);
  void close_control() { control_.reset(); }

 private:
  std::optional<Report> read_report();

  User user_;
  pid_t pid_ = -1;
  UniqueFd control_;
  UniqueFd files_;
  std::uint64_t next_id_ = 1;
  std::size_t passed_secrets_ = 0;
};

// The folder with the hostile programs, readable by all, and a request that runs one of them with `arguments`.
const std::string& program_folder();
LaunchRequest run_program(const std::string& program, std::vector<std::string> arguments);

// A request that sees /usr and the usual links, for real programs.
LaunchRequest run_system_program(const std::string& executable, std::vector<std::string> arguments);

}  // namespace liongate::sandbox::testing
