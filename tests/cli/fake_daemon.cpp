#include "fake_daemon.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

#include "cli/program.h"

namespace liongate::test {

grpc::Status status_of(Reason reason, const std::string& message, const std::map<std::string, std::string>& metadata) {
  const ReasonTraits& traits = traits_of(reason);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(traits.name));
  info.set_domain("liongate");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  google::rpc::Status details;
  details.set_code(static_cast<int>(traits.code));
  details.set_message(message);
  details.add_details()->PackFrom(info);
  return {static_cast<grpc::StatusCode>(traits.code), message, details.SerializeAsString()};
}

class FakeDaemon::Plugins final : public v1::PluginService::Service {
 public:
  explicit Plugins(FakeDaemon& fake) : fake_(fake) {}

  grpc::Status LoadPlugin(grpc::ServerContext*, const v1::LoadPluginRequest* request,
                          v1::LoadPluginResponse* response) override {
    fake_.load_request = *request;
    response->set_plugin_id(fake_.plugin.plugin_id());
    return fake_.status;
  }
  grpc::Status StopPlugin(grpc::ServerContext*, const v1::StopPluginRequest* request,
                          v1::StopPluginResponse* response) override {
    fake_.selector = request->plugin();
    *response->mutable_plugin() = fake_.plugin;
    return fake_.status;
  }
  grpc::Status ReloadPlugin(grpc::ServerContext*, const v1::ReloadPluginRequest* request,
                            v1::ReloadPluginResponse* response) override {
    fake_.reload_request = *request;
    *response->mutable_plugin() = fake_.plugin;
    return fake_.status;
  }
  grpc::Status ExplainPermissions(grpc::ServerContext*, const v1::ExplainPermissionsRequest* request,
                                  v1::ExplainPermissionsResponse* response) override {
    fake_.explain_request = *request;
    *response = fake_.explanation;
    return fake_.status;
  }
  grpc::Status GrantPermission(grpc::ServerContext*, const v1::GrantPermissionRequest* request,
                               v1::GrantPermissionResponse* response) override {
    fake_.selector = request->plugin();
    fake_.permission = "+" + request->permission();
    *response->mutable_plugin() = fake_.plugin;
    response->set_restart_needed(fake_.restart_needed);
    return fake_.status;
  }
  grpc::Status RevokePermission(grpc::ServerContext*, const v1::RevokePermissionRequest* request,
                                v1::RevokePermissionResponse* response) override {
    fake_.selector = request->plugin();
    fake_.permission = "-" + request->permission();
    *response->mutable_plugin() = fake_.plugin;
    response->set_restart_needed(fake_.restart_needed);
    return fake_.status;
  }
  grpc::Status ListPermissions(grpc::ServerContext*, const v1::ListPermissionsRequest*,
                               v1::ListPermissionsResponse* response) override {
    *response = fake_.permissions;
    return fake_.status;
  }
  grpc::Status GetPlugin(grpc::ServerContext*, const v1::GetPluginRequest* request,
                         v1::GetPluginResponse* response) override {
    fake_.selector = request->plugin();
    *response->mutable_plugin() = fake_.plugin;
    return fake_.status;
  }
  grpc::Status ListPlugins(grpc::ServerContext*, const v1::ListPluginsRequest*,
                           v1::ListPluginsResponse* response) override {
    *response->add_plugins() = fake_.plugin;
    return fake_.status;
  }
  grpc::Status InvokePlugin(grpc::ServerContext* call, const v1::InvokePluginRequest* request,
                            v1::InvokePluginResponse* response) override {
    fake_.invoke_request = *request;
    if (request->operation() == "wait") {
      fake_.is_waiting = true;
      while (!call->IsCancelled()) std::this_thread::yield();
      return grpc::Status::CANCELLED;
    }
    return fake_.on_invoke ? fake_.on_invoke(*request, *response) : fake_.status;
  }
  grpc::Status StreamInvokePlugin(grpc::ServerContext*, const v1::StreamInvokePluginRequest* request,
                                  grpc::ServerWriter<v1::StreamInvokePluginResponse>* writer) override {
    fake_.invoke_request = request->invoke();
    for (const v1::StreamInvokePluginResponse& message : fake_.stream) writer->Write(message);
    return fake_.status;
  }
  grpc::Status GetPluginLogs(grpc::ServerContext*, const v1::GetPluginLogsRequest*,
                             grpc::ServerWriter<v1::GetPluginLogsResponse>* writer) override {
    for (const v1::GetPluginLogsResponse& message : fake_.logs) writer->Write(message);
    return fake_.status;
  }

 private:
  FakeDaemon& fake_;
};

class FakeDaemon::Events final : public v1::EventService::Service {
 public:
  explicit Events(FakeDaemon& fake) : fake_(fake) {}

  grpc::Status ReplayEvents(grpc::ServerContext* call, const v1::ReplayEventsRequest* request,
                            grpc::ServerWriter<v1::ReplayEventsResponse>* writer) override {
    fake_.replay_request = *request;
    for (const v1::ReplayEventsResponse& message : fake_.replay) writer->Write(message);
    if (request->follow()) {
      fake_.is_waiting = true;
      while (!call->IsCancelled()) std::this_thread::yield();
      return grpc::Status::CANCELLED;
    }
    return fake_.status;
  }
  grpc::Status SummarizeEvents(grpc::ServerContext*, const v1::SummarizeEventsRequest*,
                               v1::SummarizeEventsResponse* response) override {
    *response = fake_.summary;
    return fake_.status;
  }
  grpc::Status ExportCheckpoint(grpc::ServerContext*, const v1::ExportCheckpointRequest*,
                                v1::ExportCheckpointResponse* response) override {
    response->set_checkpoint("a note\n");
    return fake_.status;
  }
  grpc::Status ExportLogKey(grpc::ServerContext*, const v1::ExportLogKeyRequest*,
                            v1::ExportLogKeyResponse* response) override {
    response->set_key("a+key");
    return fake_.status;
  }
  grpc::Status VerifyLog(grpc::ServerContext*, const v1::VerifyLogRequest* request,
                         v1::VerifyLogResponse* response) override {
    fake_.verify_request = *request;
    *response = fake_.report;
    return fake_.status;
  }

 private:
  FakeDaemon& fake_;
};

// Answers nothing: every method is UNIMPLEMENTED, as those of a later issue are.
class FakeDaemon::System final : public v1::SystemService::Service {};

FakeDaemon::FakeDaemon() {
  std::string pattern = "/tmp/liongate-cli-test-XXXXXX";
  folder_ = ::mkdtemp(pattern.data());
  plugin.set_plugin_id("6fa3a7b4-3c36-4d5e-9f32-0d6f0a3f6f11");
  plugin.set_name("hello");
  plugin.set_version("0.1.0");
  plugin.set_state(v1::PLUGIN_STATE_RUNNING);
  plugins_ = std::make_unique<Plugins>(*this);
  events_ = std::make_unique<Events>(*this);
  system_ = std::make_unique<System>();
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(32 * 1024 * 1024);
  builder.RegisterService(plugins_.get());
  builder.RegisterService(events_.get());
  builder.RegisterService(system_.get());
  server_ = builder.BuildAndStart();
}

FakeDaemon::~FakeDaemon() {
  server_->Shutdown(std::chrono::system_clock::now());
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Run ctl(std::vector<std::string> arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const ExitCode code = cli::run(std::move(arguments), out, err, cli::Terminal::kNo, cli::Colour::kNo);
  return {static_cast<int>(code), out.str(), err.str()};
}

Run ctl(const FakeDaemon& daemon, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--socket", daemon.socket()});
  return ctl(std::move(arguments));
}

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace liongate::test
