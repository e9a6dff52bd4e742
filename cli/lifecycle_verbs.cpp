// The verbs that move a plugin from one state to another: all of one shape, hence one table.
#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

using Stub = v1::PluginService::Stub;

template <typename Request, typename Response>
void add_verb(Program& program, const char* name, const char* summary,
              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
  constexpr bool kAsksConsent = std::is_same_v<Request, v1::ReloadPluginRequest>;
  auto selector = std::make_shared<std::string>();
  auto accepts = std::make_shared<bool>(false);
  const std::string example = "liongatectl " + std::string(name) + " hello";
  Verb verb = program.add_verb(name, summary, example, [&context = program.context(), selector, accepts, method] {
    Request request;
    request.set_plugin(*selector);
    if constexpr (kAsksConsent) request.set_accept_permissions(*accepts);
    Response response;
    Connection connection(context);
    const grpc::Status status = connection.call<v1::PluginService>(method, request, response, kChangeDeadlineMs);
    if (!status.ok()) return fail(context, connection.failure(*selector, status));
    if (context.json()) {
      print_json(context, response);
    } else {
      context.out << response.plugin().name() << ": " << state_text(response.plugin().state()) << '\n';
    }
    return finish(context);
  });
  verb.selector(*selector);
  if (kAsksConsent) {
    verb.flag("--accept-permissions", *accepts, "Accept permissions that it did not ask for before");
  }
}

}  // namespace

void add_lifecycle_verbs(Program& program) {
  add_verb(program, "reload-plugin", "Read manifest and files again, under the same id", &Stub::ReloadPlugin);
  add_verb(program, "start-plugin", "Start a plugin that is stopped", &Stub::StartPlugin);
  add_verb(program, "stop-plugin", "Finish running calls, then stop the plugin", &Stub::StopPlugin);
  add_verb(program, "restart-plugin", "Stop and start the plugin", &Stub::RestartPlugin);
  add_verb(program, "pause-plugin", "Keep the plugin, but hold its calls", &Stub::PausePlugin);
  add_verb(program, "resume-plugin", "Let a paused plugin take calls again", &Stub::ResumePlugin);
}

}  // namespace liongate::cli
