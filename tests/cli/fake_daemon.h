// A daemon that only answers what a test told it to, over a real socket; and one run of liongatectl against it.
#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/error.h"
#include "liongate/v1/event_service.grpc.pb.h"
#include "liongate/v1/plugin_service.grpc.pb.h"
#include "liongate/v1/system_service.grpc.pb.h"

namespace liongate::test {

// A status as the daemon makes it: google.rpc.Status with ErrorInfo in the details.
grpc::Status status_of(Reason reason, const std::string& message,
                       const std::map<std::string, std::string>& metadata = {});

class FakeDaemon {
 public:
  FakeDaemon();
  ~FakeDaemon();

  std::string socket() const { return folder_ + "/s"; }
  const std::string& folder() const { return folder_; }

  // What the services answer with; OK and an empty reply unless set.
  grpc::Status status;
  std::function<grpc::Status(const v1::InvokePluginRequest&, v1::InvokePluginResponse&)> on_invoke;
  std::vector<v1::StreamInvokePluginResponse> stream;
  std::vector<v1::ReplayEventsResponse> replay;
  std::vector<v1::GetPluginLogsResponse> logs;
  v1::SummarizeEventsResponse summary;
  v1::VerifyLogResponse report;
  v1::VerifyLogRequest verify_request;
  v1::Plugin plugin;
  v1::ExplainPermissionsResponse explanation;
  v1::ListPermissionsResponse permissions;

  // What was asked.
  v1::LoadPluginRequest load_request;
  v1::ReloadPluginRequest reload_request;
  v1::ExplainPermissionsRequest explain_request;
  std::string permission;       // granted or revoked
  bool restart_needed = false;  // what both answer
  v1::InvokePluginRequest invoke_request;
  v1::ReplayEventsRequest replay_request;
  std::string selector;
  std::atomic<bool> is_waiting = false;  // a call hangs until it is cancelled

 private:
  class Plugins;
  class Events;
  class System;

  std::string folder_;
  std::unique_ptr<Plugins> plugins_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<System> system_;
  std::unique_ptr<grpc::Server> server_;
};

struct Run {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs liongatectl in this process with --socket of `daemon`.
Run ctl(const FakeDaemon& daemon, std::vector<std::string> arguments);
Run ctl(std::vector<std::string> arguments);

// How many line ends `text` has.
std::size_t lines_in(const std::string& text);

}  // namespace liongate::test
