// What went wrong, as data: one table of reasons shared by the kernel, the gRPC edge, the CLI and the events.
//
// Ownership and thread: plain values, freely copied between threads.
//
// An `Error` says what failed in *us* or in a request to us. How a plugin ended is a different type
// (`PluginExit`, kernel/supervision/plugin_exit.h). Each layer adds its context once, outermost first.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace liongate {

// Numerically equal to google.rpc.Code, so that the gRPC edge only casts.
enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// The one list of reasons (contract.md, "Reasons"). Clients branch on the name of a reason, never on a text.
enum class Reason : std::uint8_t {
  kInternal,
  kInvalidManifest,
  kUnknownPermission,
  kInvalidConfig,
  kInvalidArgument,
  kDuplicatePlugin,
  kEntryPointNotFound,
  kEntryPointChanged,
  kUnsafeFolder,
  kPermissionDenied,
  kUnauthenticated,
  kLoadFailure,
  kPluginNotFound,
  kPluginNotRunning,
  kIllegalTransition,
  kPluginError,
  kPluginCrashed,
  kPluginProtocolError,
  kLimitExceeded,
  kDeadlineExceeded,
  kCancelled,
  kQueueFull,
  kInputTooLarge,
  kSandboxUnavailable,
  kLogReadOnly,
  kShuttingDown,
  kDaemonRestarted,
  kLogCorrupt,
  kUnimplemented,
  kModuleNotFound,  // of an entry of plugins.yaml, as the next three
  kSymbolNotFound,
  kNotAPlugin,
  kBadModulePath,
};

// Exit codes of liongatectl and liongated (contract.md, "CLI").
enum class ExitCode : int {
  kDone = 0,
  kFailure = 1,
  kUsage = 2,
  kUnreachable = 3,
  kNotFound = 4,
  kPluginFailed = 5,
  kRefused = 6,
  kInvalid = 7,
  kDeadline = 8,
  kNoCapacity = 9,
};

struct ReasonTraits {
  Reason reason;
  std::string_view name;      // as it stands in ErrorInfo.reason and in events
  StatusCode code;            // the gRPC status it travels as
  ExitCode exit_code;         // what liongatectl exits with
  std::string_view category;  // one of the four kinds of seed 000: InvalidManifest, PermissionDenied, LoadFailure,
                              // InvokeFailure; empty where none applies
};

// Returns the row of the table for `reason`. Never fails: the table is complete (a static_assert says so).
const ReasonTraits& traits_of(Reason reason);

// Returns the row whose name is `name`, or nullptr when there is no such reason (an answer of a newer daemon).
const ReasonTraits* find_reason(std::string_view name);

// Number of reasons; for tests that walk the whole table.
std::size_t reason_count();

// One failure. `message` says what and where in one line; `hint` says what to do, empty where there is no remedy.
struct [[nodiscard]] Error {
  Reason reason = Reason::kInternal;
  std::string message;
  std::string hint;
  std::map<std::string, std::string> metadata;  // small, for machines: field names, limits, paths
  int sys_errno = 0;                            // errno of the system call at the bottom, 0 where there was none

  std::string_view reason_name() const { return traits_of(reason).name; }
  StatusCode code() const { return traits_of(reason).code; }

  Error&& with_hint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  Error&& with(std::string key, std::string value) && {
    metadata[std::move(key)] = std::move(value);
    return std::move(*this);
  }
  // Puts `context` in front of the message: "context: message".
  Error&& in(std::string_view context) && {
    message = std::string(context) + ": " + message;
    return std::move(*this);
  }
};

// Makes an Error of `reason` with a one-line `message`.
Error make_error(Reason reason, std::string message);

// Makes an Error for a failed system call: "what: strerror(errno)". Takes errno by value: read it before anything else.
Error make_errno_error(Reason reason, std::string_view what, int sys_errno);

}  // namespace liongate
