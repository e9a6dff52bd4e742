#include <ostream>

#include "cli/program.h"

namespace liongate::cli {

void add_version(Program& program) {
  program.add_verb("version", "Show the version of liongatectl; needs no daemon", "liongatectl version",
                   [&context = program.context()] {
                     if (context.json()) {
                       context.out << "{\"version\":\"" LIONGATE_VERSION "\"}\n";
                     } else {
                       context.out << "liongatectl " LIONGATE_VERSION "\n";
                     }
                     return finish(context);
                   });
}

}  // namespace liongate::cli
