#include <ostream>

#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/program.h"
#include "liongate/v1/system_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode reload_config(Context& context) {
  v1::ReloadConfigRequest request;
  v1::ReloadConfigResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::SystemService>(&v1::SystemService::Stub::ReloadConfig, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) {
    print_json(context, response);
    return finish(context);
  }
  if (response.changed_keys().empty() && response.restart_keys().empty()) {
    context.out << "no key changed; plugins.yaml is read again\n";
  }
  for (const std::string& key : response.changed_keys()) context.out << key << ": in force\n";
  for (const std::string& key : response.restart_keys()) context.out << key << ": in force after a restart\n";
  return finish(context);
}

}  // namespace

void add_reload_config(Program& program) {
  program.add_verb("reload-config", "Let the daemon read its configuration again; on any fault nothing changes",
                   "liongatectl reload-config", [&context = program.context()] { return reload_config(context); });
}

}  // namespace liongate::cli
