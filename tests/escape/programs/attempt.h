// What the attempts of the escape suite are written in: a scene, a report and a list of checks for each family.
//
// The same code runs confined, as a plugin, and unconfined, as the positive control that shows that an attempt is one.
// In a control every attempt runs in a child of its own, so that one which works does not change the next; a plugin
// without `process` cannot fork, so there they run in turn. Only raw system calls: no library softens an attempt.
// Single thread; a report belongs to the check that fills it.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace liongate::escape {

// "ok", or the name of errno. Call at once after the system call.
std::string outcome_of(long result);

// sendmsg of one byte with these descriptors beside it (SCM_RIGHTS); never waits.
long send_descriptors(int socket, const std::vector<int>& descriptors);

// Where things are that the attempts reach for: lines KEY=VALUE, written by the driver.
class Scene {
 public:
  explicit Scene(std::string_view lines);
  std::string get(const std::string& key) const;  // empty where the driver named none
  long number(const std::string& key, long otherwise) const;
  bool is_control() const { return get("place") == "control"; }

 private:
  std::map<std::string, std::string> values_;
};

// Lines ATTEMPT=OUTCOME, in order.
class Report {
 public:
  explicit Report(const Scene& scene) : is_control_(scene.is_control()) {}

  // `act` returns what a system call returns, or -1 with errno set.
  void attempt(const std::string& name, const std::function<long()>& act);
  // `act` says in its own words how it went.
  void describe(const std::string& name, const std::function<std::string()>& act);
  void say(const std::string& name, const std::string& outcome);
  const std::string& text() const { return text_; }

  // Makes the answer of the call a failure, or gives it so many warnings.
  void fail_with(std::string code, std::string message) {
    failure_code_ = std::move(code);
    failure_message_ = std::move(message);
  }
  void warn(int count) { warnings_ = count; }
  const std::string& failure_code() const { return failure_code_; }
  const std::string& failure_message() const { return failure_message_; }
  int warnings() const { return warnings_; }

 private:
  bool is_control_;
  std::string text_;
  std::string failure_code_;
  std::string failure_message_;
  int warnings_ = 0;
};

struct Check {
  const char* id;
  void (*run)(const Scene& scene, Report& report);
};

std::span<const Check> kernel_checks();
std::span<const Check> privilege_checks();
std::span<const Check> file_checks();
std::span<const Check> grant_checks();
std::span<const Check> network_checks();
std::span<const Check> gateway_checks();
std::span<const Check> process_checks();
std::span<const Check> protocol_checks();
std::span<const Check> unlisted_checks();

// What a file holds, at most 64 KiB; the name of errno where it cannot be read.
std::string contents_of(const std::string& path);
// "ok" where the file opens with these flags, else the name of errno. Nothing is read or written.
std::string opens(const std::string& path, int flags);

}  // namespace liongate::escape
