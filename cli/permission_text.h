// What a policy says to a plugin's requests, for people: test-policy and explain-permissions print the same tables.
//
// Ownership and thread: functions of the verb's thread.
#pragma once

#include <string>

#include "cli/context.h"
#include "liongate/v1/plugin.pb.h"

namespace liongate::cli {

// One line on the whole, a table of permissions, and one of limits where a rule has a ceiling. `subject` is the plugin.
void print_decision(Context& context, const std::string& subject, const v1::PolicyDecision& decision);

}  // namespace liongate::cli
