#include "daemon/grpc_server.h"

#include <absl/synchronization/mutex.h>
#include <grpc/grpc.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include <chrono>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::daemon {
namespace {}  // namespace

GrpcServer::GrpcServer(boost::asio::io_context& kernel, const PeerCredentials& peers, GrpcServices services,
                       RecordDenial record_denial)
    : kernel_(kernel), peers_(peers), services_(services), record_denial_(std::move(record_denial)) {}

GrpcServer::~GrpcServer() {
  stop(0);
}

Result<void> GrpcServer::start() {
  // Debian's absl looks for lock cycles at every lock of gRPC's, which is for debugging and costs 4 % of a busy daemon.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  grpc_init();  // never given back: gRPC's shutdown waits for a poll of up to ten seconds (see main)
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota("liongated");
  quota.Resize(limits::kGrpcMemoryBytesMax);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(limits::kGrpcMessageBytesMax);
  builder.SetMaxSendMessageSize(-1);  // what we send is bounded where it is made
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits::kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // All on one asynchronous queue: any service of gRPC's own brings threads that wake for every byte (decision 0009).
  builder.RegisterService(&services_.plugins.service());
  builder.RegisterService(&services_.events.service());
  builder.RegisterService(&services_.system.service());
  builder.RegisterService(&services_.health.service());
  builder.RegisterService(&services_.reflection.service());
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (!server_) return make_error(Reason::kInternal, "the gRPC server did not start");
  edge_ = std::make_unique<GrpcEdge>(GrpcEdge{*queue_, kernel_, peers_, open_calls_, record_denial_});
  services_.plugins.serve(*edge_);
  services_.events.serve(*edge_);
  services_.system.serve(*edge_);
  services_.health.serve(*edge_);
  services_.reflection.serve(*edge_);
  thread_ = std::thread([this] { run_queue(); });
  return {};
}

void GrpcServer::run_queue() {
  sys::name_thread("grpc-queue");
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->on_completion(ok);
}

void GrpcServer::adopt(int connection) {
  grpc::AddInsecureChannelFromFd(server_.get(), connection);
}

void GrpcServer::stop(int grace_ms) {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  if (!open_calls_.wait_for_none(grace_ms + limits::kGrpcAnswerMs)) {
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
