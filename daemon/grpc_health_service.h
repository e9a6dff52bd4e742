// grpc.health.v1 on the wire: whether the daemon and each plugin can be called.
//
// Names: "" and the full name of each service stand for the daemon; `plugin/NAME` for a loaded plugin, which serves
// while it is RUNNING. Answers are made from the kernel's own state on the kernel thread, so that a kernel that hangs
// does not look healthy and no name outlives its plugin.
//
// A watcher is written to when it has read what it was told before: it then hears the state of that moment, so that one
// that does not read costs nothing.
//
// Ownership and thread: owned by the daemon; kernel thread but for the tags of gRPC. At most
// limits::kHealthWatchersMax watch at a time (kQueueFull beyond it).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "daemon/grpc_edge.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "kernel/orchestrator/orchestrator.h"

namespace liongate::daemon {

class GrpcHealthService {
 public:
  using Service = grpc::health::v1::Health::AsyncService;
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  explicit GrpcHealthService(orchestrator::Orchestrator& kernel) : kernel_(kernel) {}

  grpc::Service& service() { return service_; }
  void serve(const GrpcEdge& edge);

  // Whether the daemon takes calls. Tells those who watch.
  void set_serving(bool serving);
  // The state of plugin `name` may have changed. Tells those who watch it, once the event has been applied.
  void plugin_changed(const std::string& name);

 private:
  using WatchCall = StreamCall<Service, grpc::health::v1::HealthCheckRequest, grpc::health::v1::HealthCheckResponse>;
  struct Watcher {
    std::shared_ptr<WatchCall> call;
    Status told;
    bool writing = false;
  };

  Status status_of(const std::string& name);
  void watch(std::uint64_t token, std::shared_ptr<WatchCall> call);
  void tell(Watcher& watcher, Status status);
  void tell_if_changed(Watcher& watcher);
  void on_drained(std::uint64_t token);

  orchestrator::Orchestrator& kernel_;
  bool serving_ = false;
  std::uint64_t last_token_ = 0;               // queue thread
  std::map<std::uint64_t, Watcher> watchers_;  // by token
  Service service_;
};

}  // namespace liongate::daemon
