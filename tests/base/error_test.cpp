// Goal: the table of reasons is the contract's: every name is found again and maps to one status and exit code.
#include "kernel/base/error.h"

#include <catch2/catch.hpp>

using namespace liongate;

TEST_CASE("every reason is found again by its name") {
  for (std::size_t i = 0; i < reason_count(); ++i) {
    const ReasonTraits& row = traits_of(static_cast<Reason>(i));
    INFO(row.name);
    const ReasonTraits* found = find_reason(row.name);
    REQUIRE(found != nullptr);
    CHECK(found->reason == row.reason);
  }
}

TEST_CASE("an unknown reason of a newer daemon is not found, not a crash") {
  CHECK(find_reason("NOT_A_REASON") == nullptr);
  CHECK(find_reason("") == nullptr);
}

TEST_CASE("exit codes follow the contract's table") {
  CHECK(traits_of(Reason::kInvalidManifest).exit_code == ExitCode::kInvalid);
  CHECK(traits_of(Reason::kPermissionDenied).exit_code == ExitCode::kRefused);
  CHECK(traits_of(Reason::kPluginNotFound).exit_code == ExitCode::kNotFound);
  CHECK(traits_of(Reason::kPluginCrashed).exit_code == ExitCode::kPluginFailed);
  CHECK(traits_of(Reason::kDeadlineExceeded).exit_code == ExitCode::kDeadline);
  CHECK(traits_of(Reason::kQueueFull).exit_code == ExitCode::kNoCapacity);
  CHECK(traits_of(Reason::kLogCorrupt).exit_code == ExitCode::kFailure);
}

TEST_CASE("context goes in front and keeps the reason") {
  const Error error = make_error(Reason::kLoadFailure, "exited with 3").in("plugin hello");
  CHECK(error.message == "plugin hello: exited with 3");
  CHECK(error.reason == Reason::kLoadFailure);
}
