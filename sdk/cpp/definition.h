// What the author declared before run(): operations, callbacks and options.
//
// Ownership and thread: owned by the Plugin; not changed once run() has begun, so any thread may read it then.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "liongate/plugin.h"
#include "sdk/cpp/call_state.h"

namespace liongate::plugin {

struct Plugin::Definition {
  Options options;
  std::map<std::string, Operation, std::less<>> operations;
  std::optional<Operation> any_operation;
  std::function<void(const std::string&)> on_start;
  std::function<Health()> on_health;
  std::function<void(const std::string&)> on_config_changed;
  std::function<void()> on_shutdown;
};

}  // namespace liongate::plugin
