// The options of a call on the command line, shared by invoke-plugin and run-plugin.
//
// Ownership and thread: `options` outlives the parse.
#pragma once

#include "cli/loading.h"
#include "cli/program.h"

namespace liongate::cli {

void add_invoke_options(Verb& verb, InvokeOptions& options);

}  // namespace liongate::cli
