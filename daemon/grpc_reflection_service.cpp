#include "daemon/grpc_reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string>
#include <vector>

#include "daemon/grpc_server.h"

namespace liongate::daemon {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

namespace {

void add_files(const FileDescriptor& file, std::set<std::string>& seen, ServerReflectionResponse& response) {
  if (!seen.insert(file.name()).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file.dependency_count(); ++i) add_files(*file.dependency(i), seen, response);
}

void answer_not_found(const std::string& what, ServerReflectionResponse& response) {
  response.mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
  response.mutable_error_response()->set_error_message("not known here: " + what);
}

void answer_file(const FileDescriptor* file, const std::string& what, ServerReflectionResponse& response) {
  std::set<std::string> seen;
  if (file == nullptr) {
    answer_not_found(what, response);
  } else {
    add_files(*file, seen, response);
  }
}

void answer_extension(const grpc::reflection::v1alpha::ExtensionRequest& extension,
                      ServerReflectionResponse& response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  const Descriptor* type = pool.FindMessageTypeByName(extension.containing_type());
  const FieldDescriptor* field =
      type == nullptr ? nullptr : pool.FindExtensionByNumber(type, extension.extension_number());
  answer_file(field == nullptr ? nullptr : field->file(),
              extension.containing_type() + " " + std::to_string(extension.extension_number()), response);
}

void answer_extension_numbers(const std::string& name, ServerReflectionResponse& response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  const Descriptor* type = pool.FindMessageTypeByName(name);
  if (type == nullptr) {
    answer_not_found(name, response);
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  pool.FindAllExtensions(type, &fields);
  response.mutable_all_extension_numbers_response()->set_base_type_name(name);
  for (const FieldDescriptor* field : fields) {
    response.mutable_all_extension_numbers_response()->add_extension_number(field->number());
  }
}

// One client's stream of questions. Keeps itself alive while gRPC holds its tag: there is never more than one.
class Conversation final : public CompletionTag {
 public:
  using Service = GrpcReflectionService::Service;

  static void arm(Service& service, const GrpcEdge& edge) {
    auto* conversation = new Conversation(service, edge);
    service.RequestServerReflectionInfo(&conversation->context_, &conversation->stream_, &edge.queue, &edge.queue,
                                        conversation);
  }

  void on_completion(bool ok) override {
    switch (state_) {
      case State::kRequested:
        if (!ok) return end();  // the server shuts down
        edge_.open_calls.enter();
        entered_ = true;
        arm(service_, edge_);
        return read();
      case State::kReading:
        if (!ok) return finish();  // the client has asked all it wanted, or has gone
        state_ = State::kWriting;
        return stream_.Write(reflect(request_), this);
      case State::kWriting:
        return ok ? read() : finish();
      case State::kFinishing:
        return end();
    }
  }

 private:
  enum class State { kRequested, kReading, kWriting, kFinishing };

  Conversation(Service& service, const GrpcEdge& edge) : service_(service), edge_(edge) {}

  void read() {
    state_ = State::kReading;
    stream_.Read(&request_, this);
  }
  void finish() {
    state_ = State::kFinishing;
    stream_.Finish(grpc::Status::OK, this);
  }
  void end() {
    if (entered_) edge_.open_calls.leave();
    delete this;
  }

  Service& service_;
  const GrpcEdge& edge_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<ServerReflectionResponse, ServerReflectionRequest> stream_{&context_};
  ServerReflectionRequest request_;
  State state_ = State::kRequested;
  bool entered_ = false;
};

}  // namespace

ServerReflectionResponse reflect(const ServerReflectionRequest& request) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      answer_file(pool.FindFileByName(request.file_by_filename()), request.file_by_filename(), response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      answer_file(pool.FindFileContainingSymbol(request.file_containing_symbol()), request.file_containing_symbol(),
                  response);
      break;
    case ServerReflectionRequest::kFileContainingExtension:
      answer_extension(request.file_containing_extension(), response);
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      answer_extension_numbers(request.all_extension_numbers_of_type(), response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const std::string_view name : kServiceNames) {
        response.mutable_list_services_response()->add_service()->set_name(std::string(name));
      }
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
      response.mutable_error_response()->set_error_message("nothing was asked: message_request is not set");
      break;
  }
  return response;
}

void GrpcReflectionService::serve(const GrpcEdge& edge) {
  Conversation::arm(service_, edge);
}

}  // namespace liongate::daemon
