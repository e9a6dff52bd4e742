#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/program.h"
#include "cli/table.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode list_permissions(Context& context) {
  v1::ListPermissionsRequest request;
  v1::ListPermissionsResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::PluginService>(&v1::PluginService::Stub::ListPermissions, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) {
    print_json(context, response);
    return finish(context);
  }
  Table table({"PLUGIN", "PERMISSION", "RULE"});
  for (const v1::ListedPermission& one : response.permissions()) {
    table.add({one.plugin_name(), one.grant().permission(), one.grant().rule()});
  }
  table.flush(context);
  return finish(context);
}

}  // namespace

void add_list_permissions(Program& program) {
  program.add_verb("list-permissions", "Show every permission that a loaded plugin has, and the rule that gave it",
                   "liongatectl list-permissions",
                   [&context = program.context()] { return list_permissions(context); });
}

}  // namespace liongate::cli
