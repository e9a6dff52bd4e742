#include "daemon/grpc_plugin_service.h"

#include <charconv>

#include "config/manifest_parser.h"
#include "daemon/call_messages.h"
#include "kernel/base/limits.h"

namespace liongate::daemon {

using orchestrator::CallReply;

namespace {

using PluginRpc = GrpcPluginService::Service;

constexpr std::size_t kLogEntriesPerMessage = 256;

// A lifecycle method: plugin in, plugin out.
template <typename Response>
orchestrator::Orchestrator::PluginDone answer_with_plugin(auto call) {
  return [call](Result<v1::Plugin> plugin) {
    if (!plugin) {
      call->fail(plugin.error());
      return;
    }
    Response response;
    *response.mutable_plugin() = std::move(*plugin);
    call->finish(response);
  };
}

// Waits for the outcome of a unary call.
class UnaryInvocation final : public orchestrator::CallHandler {
 public:
  using Call = UnaryCall<PluginRpc, v1::InvokePluginRequest, v1::InvokePluginResponse>;
  explicit UnaryInvocation(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  void on_part(v1::Payload) override {}  // a unary caller gets the final output alone
  void on_done(Result<CallReply> outcome) override {
    if (outcome) {
      call_->finish(to_response(std::move(*outcome)));
    } else {
      call_->fail(outcome.error());
    }
  }

 private:
  std::shared_ptr<Call> call_;
};

class StreamInvocation final : public orchestrator::CallHandler {
 public:
  using Call = StreamCall<PluginRpc, v1::StreamInvokePluginRequest, v1::StreamInvokePluginResponse>;
  explicit StreamInvocation(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  void on_part(v1::Payload part) override {
    v1::StreamInvokePluginResponse response;
    if (part.has_data()) {
      response.mutable_part()->set_data(std::move(*part.mutable_data()));
    } else {
      response.mutable_part()->set_text(std::move(*part.mutable_text()));
    }
    call_->write(std::move(response));  // bounded: each part costs the call something, and it has a bound
  }
  void on_done(Result<CallReply> outcome) override {
    if (!outcome) {
      call_->fail(outcome.error());
      return;
    }
    v1::StreamInvokePluginResponse response;
    *response.mutable_end() = to_response(std::move(*outcome));
    call_->write(std::move(response));
    call_->finish();
  }

 private:
  std::shared_ptr<Call> call_;
};

orchestrator::LoadRequest to_load(v1::LoadPluginRequest& request, const Caller& caller) {
  orchestrator::LoadRequest load;
  if (request.has_inline_()) {
    load.source.manifest = std::move(*request.mutable_inline_()->mutable_manifest());
    load.source.folder = request.inline_().folder();
  } else {
    load.source.manifest_path = request.manifest_path();
  }
  load.source.caller_uid = caller.uid;
  load.actor = caller.actor;
  if (request.replace()) load.on_duplicate = orchestrator::OnDuplicate::kReplace;
  if (request.no_start()) load.after_load = orchestrator::AfterLoad::kLeaveStopped;
  if (request.accept_permissions()) load.consent = orchestrator::Consent::kGiven;
  return load;
}

bool is_network(const std::string& permission) {
  const std::string kind = permission.substr(0, permission.find(':'));
  return kind == "network" || kind == "net";
}

}  // namespace

void GrpcPluginService::serve(const GrpcEdge& edge) {
  serve_lifecycle(edge);
  serve_views(edge);
  serve_permissions(edge);
  serve_unimplemented(edge);
  serve_invoke(edge);
  serve_stream_invoke(edge);
  serve_logs(edge);
}

void GrpcPluginService::serve_lifecycle(const GrpcEdge& edge) {
  edge.serve<PluginRpc, v1::LoadPluginRequest, v1::LoadPluginResponse>(
      service_, &PluginRpc::RequestLoadPlugin, [this](auto call, const Caller& caller) {
        if (call->request().source_case() == v1::LoadPluginRequest::SOURCE_NOT_SET) {
          call->fail(make_error(Reason::kInvalidArgument, "source: manifest_path or inline must be given"));
          return;
        }
        kernel_.load(to_load(call->mutable_request(), caller), [call](Result<v1::Plugin> plugin) {
          if (!plugin) {
            call->fail(plugin.error());
            return;
          }
          v1::LoadPluginResponse response;
          response.set_plugin_id(plugin->plugin_id());
          *response.mutable_plugin() = std::move(*plugin);
          call->finish(response);
        });
      });
  edge.serve<PluginRpc, v1::UnloadPluginRequest, v1::UnloadPluginResponse>(
      service_, &PluginRpc::RequestUnloadPlugin, [this](auto call, const Caller& caller) {
        kernel_.unload(call->request().plugin(), caller.actor, answer_with_plugin<v1::UnloadPluginResponse>(call));
      });
  edge.serve<PluginRpc, v1::ReloadPluginRequest, v1::ReloadPluginResponse>(
      service_, &PluginRpc::RequestReloadPlugin, [this](auto call, const Caller& caller) {
        const auto consent =
            call->request().accept_permissions() ? orchestrator::Consent::kGiven : orchestrator::Consent::kNotGiven;
        kernel_.reload(call->request().plugin(), caller.uid, caller.actor, consent,
                       answer_with_plugin<v1::ReloadPluginResponse>(call));
      });
  edge.serve<PluginRpc, v1::StartPluginRequest, v1::StartPluginResponse>(
      service_, &PluginRpc::RequestStartPlugin, [this](auto call, const Caller& caller) {
        kernel_.start(call->request().plugin(), caller.actor, answer_with_plugin<v1::StartPluginResponse>(call));
      });
  edge.serve<PluginRpc, v1::StopPluginRequest, v1::StopPluginResponse>(
      service_, &PluginRpc::RequestStopPlugin, [this](auto call, const Caller& caller) {
        kernel_.stop(call->request().plugin(), caller.actor, answer_with_plugin<v1::StopPluginResponse>(call));
      });
  edge.serve<PluginRpc, v1::RestartPluginRequest, v1::RestartPluginResponse>(
      service_, &PluginRpc::RequestRestartPlugin, [this](auto call, const Caller& caller) {
        kernel_.restart(call->request().plugin(), caller.actor, answer_with_plugin<v1::RestartPluginResponse>(call));
      });
}

void GrpcPluginService::serve_unimplemented(const GrpcEdge& edge) {
  const auto refuse = [](auto call, const Caller&) {
    call->fail(make_error(Reason::kUnimplemented, "this version of the daemon does not offer it"));
  };
  edge.serve<PluginRpc, v1::PausePluginRequest, v1::PausePluginResponse>(service_, &PluginRpc::RequestPausePlugin,
                                                                         refuse);
  edge.serve<PluginRpc, v1::ResumePluginRequest, v1::ResumePluginResponse>(service_, &PluginRpc::RequestResumePlugin,
                                                                           refuse);
  edge.serve<PluginRpc, v1::UpdatePluginConfigRequest, v1::UpdatePluginConfigResponse>(
      service_, &PluginRpc::RequestUpdatePluginConfig, refuse);
}

void GrpcPluginService::serve_views(const GrpcEdge& edge) {
  edge.serve<PluginRpc, v1::GetPluginRequest, v1::GetPluginResponse>(
      service_, &PluginRpc::RequestGetPlugin, [this](auto call, const Caller&) {
        answer_with_plugin<v1::GetPluginResponse>(call)(kernel_.get(call->request().plugin()));
      });
  edge.serve<PluginRpc, v1::ListPluginsRequest, v1::ListPluginsResponse>(
      service_, &PluginRpc::RequestListPlugins, [this](auto call, const Caller&) {
        std::vector<v1::Plugin> plugins = kernel_.list();
        const std::string& token = call->request().page_token();
        std::size_t first = 0;
        if (std::from_chars(token.data(), token.data() + token.size(), first).ptr != token.data() + token.size() ||
            first > plugins.size()) {
          call->fail(make_error(Reason::kInvalidArgument, "page_token is not one that this daemon gave"));
          return;
        }
        std::size_t count = call->request().page_size() == 0 ? plugins.size() : call->request().page_size();
        if (call->request().page_size() != 0) count = std::min(count, limits::kPageSizeMax);
        v1::ListPluginsResponse response;
        const std::size_t end = std::min(plugins.size(), first + count);
        for (std::size_t i = first; i < end; ++i) *response.add_plugins() = std::move(plugins[i]);
        if (end < plugins.size()) response.set_next_page_token(std::to_string(end));
        call->finish(response);
      });
  edge.serve<PluginRpc, v1::GetPluginHealthRequest, v1::GetPluginHealthResponse>(
      service_, &PluginRpc::RequestGetPluginHealth, [this](auto call, const Caller&) {
        kernel_.check_health(call->request().plugin(), [call](Result<orchestrator::PluginHealth> health) {
          if (!health) {
            call->fail(health.error());
            return;
          }
          const v1::PluginStatistics& statistics = health->plugin.statistics();
          const double ended = static_cast<double>(statistics.calls_completed() + statistics.calls_failed());
          v1::GetPluginHealthResponse response;
          response.set_plugin_id(health->plugin.plugin_id());
          response.set_healthy(health->healthy);
          response.set_state(health->plugin.state());
          response.set_detail(health->detail);
          response.set_uptime_s(health->uptime_s);
          response.set_success_rate(ended == 0 ? 1.0 : static_cast<double>(statistics.calls_completed()) / ended);
          response.set_error_rate(ended == 0 ? 0.0 : static_cast<double>(statistics.calls_failed()) / ended);
          if (statistics.calls_completed() > 0) {
            response.set_average_execution_time_ms(statistics.execution_time_ms_total() /
                                                   static_cast<double>(statistics.calls_completed()));
          }
          response.set_memory_used_bytes(health->memory_used_bytes);
          response.set_restart_count(health->plugin.restart_count());
          response.set_is_observer(health->plugin.has_observer());
          call->finish(response);
        });
      });
}

template <typename Response>
void GrpcPluginService::change_permission(auto call, const Caller& caller, policy::Override what) {
  Result<Permission> permission = config::parse_permission(call->request().permission());
  if (!permission) {
    Error error = std::move(permission).error();
    if (error.reason != Reason::kUnknownPermission) error.reason = Reason::kInvalidArgument;
    call->fail(error);
    return;
  }
  kernel_.override_permission(call->request().plugin(), config::canonical_text(*permission), what, caller.actor,
                              [call](Result<v1::Plugin> plugin) {
                                if (!plugin) {
                                  call->fail(plugin.error());
                                  return;
                                }
                                Response response;
                                // Flows are cut at once; what the kernel gave at the start it does not take back.
                                const bool is_cut = std::is_same_v<Response, v1::RevokePermissionResponse> &&
                                                    is_network(call->request().permission());
                                response.set_restart_needed(plugin->pid() != 0 && !is_cut);
                                *response.mutable_plugin() = std::move(*plugin);
                                call->finish(response);
                              });
}

void GrpcPluginService::serve_permissions(const GrpcEdge& edge) {
  edge.serve<PluginRpc, v1::ExplainPermissionsRequest, v1::ExplainPermissionsResponse>(
      service_, &PluginRpc::RequestExplainPermissions, [this](auto call, const Caller& caller) {
        const auto answer = [call](Result<orchestrator::Explanation> explained) {
          if (!explained) {
            call->fail(explained.error());
            return;
          }
          v1::ExplainPermissionsResponse response;
          response.set_plugin_id(explained->plugin_id);
          response.set_plugin_name(explained->plugin_name);
          *response.mutable_decision() = std::move(explained->decision);
          call->finish(response);
        };
        const v1::ExplainPermissionsRequest& request = call->request();
        if (request.has_plugin()) {
          kernel_.explain(request.plugin(), answer);
        } else if (request.has_manifest_path()) {
          registry::PluginSource source;
          source.manifest_path = request.manifest_path();
          source.caller_uid = caller.uid;
          kernel_.explain(std::move(source), caller.actor, answer);
        } else {
          call->fail(make_error(Reason::kInvalidArgument, "target: plugin or manifest_path must be given"));
        }
      });
  edge.serve<PluginRpc, v1::GrantPermissionRequest, v1::GrantPermissionResponse>(
      service_, &PluginRpc::RequestGrantPermission, [this](auto call, const Caller& caller) {
        change_permission<v1::GrantPermissionResponse>(call, caller, policy::Override::kGrant);
      });
  edge.serve<PluginRpc, v1::RevokePermissionRequest, v1::RevokePermissionResponse>(
      service_, &PluginRpc::RequestRevokePermission, [this](auto call, const Caller& caller) {
        change_permission<v1::RevokePermissionResponse>(call, caller, policy::Override::kRevoke);
      });
  edge.serve<PluginRpc, v1::ListPermissionsRequest, v1::ListPermissionsResponse>(
      service_, &PluginRpc::RequestListPermissions, [this](auto call, const Caller&) {
        v1::ListPermissionsResponse response;
        for (const auto& [id, loaded] : kernel_.list_grants()) {
          for (const v1::PermissionGrant& grant : loaded->grants()) {
            v1::ListedPermission& one = *response.add_permissions();
            one.set_plugin_id(id.str());
            one.set_plugin_name(loaded->manifest().name());
            *one.mutable_grant() = grant;
          }
        }
        call->finish(response);
      });
}

void GrpcPluginService::serve_invoke(const GrpcEdge& edge) {
  using Call = UnaryInvocation::Call;
  auto handler = [this, &edge](std::shared_ptr<Call> call) {
    std::optional<Caller> caller = edge.admit(call);
    if (!caller) return;
    auto request = to_call(call->mutable_request(), call->context(), caller->actor);
    if (!request) {
      call->fail(request.error());
      return;
    }
    // Written and read on the kernel thread alone: a cancellation is posted behind the call itself.
    auto key = std::make_shared<orchestrator::CallKey>(0);
    call->set_on_cancel([this, &edge, key] { edge.post([this, key] { kernel_.cancel(*key); }); });
    edge.post([this, call = std::move(call), key, request = std::move(*request)]() mutable {
      *key = kernel_.invoke(std::move(request), std::make_unique<UnaryInvocation>(std::move(call)));
    });
  };
  Call::arm(std::make_shared<const Call::Binding>(Call::Binding{service_, &PluginRpc::RequestInvokePlugin, edge.queue,
                                                                edge.open_calls, handler, Cancellation::kReported}));
}

void GrpcPluginService::serve_stream_invoke(const GrpcEdge& edge) {
  using Call = StreamInvocation::Call;
  auto handler = [this, &edge](std::shared_ptr<Call> call) {
    std::optional<Caller> caller = edge.admit(call);
    if (!caller) return;
    auto request = to_call(*call->mutable_request().mutable_invoke(), call->context(), caller->actor);
    if (!request) {
      call->fail(request.error());
      return;
    }
    request->delivery = orchestrator::Delivery::kStreamed;
    auto key = std::make_shared<orchestrator::CallKey>(0);
    call->set_on_end([this, &edge, key] { edge.post([this, key] { kernel_.cancel(*key); }); });
    edge.post([this, call = std::move(call), key, request = std::move(*request)]() mutable {
      *key = kernel_.invoke(std::move(request), std::make_unique<StreamInvocation>(std::move(call)));
    });
  };
  Call::arm(std::make_shared<const Call::Binding>(
      Call::Binding{service_, &PluginRpc::RequestStreamInvokePlugin, edge.queue, edge.open_calls, handler}));
}

void GrpcPluginService::serve_logs(const GrpcEdge& edge) {
  using Call = StreamCall<PluginRpc, v1::GetPluginLogsRequest, v1::GetPluginLogsResponse>;
  const auto answer = [this](const std::shared_ptr<Call>& call) -> orchestrator::LogFollower {
    supervision::PluginLog::Follower follower;
    if (call->request().follow()) {
      follower = [call](const supervision::LogLine* line) {
        if (line == nullptr) {
          call->finish();
          return;
        }
        v1::GetPluginLogsResponse response;
        *response.add_entries() = to_entry(*line);
        if (call->write(std::move(response)) > limits::kStreamMessagesQueuedMax) {
          call->fail(make_error(Reason::kQueueFull, "the reader is too slow for what the plugin writes")
                         .with_hint("follow again; what was missed is in `get-plugin-logs`"));
        }
      };
    }
    auto logs = kernel_.read_logs(call->request().plugin(), call->request().tail_lines(), std::move(follower));
    if (!logs) {
      call->fail(logs.error());
      return {};
    }
    v1::GetPluginLogsResponse response;
    for (const supervision::LogLine& line : logs->lines) {
      *response.add_entries() = to_entry(line);
      if (response.entries_size() == static_cast<int>(kLogEntriesPerMessage)) {
        call->write(std::exchange(response, {}));
      }
    }
    if (response.entries_size() > 0) call->write(std::move(response));
    if (!call->request().follow()) call->finish();
    return std::move(*logs);
  };
  auto handler = [this, &edge, answer](std::shared_ptr<Call> call) {
    if (!edge.admit(call)) return;
    auto follower = std::make_shared<orchestrator::LogFollower>();
    call->set_on_end([this, &edge, follower] {
      edge.post([this, follower] {
        if (follower->token != 0) kernel_.unfollow_logs(*follower);
      });
    });
    edge.post([answer, call, follower] { *follower = answer(call); });
  };
  Call::arm(std::make_shared<const Call::Binding>(
      Call::Binding{service_, &PluginRpc::RequestGetPluginLogs, edge.queue, edge.open_calls, handler}));
}

}  // namespace liongate::daemon
