// Goal: a client that knows nothing of us learns every service and message, and is told what is not here.
#include "daemon/grpc_reflection_service.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <catch2/catch.hpp>

#include <set>

#include "daemon/grpc_server.h"
#include "grpc/health/v1/health.pb.h"
#include "liongate/v1/event_service.pb.h"
#include "liongate/v1/plugin_service.pb.h"
#include "liongate/v1/system_service.pb.h"

using namespace liongate;
using daemon::reflect;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

namespace {

// The daemon links all of its services; this program only those that it names.
[[maybe_unused]] const google::protobuf::Descriptor* const kLinked[] = {
    v1::InvokePluginRequest::descriptor(), v1::ReplayEventsRequest::descriptor(), v1::GetStatusRequest::descriptor(),
    grpc::health::v1::HealthCheckRequest::descriptor()};

ServerReflectionResponse reflect_symbol(const std::string& symbol) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol(symbol);
  return reflect(request);
}

}  // namespace

TEST_CASE("the services that are listed are those that are served") {
  ServerReflectionRequest request;
  request.set_list_services("");
  const ServerReflectionResponse response = reflect(request);
  std::set<std::string> names;
  for (const auto& service : response.list_services_response().service()) names.insert(service.name());
  CHECK(names == std::set<std::string>(daemon::kServiceNames.begin(), daemon::kServiceNames.end()));
}

TEST_CASE("a symbol's file comes with all that it imports, enough to build its messages anew") {
  const ServerReflectionResponse response = reflect_symbol("liongate.v1.PluginService");
  REQUIRE(response.file_descriptor_response().file_descriptor_proto_size() > 1);
  google::protobuf::SimpleDescriptorDatabase database;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    REQUIRE(file.ParseFromString(bytes));
    database.Add(file);
  }
  const google::protobuf::DescriptorPool pool(&database);
  const auto* service = pool.FindServiceByName("liongate.v1.PluginService");
  REQUIRE(service != nullptr);
  CHECK(service->FindMethodByName("InvokePlugin") != nullptr);
}

TEST_CASE("every service that is listed can be asked for") {
  for (const std::string_view name : daemon::kServiceNames) {
    INFO(name);
    CHECK(reflect_symbol(std::string(name)).has_file_descriptor_response());
  }
}

TEST_CASE("a file is found by its name") {
  ServerReflectionRequest request;
  request.set_file_by_filename("liongate/v1/event.proto");
  CHECK(reflect(request).has_file_descriptor_response());
}

TEST_CASE("the question comes back with the answer") {
  const ServerReflectionResponse response = reflect_symbol("liongate.v1.Event");
  CHECK(response.original_request().file_containing_symbol() == "liongate.v1.Event");
}

TEST_CASE("what is not known is an answer, not the end of the conversation") {
  const auto code = [](const ServerReflectionResponse& response) { return response.error_response().error_code(); };
  CHECK(code(reflect_symbol("no.such.Message")) == grpc::StatusCode::NOT_FOUND);
  ServerReflectionRequest request;
  request.set_file_by_filename("no_such_file.proto");
  CHECK(code(reflect(request)) == grpc::StatusCode::NOT_FOUND);
  request.set_all_extension_numbers_of_type("no.such.Message");
  CHECK(code(reflect(request)) == grpc::StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_containing_type("liongate.v1.Event");
  CHECK(code(reflect(request)) == grpc::StatusCode::NOT_FOUND);
  CHECK(code(reflect(ServerReflectionRequest())) == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("a message without extensions has none") {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("liongate.v1.Event");
  const ServerReflectionResponse response = reflect(request);
  CHECK(response.all_extension_numbers_response().base_type_name() == "liongate.v1.Event");
  CHECK(response.all_extension_numbers_response().extension_number_size() == 0);
}
