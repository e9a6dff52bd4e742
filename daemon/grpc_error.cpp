#include "daemon/grpc_error.h"

#include <charconv>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"

namespace liongate::daemon {
namespace {

std::string bounded(const std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return to_utf8(text);
  return to_utf8(text.substr(0, bytes_max)) + "...";
}

}  // namespace

grpc::Status to_status(const Error& error) {
  google::rpc::Status status;
  status.set_code(static_cast<int>(error.code()));
  status.set_message(bounded(error.message, limits::kErrorMessageBytesMax));
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(error.reason_name()));
  info.set_domain(kErrorDomain);
  (*info.mutable_metadata())["category"] = std::string(traits_of(error.reason).category);
  if (!error.hint.empty())
    (*info.mutable_metadata())["hint"] = bounded(error.hint, limits::kErrorMetadataValueBytesMax);
  std::size_t bytes = 0;
  for (const auto& [key, value] : error.metadata) {
    // What a program said last is what it died of.
    const bool keeps_end = (key == "stderr" || key == "output") && value.size() > limits::kErrorMetadataValueBytesMax;
    std::string text = keeps_end ? to_utf8(value.substr(value.size() - limits::kErrorMetadataValueBytesMax))
                                 : bounded(value, limits::kErrorMetadataValueBytesMax);
    bytes += key.size() + text.size();
    if (bytes > limits::kErrorMetadataBytesMax) break;
    (*info.mutable_metadata())[to_utf8(key)] = std::move(text);
  }
  status.add_details()->PackFrom(info);
  if (const auto delay = error.metadata.find("retry_delay_ms"); delay != error.metadata.end()) {
    int delay_ms = 0;
    std::from_chars(delay->second.data(), delay->second.data() + delay->second.size(), delay_ms);
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay_ms / 1000);
    retry.mutable_retry_delay()->set_nanos(delay_ms % 1000 * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
  return {static_cast<grpc::StatusCode>(error.code()), status.message(), status.SerializeAsString()};
}

}  // namespace liongate::daemon
