// Goal: every error travels as google.rpc.Status with ErrorInfo, whole where it fits and cut where gRPC would drop it.
#include "daemon/grpc_error.h"

#include <catch2/catch.hpp>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kernel/base/utf8.h"

using namespace liongate;
using daemon::to_status;

namespace {

google::rpc::Status details_of(const grpc::Status& status) {
  google::rpc::Status details;
  REQUIRE(details.ParseFromString(status.error_details()));
  return details;
}

google::rpc::ErrorInfo info_of(const grpc::Status& status) {
  const google::rpc::Status details = details_of(status);
  REQUIRE(details.details_size() >= 1);
  google::rpc::ErrorInfo info;
  REQUIRE(details.details(0).UnpackTo(&info));
  return info;
}

}  // namespace

TEST_CASE("code, message, reason, category and hint arrive") {
  const grpc::Status status = to_status(make_error(Reason::kDuplicatePlugin, "plugin \"hello\" is loaded already")
                                            .with_hint("use --replace")
                                            .with("plugin_id", "7c9e6679"));
  CHECK(status.error_code() == grpc::StatusCode::ALREADY_EXISTS);
  CHECK(status.error_message() == "plugin \"hello\" is loaded already");
  const google::rpc::Status details = details_of(status);
  CHECK(details.code() == static_cast<int>(grpc::StatusCode::ALREADY_EXISTS));
  CHECK(details.message() == status.error_message());
  const google::rpc::ErrorInfo info = info_of(status);
  CHECK(info.reason() == "DUPLICATE_PLUGIN");
  CHECK(info.domain() == "liongate");
  CHECK(info.metadata().at("category") == "LoadFailure");
  CHECK(info.metadata().at("hint") == "use --replace");
  CHECK(info.metadata().at("plugin_id") == "7c9e6679");
}

TEST_CASE("every reason has its status code and its name on the wire") {
  for (std::size_t i = 0; i < reason_count(); ++i) {
    const ReasonTraits& row = traits_of(static_cast<Reason>(i));
    const grpc::Status status = to_status(make_error(row.reason, "x"));
    INFO(row.name);
    CHECK(static_cast<int>(status.error_code()) == static_cast<int>(row.code));
    CHECK_FALSE(status.ok());
    CHECK(info_of(status).reason() == row.name);
  }
}

TEST_CASE("a delay to try again after is RetryInfo, too") {
  const grpc::Status status = to_status(make_error(Reason::kQueueFull, "full").with("retry_delay_ms", "1500"));
  const google::rpc::Status details = details_of(status);
  REQUIRE(details.details_size() == 2);
  google::rpc::RetryInfo retry;
  REQUIRE(details.details(1).UnpackTo(&retry));
  CHECK(retry.retry_delay().seconds() == 1);
  CHECK(retry.retry_delay().nanos() == 500'000'000);
  CHECK(details_of(to_status(make_error(Reason::kQueueFull, "full"))).details_size() == 1);
}

TEST_CASE("long texts are cut, so that the whole fits into a header of 8 KiB") {
  const grpc::Status status = to_status(make_error(Reason::kPluginError, std::string(100'000, 'm'))
                                            .with_hint(std::string(100'000, 'h'))
                                            .with("entry_point", std::string(100'000, 'e'))
                                            .with("output", std::string(100'000, 'o')));
  // The message travels beside the details, which hold it once more.
  CHECK(status.error_message().size() + status.error_details().size() < 8 * 1024);
  CHECK(info_of(status).metadata().at("entry_point").ends_with("..."));
}

TEST_CASE("of what a program printed the end is kept: it tells what it died of") {
  const grpc::Status status =
      to_status(make_error(Reason::kPluginError, "x").with("stderr", std::string(100'000, 's') + "fatal: no disk"));
  CHECK(info_of(status).metadata().at("stderr").ends_with("sfatal: no disk"));
}

TEST_CASE("many entries of metadata do not break the bound either") {
  Error error = make_error(Reason::kPluginError, std::string(5000, 'm'));
  for (int i = 0; i < 100; ++i) error.metadata["key" + std::to_string(i)] = std::string(2000, 'v');
  const grpc::Status status = to_status(error);
  CHECK(status.error_message().size() + status.error_details().size() < 8 * 1024);
  CHECK(info_of(status).reason() == "PLUGIN_ERROR");
}

TEST_CASE("bytes that are no text are made text") {
  const grpc::Status status = to_status(make_error(Reason::kPluginError, "gr\xFC\xDF").with("stderr", "\xFF\xFE"));
  CHECK(is_utf8(status.error_message()));
  CHECK(is_utf8(info_of(status).metadata().at("stderr")));
}
