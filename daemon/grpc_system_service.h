// SystemService on the wire: the daemon itself.
//
// Ownership and thread: owned by the GrpcServer; handlers run on the kernel thread.
#pragma once

#include <functional>
#include <string>

#include "daemon/grpc_edge.h"
#include "daemon/launcher_client.h"
#include "kernel/orchestrator/orchestrator.h"
#include "liongate/v1/system_service.grpc.pb.h"

namespace liongate::daemon {

// What GetStatus says that does not change.
struct DaemonFacts {
  std::string version;
  std::string node_id;
  std::string environment;
  std::string state_dir;
  std::string socket_path;
  bool rootless = false;
  std::int64_t start_wall_ns = 0;
};

// What the services ask of the daemon around them; all are called on the kernel thread.
struct DaemonControls {
  std::function<void(const std::string& reason)> shut_down;
  using ReloadDone = std::function<void(const Result<v1::ReloadConfigResponse>&)>;
  std::function<void(const std::string& actor, ReloadDone done)> reload_config;
};

class GrpcSystemService {
 public:
  using Service = v1::SystemService::AsyncService;

  GrpcSystemService(orchestrator::Orchestrator& kernel, LauncherClient& launcher, DaemonFacts facts,
                    DaemonControls controls)
      : kernel_(kernel), launcher_(launcher), facts_(std::move(facts)), controls_(std::move(controls)) {}

  grpc::Service& service() { return service_; }
  void serve(const GrpcEdge& edge);

 private:
  v1::GetStatusResponse status();

  orchestrator::Orchestrator& kernel_;
  LauncherClient& launcher_;
  DaemonFacts facts_;
  DaemonControls controls_;
  Service service_;
};

// The same for the daemon and for `liongated --check-host`.
v1::CheckHostResponse to_response(const sandbox::HostReport& report);

}  // namespace liongate::daemon
