// The steps of setting up a sandbox, their words for people, and the Error that names a failed one.
//
// Ownership and thread: constants and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/base/result.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

// In the order in which they happen; the table in setup_step.cpp has one row for each.
enum class Step : std::uint32_t {
  kCheckRequest,
  kPinGrant,
  kCloneGrant,
  kControlGroup,
  kKeepLimit,
  kCreateNamespaces,
  kMapIds,
  kAwaitLauncher,
  kNetworkGate,
  kBecomeUser,
  kSession,
  kHostName,
  kPrivateMounts,
  kCompareGrant,
  kNewRoot,
  kTemporaryFolders,
  kDevices,
  kMountPoint,
  kBind,
  kLandlockRules,
  kLink,
  kSyntheticFile,
  kSecrets,
  kPrivateSettings,
  kMountProc,
  kPivotRoot,
  kOpenProgram,
  kOpenInterpreter,
  kWorkingFolder,
  kForkProgram,
  kDescriptors,
  kResourceLimits,
  kDropPrivileges,
  kLandlock,
  kSystemCallFilter,
  kExecute,
};
inline constexpr std::size_t kStepCount = static_cast<std::size_t>(Step::kExecute) + 1;

// The step in words, e.g. "mount the private /proc".
std::string_view words_of(Step step);

// Whether a failure of `step` with `sys_errno` means that the host lacks something no sandbox can do without.
bool host_refuses(Step step, int sys_errno);

// An Error that remembers its step and what it was done to; setup_failure reads it back.
Error setup_error(Step step, int sys_errno, const std::string& argument);

// The report of a launch that failed with `error`, an Error made by setup_error.
Exited setup_failure(std::uint64_t launch_id, const Error& error);

}  // namespace liongate::sandbox
