#include "cli/failure.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <array>

namespace liongate::cli {
namespace {

constexpr std::string_view kDomain = "liongate";

struct CodeRow {
  std::string_view name;
  ExitCode exit_code;  // where no reason of ours says otherwise
};

// In the order of google.rpc.Code.
constexpr std::array kCodes{
    CodeRow{"OK", ExitCode::kDone},
    CodeRow{"CANCELLED", ExitCode::kDeadline},
    CodeRow{"UNKNOWN", ExitCode::kFailure},
    CodeRow{"INVALID_ARGUMENT", ExitCode::kInvalid},
    CodeRow{"DEADLINE_EXCEEDED", ExitCode::kDeadline},
    CodeRow{"NOT_FOUND", ExitCode::kNotFound},
    CodeRow{"ALREADY_EXISTS", ExitCode::kInvalid},
    CodeRow{"PERMISSION_DENIED", ExitCode::kRefused},
    CodeRow{"RESOURCE_EXHAUSTED", ExitCode::kNoCapacity},
    CodeRow{"FAILED_PRECONDITION", ExitCode::kInvalid},
    CodeRow{"ABORTED", ExitCode::kPluginFailed},
    CodeRow{"OUT_OF_RANGE", ExitCode::kInvalid},
    CodeRow{"UNIMPLEMENTED", ExitCode::kFailure},
    CodeRow{"INTERNAL", ExitCode::kFailure},
    CodeRow{"UNAVAILABLE", ExitCode::kUnreachable},
    CodeRow{"DATA_LOSS", ExitCode::kFailure},
    CodeRow{"UNAUTHENTICATED", ExitCode::kRefused},
};

const CodeRow& row_of(int code) {
  const bool is_known = code >= 0 && static_cast<std::size_t>(code) < kCodes.size();
  return kCodes[is_known ? static_cast<std::size_t>(code) : 2];
}

// Puts our ErrorInfo, if the status carries one, into `failure`. False where there is none.
bool take_error_info(const grpc::Status& status, Failure& failure) {
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return false;
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::ErrorInfo info;
    if (!detail.Is<google::rpc::ErrorInfo>() || !detail.UnpackTo(&info) || info.domain() != kDomain) continue;
    failure.reason = info.reason();
    for (const auto& [key, value] : info.metadata()) failure.metadata[key] = value;
    if (const auto hint = failure.metadata.find("hint"); hint != failure.metadata.end()) failure.hint = hint->second;
    const ReasonTraits* traits = find_reason(failure.reason);
    if (traits != nullptr) {
      failure.exit_code = traits->exit_code;
    } else if (failure.exit_code == ExitCode::kUnreachable) {
      // A newer daemon's reason: it answered, so that it was reached.
      failure.exit_code = ExitCode::kNoCapacity;
    }
    return true;
  }
  return false;
}

}  // namespace

std::string code_name(int code) {
  return std::string(row_of(code).name);
}

Failure failure_of(const grpc::Status& status, const std::string& subject, const std::string& peer) {
  const int code = static_cast<int>(status.error_code());
  Failure failure;
  failure.exit_code = row_of(code).exit_code;
  failure.subject = subject;
  failure.what = status.error_message();
  failure.reason = failure.code = code_name(code);
  if (take_error_info(status, failure)) return failure;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      failure.subject = peer;
      failure.hint =
          "is the daemon running? Start it with `liongated`, or name its socket with --socket or "
          "LIONGATE_SOCKET (tried " +
          peer + ")";
      break;
    case grpc::StatusCode::UNIMPLEMENTED:
      failure.what = "the daemon does not know this request";
      failure.hint = "compare `liongatectl version` with `liongatectl get-status`";
      break;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      failure.what = "no answer within the time allowed";
      break;
    case grpc::StatusCode::CANCELLED:
      failure.what = "cancelled";
      break;
    default:
      break;
  }
  return failure;
}

Failure failure_of(const Error& error, const std::string& subject) {
  const ReasonTraits& traits = traits_of(error.reason);
  return {traits.exit_code,
          subject,
          error.message,
          std::string(traits.name),
          code_name(static_cast<int>(traits.code)),
          error.hint,
          error.metadata};
}

Failure usage_failure(const std::string& verb, const std::string& what) {
  Failure failure;
  failure.exit_code = ExitCode::kUsage;
  failure.subject = verb;
  failure.what = what;
  failure.reason = "USAGE";
  failure.code = "INVALID_ARGUMENT";
  failure.hint = verb.empty() ? "liongatectl --help" : "liongatectl " + verb + " --help";
  return failure;
}

}  // namespace liongate::cli
