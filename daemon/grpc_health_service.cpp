#include "daemon/grpc_health_service.h"

#include <algorithm>
#include <string_view>

#include "daemon/grpc_server.h"

namespace liongate::daemon {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

namespace {

constexpr std::string_view kPluginPrefix = "plugin/";

}  // namespace

GrpcHealthService::Status GrpcHealthService::status_of(const std::string& name) {
  if (name.empty() || std::find(kServiceNames.begin(), kServiceNames.end(), name) != kServiceNames.end()) {
    return serving_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  }
  if (!name.starts_with(kPluginPrefix)) return HealthCheckResponse::SERVICE_UNKNOWN;
  const Result<v1::Plugin> plugin = kernel_.get(name.substr(kPluginPrefix.size()));
  if (!plugin) return HealthCheckResponse::SERVICE_UNKNOWN;
  return plugin->state() == v1::PLUGIN_STATE_RUNNING ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

void GrpcHealthService::serve(const GrpcEdge& edge) {
  using CheckCall = UnaryCall<Service, HealthCheckRequest, HealthCheckResponse>;
  // Anyone who may connect may ask: an answer tells no more than that somebody serves.
  CheckCall::arm(std::make_shared<const CheckCall::Binding>(CheckCall::Binding{
      service_, &Service::RequestCheck, edge.queue, edge.open_calls, [this, &edge](std::shared_ptr<CheckCall> call) {
        edge.post([this, call = std::move(call)] {
          HealthCheckResponse response;
          response.set_status(status_of(call->request().service()));
          if (response.status() == HealthCheckResponse::SERVICE_UNKNOWN) {
            call->fail(make_error(Reason::kPluginNotFound, "no service of this name: " + call->request().service()));
          } else {
            call->finish(response);
          }
        });
      }}));
  WatchCall::arm(std::make_shared<const WatchCall::Binding>(WatchCall::Binding{
      service_, &Service::RequestWatch, edge.queue, edge.open_calls, [this, &edge](std::shared_ptr<WatchCall> call) {
        const std::uint64_t token = ++last_token_;
        call->set_on_end([this, &edge, token] { edge.post([this, token] { watchers_.erase(token); }); });
        call->set_on_drained([this, &edge, token] { edge.post([this, token] { on_drained(token); }); });
        edge.post([this, token, call = std::move(call)]() mutable { watch(token, std::move(call)); });
      }}));
}

void GrpcHealthService::watch(std::uint64_t token, std::shared_ptr<WatchCall> call) {
  if (watchers_.size() >= limits::kHealthWatchersMax) {
    call->fail(
        make_error(Reason::kQueueFull, std::to_string(limits::kHealthWatchersMax) + " callers watch the health already")
            .with_hint("use Check"));
    return;
  }
  const Status status = status_of(call->request().service());
  Watcher& watcher = watchers_[token];
  watcher.call = std::move(call);
  tell(watcher, status);
}

void GrpcHealthService::tell(Watcher& watcher, Status status) {
  watcher.told = status;
  watcher.writing = true;
  HealthCheckResponse response;
  response.set_status(status);
  watcher.call->write(std::move(response));
}

void GrpcHealthService::tell_if_changed(Watcher& watcher) {
  if (watcher.writing) return;
  if (const Status status = status_of(watcher.call->request().service()); status != watcher.told) tell(watcher, status);
}

void GrpcHealthService::on_drained(std::uint64_t token) {
  const auto found = watchers_.find(token);
  if (found == watchers_.end()) return;
  found->second.writing = false;
  tell_if_changed(found->second);
}

void GrpcHealthService::set_serving(bool serving) {
  serving_ = serving;
  for (auto& [token, watcher] : watchers_) tell_if_changed(watcher);
}

void GrpcHealthService::plugin_changed(const std::string& name) {
  const std::string service = std::string(kPluginPrefix) + name;
  for (auto& [token, watcher] : watchers_) {
    if (watcher.call->request().service() == service) tell_if_changed(watcher);
  }
}

}  // namespace liongate::daemon
