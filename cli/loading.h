// Loading and calling a plugin, as the verbs load-plugin, invoke-plugin and run-plugin share it.
//
// Ownership and thread: functions of the verb's thread; they print failures themselves and return the exit code.
#pragma once

#include <cstdint>
#include <string>

#include "cli/context.h"
#include "kernel/base/limits.h"
#include "kernel/base/result.h"
#include "liongate/v1/plugin_service.pb.h"

namespace liongate::cli {

struct LoadOptions {
  std::string manifest;
  bool replace = false;
  bool no_start = false;
  bool accept_permissions = false;
};

// Loads by path. Prints warnings of the manifest, but not the reply.
ExitCode load_plugin(Context& context, const LoadOptions& options, v1::LoadPluginResponse& response);

struct InvokeOptions {
  std::string plugin;
  std::string input;
  std::string input_file;  // "-" is stdin; empty: `input` is meant
  std::string operation;
  std::string correlation_id;
  std::int64_t timeout_ms = limits::kInvokeTimeoutMsDefault;
  std::string durability;
  bool stream = false;
  bool show_log = false;
};

// What a call says, its input read; kInputTooLarge or kInvalidArgument about the input. `plugin` may still be empty.
Result<v1::InvokePluginRequest> invoke_request_of(const InvokeOptions& options);

// Calls and prints the output alone, as it is (with -o json the whole reply, or each message of a stream).
ExitCode invoke_plugin(Context& context, const InvokeOptions& options);

}  // namespace liongate::cli
