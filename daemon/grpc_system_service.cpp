#include "daemon/grpc_system_service.h"

#include <unistd.h>

#include <cstdio>

#include "kernel/base/sys.h"

namespace liongate::daemon {
namespace {

using SystemRpc = GrpcSystemService::Service;

std::uint64_t resident_bytes() {
  const auto text = sys::read_file("/proc/self/statm", 256);
  unsigned long long size_pages = 0;
  unsigned long long resident_pages = 0;
  if (!text || std::sscanf(text->c_str(), "%llu %llu", &size_pages, &resident_pages) != 2) return 0;
  return resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

v1::CheckHostResponse to_response(const sandbox::HostReport& report) {
  v1::CheckHostResponse response;
  response.set_can_confine(true);
  for (const sandbox::HostMechanism& mechanism : report.mechanisms) {
    v1::HostMechanism& message = *response.add_mechanisms();
    message.set_name(mechanism.name);
    message.set_state(mechanism.available ? "available" : "missing");
    message.set_mandatory(mechanism.mandatory);
    message.set_reason(mechanism.reason);
    message.set_remedy(mechanism.remedy);
    if (mechanism.mandatory && !mechanism.available) response.set_can_confine(false);
  }
  return response;
}

v1::GetStatusResponse GrpcSystemService::status() {
  const orchestrator::Counts counts = kernel_.counts();
  v1::GetStatusResponse response;
  response.set_version(facts_.version);
  response.set_node_id(facts_.node_id);
  response.set_environment(facts_.environment);
  response.set_pid(::getpid());
  response.mutable_start_time()->set_seconds(facts_.start_wall_ns / 1'000'000'000);
  response.mutable_start_time()->set_nanos(static_cast<int>(facts_.start_wall_ns % 1'000'000'000));
  response.set_state_dir(facts_.state_dir);
  response.set_socket_path(facts_.socket_path);
  response.set_last_seq(counts.last_seq);
  response.set_durable_seq(counts.durable_seq);
  response.set_plugins(counts.plugins);
  response.set_plugins_running(counts.plugins_running);
  response.set_calls_running(counts.calls_running);
  response.set_calls_queued(counts.calls_queued);
  response.set_log_read_only(counts.read_only);
  if (counts.read_only) response.set_log_read_only_reason("the file system that holds the event log is full");
  response.set_rootless(facts_.rootless);
  response.set_memory_used_bytes(resident_bytes());
  return response;
}

void GrpcSystemService::serve(const GrpcEdge& edge) {
  edge.serve<SystemRpc, v1::GetStatusRequest, v1::GetStatusResponse>(
      service_, &SystemRpc::RequestGetStatus, [this](auto call, const Caller&) { call->finish(status()); });
  edge.serve<SystemRpc, v1::CheckHostRequest, v1::CheckHostResponse>(
      service_, &SystemRpc::RequestCheckHost, [this](auto call, const Caller&) {
        launcher_.report_host([call](Result<sandbox::HostReport> report) {
          if (report) {
            call->finish(to_response(*report));
          } else {
            call->fail(report.error());
          }
        });
      });
  edge.serve<SystemRpc, v1::ReloadConfigRequest, v1::ReloadConfigResponse>(
      service_, &SystemRpc::RequestReloadConfig, [this](auto call, const Caller& caller) {
        controls_.reload_config(caller.actor, [call](const Result<v1::ReloadConfigResponse>& reloaded) {
          if (reloaded) {
            call->finish(*reloaded);
          } else {
            call->fail(reloaded.error());
          }
        });
      });
  edge.serve<SystemRpc, v1::ShutdownRequest, v1::ShutdownResponse>(service_, &SystemRpc::RequestShutdown,
                                                                   [this](auto call, const Caller& caller) {
                                                                     call->finish(v1::ShutdownResponse());
                                                                     controls_.shut_down("Shutdown by " + caller.actor);
                                                                   });
}

}  // namespace liongate::daemon
