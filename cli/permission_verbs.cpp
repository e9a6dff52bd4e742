// What an operator changes of a plugin's permissions while it is loaded: two verbs of one shape.
#include <ostream>

#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plain_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

using Stub = v1::PluginService::Stub;

struct Words {
  std::string plugin;
  std::string permission;
};

// Hosts are taken away from what runs, too.
bool is_cut(const std::string& permission, std::string_view done) {
  const std::string kind = permission.substr(0, permission.find(':'));
  return done == "revoked" && (kind == "network" || kind == "net");
}

template <typename Request, typename Response>
void add_verb(Program& program, const std::string& name, const char* summary, const char* done,
              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
  auto words = std::make_shared<Words>();
  Verb verb = program.add_verb(
      name, summary, "liongatectl " + name + " hello env:LANG", [&context = program.context(), words, done, method] {
        Request request;
        request.set_plugin(words->plugin);
        request.set_permission(words->permission);
        Response response;
        Connection connection(context);
        const grpc::Status status = connection.call<v1::PluginService>(method, request, response, kChangeDeadlineMs);
        if (!status.ok()) return fail(context, connection.failure(words->plugin, status));
        if (context.json()) {
          print_json(context, response);
        } else {
          const std::string plugin = one_line(response.plugin().name());
          context.out << plugin << ": " << one_line(words->permission) << ' ' << done
                      << (response.restart_needed()
                              ? "; it runs on as before until `liongatectl restart-plugin " + plugin + "`"
                          : is_cut(words->permission, done) ? ", at once: what flowed there is cut"
                                                            : ", from its next start or call on")
                      << '\n';
        }
        return finish(context);
      });
  verb.selector(words->plugin);
  verb.text("--permission,PERMISSION", words->permission, "KIND[:ARGUMENT], as in a manifest",
            {.presence = Presence::kRequired});
}

}  // namespace

void add_permission_verbs(Program& program) {
  add_verb(program, "grant-permission",
           "Give a plugin a permission that its manifest does not ask for, or that was revoked; until it is unloaded",
           "granted", &Stub::GrantPermission);
  add_verb(program, "revoke-permission", "Take a permission from a plugin, until it is granted again or unloaded",
           "revoked", &Stub::RevokePermission);
}

}  // namespace liongate::cli
