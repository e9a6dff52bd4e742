// Goal: how a process ended is told in words that say what to do about it.
#include "kernel/supervision/plugin_exit.h"

#include <catch2/catch.hpp>
#include <cerrno>

using namespace liongate;
using supervision::describe;
using supervision::ExitKind;
using supervision::load_error;
using supervision::PluginExit;

namespace {

PluginExit exited(int code) {
  PluginExit exit;
  exit.exit_code = code;
  return exit;
}

PluginExit signalled(int signal) {
  PluginExit exit;
  exit.kind = ExitKind::kSignalled;
  exit.signal = signal;
  return exit;
}

PluginExit setup_failed(int step_errno, bool host_refuses = false) {
  PluginExit exit;
  exit.kind = ExitKind::kSetupFailed;
  exit.step = "execute /plugin/hello";
  exit.step_errno = step_errno;
  exit.host_refuses = host_refuses;
  return exit;
}

PluginExit launcher_lost() {
  PluginExit exit;
  exit.kind = ExitKind::kLauncherLost;
  return exit;
}

}  // namespace

TEST_CASE("only exit code 0 is a success") {
  CHECK(exited(0).is_success());
  CHECK_FALSE(exited(3).is_success());
  CHECK_FALSE(signalled(9).is_success());
  CHECK_FALSE(setup_failed(ENOENT).is_success());
  CHECK_FALSE(launcher_lost().is_success());
}

TEST_CASE("each end is one line of words") {
  CHECK(describe(exited(3)) == "exited with status 3");
  CHECK(describe(signalled(9)) == "was killed by signal 9 (Killed)");
  CHECK(describe(signalled(1000)) == "was killed by signal 1000 (unknown)");
  CHECK(describe(setup_failed(ENOENT)) == "could not be started: execute /plugin/hello: No such file or directory");
  CHECK(describe(launcher_lost()) == "ended because liongate-launcher ended");
}

TEST_CASE("the message of an event holds all of it") {
  PluginExit exit = signalled(11);
  exit.cpu_time_us = 1500;
  exit.memory_peak_bytes = 4096;
  exit.cpu_wait_us = 1500;
  exit.memory_wait_us = 2500;
  exit.io_wait_us = 3500;
  const v1::ExitStatus status = supervision::to_message(exit);
  CHECK(status.kind() == "signalled");
  CHECK(status.signal() == 11);
  CHECK(status.cpu_time_ms() == Approx(1.5));
  CHECK(status.memory_peak_bytes() == 4096);
  CHECK(status.cpu_wait_ms() == 1.5);
  CHECK(status.memory_wait_ms() == 2.5);
  CHECK(status.io_wait_ms() == 3.5);
  CHECK(status.detail() == describe(exit));
  CHECK(supervision::to_message(exited(3)).kind() == "exited");
  CHECK(supervision::to_message(exited(3)).exit_code() == 3);
  CHECK(supervision::to_message(setup_failed(EPERM)).kind() == "setup_failed");
  CHECK(supervision::to_message(launcher_lost()).kind() == "launcher_lost");
}

TEST_CASE("an end before Ready is a load failure that names the plugin") {
  const Error error = load_error("hello", exited(3));
  CHECK(error.reason == Reason::kLoadFailure);
  CHECK(error.message == "plugin hello exited with status 3");
  CHECK_FALSE(error.hint.empty());
}

TEST_CASE("what the host refuses is SANDBOX_UNAVAILABLE, with the step and the way to the remedy") {
  const Error error = load_error("hello", setup_failed(EPERM, true));
  CHECK(error.reason == Reason::kSandboxUnavailable);
  CHECK(error.metadata.at("step") == "execute /plugin/hello");
  CHECK(error.hint.find("check-host") != std::string::npos);
}

TEST_CASE("a launcher that is gone is SANDBOX_UNAVAILABLE") {
  CHECK(load_error("hello", launcher_lost()).reason == Reason::kSandboxUnavailable);
}

TEST_CASE("a step that failed for the plugin's own sake is a load failure with a hint that fits") {
  for (const int step_errno : {ENOEXEC, EACCES, ENOENT, ELOOP}) {
    const Error error = load_error("hello", setup_failed(step_errno));
    CHECK(error.reason == Reason::kLoadFailure);
    CHECK(error.metadata.at("step") == "execute /plugin/hello");
    CHECK_FALSE(error.hint.empty());
  }
  CHECK(load_error("hello", setup_failed(ENOEXEC)).hint != load_error("hello", setup_failed(EACCES)).hint);
}
