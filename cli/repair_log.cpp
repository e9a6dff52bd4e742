#include "cli/program.h"
#include "cli/sibling_program.h"

namespace liongate::cli {

// Always without a daemon: the one that refused to start is the reason to come here.
void add_repair_log(Program& program) {
  auto state_dir = std::make_shared<std::string>();
  Verb verb = program.add_verb("repair-log", "Keep a damaged log up to the damage and move the rest aside",
                               "liongatectl repair-log --state-dir /var/lib/liongate",
                               [&context = program.context(), state_dir] {
                                 return exec_liongated(context, {"--repair-log", *state_dir});
                               });
  verb.text("--state-dir", *state_dir, "The state folder of a daemon that does not run",
            {.value = "DIR", .presence = Presence::kRequired});
}

}  // namespace liongate::cli
