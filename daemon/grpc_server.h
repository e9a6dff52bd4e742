// The gRPC server: builds it, serves its completion queue on one thread, adopts connections, shuts down in order.
//
// Ownership and thread: owned by the daemon; made, started and stopped by the kernel thread. It listens on no port of
// its own: connections are accepted by ControlSocket, so that each has a peer that the kernel vouches for.
#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <memory>
#include <string_view>
#include <thread>

#include "daemon/grpc_edge.h"
#include "daemon/grpc_event_service.h"
#include "daemon/grpc_health_service.h"
#include "daemon/grpc_plugin_service.h"
#include "daemon/grpc_reflection_service.h"
#include "daemon/grpc_system_service.h"

namespace liongate::daemon {

// What is served, by full name.
inline constexpr std::array<std::string_view, 5> kServiceNames = {
    "liongate.v1.PluginService", "liongate.v1.EventService", "liongate.v1.SystemService", "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection"};

// The services; they outlive the server.
struct GrpcServices {
  GrpcPluginService& plugins;
  GrpcEventService& events;
  GrpcSystemService& system;
  GrpcHealthService& health;
  GrpcReflectionService& reflection;
};

class GrpcServer {
 public:
  GrpcServer(boost::asio::io_context& kernel, const PeerCredentials& peers, GrpcServices services,
             RecordDenial record_denial);
  ~GrpcServer();

  // Serves from now on. kInternal when gRPC does not start.
  Result<void> start();

  // A connection that was accepted and enrolled (daemon/peer_credentials.h); gRPC owns the descriptor from here on.
  void adopt(int connection);

  // Open calls may finish within `grace_ms`, then they are cancelled. Returns when nothing is served any more.
  void stop(int grace_ms);

 private:
  void run_queue();

  boost::asio::io_context& kernel_;
  const PeerCredentials& peers_;
  GrpcServices services_;
  const RecordDenial record_denial_;
  OpenCalls open_calls_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<GrpcEdge> edge_;
  std::thread thread_;
};

}  // namespace liongate::daemon
