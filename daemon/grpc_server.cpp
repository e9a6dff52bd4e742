#include "daemon/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include <chrono>

namespace liongate::daemon {
namespace {

constexpr std::size_t kGrpcMemoryBytesMax = 256U * 1024 * 1024;
constexpr int kStreamsPerConnectionMax = 1024;
constexpr int kAnswerMs = 2'000;  // for calls that are being answered while the server stops
constexpr const char* kServices[] = {"", "liongate.v1.PluginService", "liongate.v1.EventService",
                                     "liongate.v1.SystemService"};

}  // namespace

GrpcServer::GrpcServer(boost::asio::io_context& kernel, const PeerCredentials& peers, GrpcPluginService& plugins,
                       GrpcEventService& events, GrpcSystemService& system, RecordDenial record_denial)
    : kernel_(kernel),
      peers_(peers),
      plugins_(plugins),
      events_(events),
      system_(system),
      record_denial_(std::move(record_denial)) {}

GrpcServer::~GrpcServer() {
  stop(0);
}

Result<void> GrpcServer::start() {
  grpc_init();  // never given back: gRPC's shutdown waits for a poll of up to ten seconds (see main)
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota("liongated");
  quota.Resize(kGrpcMemoryBytesMax);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(limits::kGrpcMessageBytesMax);
  builder.SetMaxSendMessageSize(-1);  // what we send is bounded where it is made
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Reflection is the one synchronous service: one thread that waits is enough for it.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder.RegisterService(&plugins_.service());
  builder.RegisterService(&events_.service());
  builder.RegisterService(&system_.service());
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (!server_) return make_error(Reason::kInternal, "the gRPC server did not start");
  edge_ = std::make_unique<GrpcEdge>(GrpcEdge{*queue_, kernel_, peers_, open_calls_, record_denial_});
  plugins_.serve(*edge_);
  events_.serve(*edge_);
  system_.serve(*edge_);
  thread_ = std::thread([this] { run_queue(); });
  return {};
}

void GrpcServer::run_queue() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->on_completion(ok);
}

void GrpcServer::adopt(int connection) {
  grpc::AddInsecureChannelFromFd(server_.get(), connection);
}

void GrpcServer::set_serving(bool serving) {
  for (const char* service : kServices) server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

void GrpcServer::set_plugin_serving(const std::string& name, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus("plugin/" + name, serving);
}

void GrpcServer::stop(int grace_ms) {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  if (!open_calls_.wait_for_none(grace_ms + kAnswerMs)) {
    // Somebody still works on an answer (a verification of a large log): to shut the queue down would abort us in gRPC.
    // The process ends soon; the queue's thread ends with it.
    thread_.detach();
    static_cast<void>(server_.release());
    static_cast<void>(queue_.release());
    return;
  }
  queue_->Shutdown();
  if (thread_.joinable()) thread_.join();
  server_.reset();
}

}  // namespace liongate::daemon
