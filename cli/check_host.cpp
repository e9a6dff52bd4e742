#include "cli/program.h"
#include "cli/sibling_program.h"

namespace liongate::cli {

void add_check_host(Program& program) {
  program
      .add_verb("check-host", "Show what this host can confine plugins with; needs no daemon", "liongatectl check-host",
                [&context = program.context()] { return exec_liongated(context, {"--check-host"}); })
      .alias("doctor");
}

}  // namespace liongate::cli
