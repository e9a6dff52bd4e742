// How plugins, their states and what they logged are shown to people.
//
// Ownership and thread: pure functions over messages; printing on the verb's thread.
#pragma once

#include <string>

#include "cli/context.h"
#include "liongate/v1/plugin.pb.h"
#include "liongate/v1/plugin_service.pb.h"

namespace liongate::cli {

// "running" for PLUGIN_STATE_RUNNING; "state 42" for one that only a newer daemon knows.
std::string state_text(v1::PluginState state);

void print_plugins(Context& context, const google::protobuf::RepeatedPtrField<v1::Plugin>& plugins);
void print_plugin(Context& context, const v1::Plugin& plugin);
void print_health(Context& context, const v1::GetPluginHealthResponse& health);

// "2026-11-20 10:18:22.123 stderr  text", and how many lines were lost before it.
void print_log_entry(std::ostream& out, const v1::LogEntry& entry);

}  // namespace liongate::cli
