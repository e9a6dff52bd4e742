#include "kernel/base/error.h"

#include <array>
#include <cstring>

namespace liongate {
namespace {

using R = Reason;
using S = StatusCode;
using X = ExitCode;
constexpr std::string_view kManifest = "InvalidManifest";
constexpr std::string_view kPermission = "PermissionDenied";
constexpr std::string_view kLoad = "LoadFailure";
constexpr std::string_view kInvoke = "InvokeFailure";

constexpr std::array kReasons = {
    ReasonTraits{R::kInternal, "INTERNAL", S::kInternal, X::kFailure, ""},
    ReasonTraits{R::kInvalidManifest, "INVALID_MANIFEST", S::kInvalidArgument, X::kInvalid, kManifest},
    ReasonTraits{R::kUnknownPermission, "UNKNOWN_PERMISSION", S::kInvalidArgument, X::kInvalid, kManifest},
    ReasonTraits{R::kInvalidConfig, "INVALID_CONFIG", S::kInvalidArgument, X::kInvalid, kManifest},
    ReasonTraits{R::kInvalidArgument, "INVALID_ARGUMENT", S::kInvalidArgument, X::kInvalid, kManifest},
    ReasonTraits{R::kDuplicatePlugin, "DUPLICATE_PLUGIN", S::kAlreadyExists, X::kInvalid, kLoad},
    ReasonTraits{R::kEntryPointNotFound, "ENTRY_POINT_NOT_FOUND", S::kFailedPrecondition, X::kInvalid, kLoad},
    ReasonTraits{R::kEntryPointChanged, "ENTRY_POINT_CHANGED", S::kFailedPrecondition, X::kInvalid, kLoad},
    ReasonTraits{R::kUnsafeFolder, "UNSAFE_FOLDER", S::kFailedPrecondition, X::kInvalid, kLoad},
    ReasonTraits{R::kPermissionDenied, "PERMISSION_DENIED", S::kPermissionDenied, X::kRefused, kPermission},
    ReasonTraits{R::kUnauthenticated, "UNAUTHENTICATED", S::kUnauthenticated, X::kRefused, kPermission},
    ReasonTraits{R::kLoadFailure, "LOAD_FAILURE", S::kAborted, X::kPluginFailed, kLoad},
    ReasonTraits{R::kPluginNotFound, "PLUGIN_NOT_FOUND", S::kNotFound, X::kNotFound, kInvoke},
    ReasonTraits{R::kPluginNotRunning, "PLUGIN_NOT_RUNNING", S::kFailedPrecondition, X::kInvalid, kInvoke},
    ReasonTraits{R::kIllegalTransition, "ILLEGAL_TRANSITION", S::kFailedPrecondition, X::kInvalid, kInvoke},
    ReasonTraits{R::kPluginError, "PLUGIN_ERROR", S::kAborted, X::kPluginFailed, kInvoke},
    ReasonTraits{R::kPluginCrashed, "PLUGIN_CRASHED", S::kAborted, X::kPluginFailed, kInvoke},
    ReasonTraits{R::kPluginProtocolError, "PLUGIN_PROTOCOL_ERROR", S::kAborted, X::kPluginFailed, kInvoke},
    ReasonTraits{R::kLimitExceeded, "LIMIT_EXCEEDED", S::kAborted, X::kPluginFailed, kInvoke},
    ReasonTraits{R::kDeadlineExceeded, "DEADLINE_EXCEEDED", S::kDeadlineExceeded, X::kDeadline, kInvoke},
    ReasonTraits{R::kCancelled, "CANCELLED", S::kCancelled, X::kDeadline, kInvoke},
    ReasonTraits{R::kQueueFull, "QUEUE_FULL", S::kResourceExhausted, X::kNoCapacity, kInvoke},
    ReasonTraits{R::kInputTooLarge, "INPUT_TOO_LARGE", S::kResourceExhausted, X::kNoCapacity, kInvoke},
    ReasonTraits{R::kSandboxUnavailable, "SANDBOX_UNAVAILABLE", S::kUnavailable, X::kNoCapacity, kLoad},
    ReasonTraits{R::kLogReadOnly, "LOG_READ_ONLY", S::kUnavailable, X::kNoCapacity, kInvoke},
    ReasonTraits{R::kShuttingDown, "SHUTTING_DOWN", S::kUnavailable, X::kNoCapacity, kInvoke},
    ReasonTraits{R::kDaemonRestarted, "DAEMON_RESTARTED", S::kAborted, X::kPluginFailed, kInvoke},
    ReasonTraits{R::kLogCorrupt, "LOG_CORRUPT", S::kDataLoss, X::kFailure, ""},
    ReasonTraits{R::kUnimplemented, "UNIMPLEMENTED", S::kUnimplemented, X::kFailure, ""},
    ReasonTraits{R::kModuleNotFound, "MODULE_NOT_FOUND", S::kFailedPrecondition, X::kInvalid, kLoad},
    ReasonTraits{R::kSymbolNotFound, "SYMBOL_NOT_FOUND", S::kFailedPrecondition, X::kInvalid, kLoad},
    ReasonTraits{R::kNotAPlugin, "NOT_A_PLUGIN", S::kFailedPrecondition, X::kInvalid, kLoad},
    ReasonTraits{R::kBadModulePath, "BAD_MODULE_PATH", S::kInvalidArgument, X::kInvalid, kLoad},
};

constexpr bool table_is_in_enum_order() {
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    if (static_cast<std::size_t>(kReasons[i].reason) != i) return false;
  }
  return kReasons.size() == static_cast<std::size_t>(R::kBadModulePath) + 1;
}
static_assert(table_is_in_enum_order(), "every reason has exactly one row, in the order of the enum");

}  // namespace

const ReasonTraits& traits_of(Reason reason) {
  return kReasons[static_cast<std::size_t>(reason)];
}

const ReasonTraits* find_reason(std::string_view name) {
  for (const ReasonTraits& row : kReasons) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::size_t reason_count() {
  return kReasons.size();
}

Error make_error(Reason reason, std::string message) {
  Error error;
  error.reason = reason;
  error.message = std::move(message);
  return error;
}

Error make_errno_error(Reason reason, std::string_view what, int sys_errno) {
  Error error = make_error(reason, std::string(what) + ": " + std::strerror(sys_errno));
  error.sys_errno = sys_errno;
  return error;
}

}  // namespace liongate
