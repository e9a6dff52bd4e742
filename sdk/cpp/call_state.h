// One call from its Invoke frame to its Result: what the handler's Call looks at.
//
// Ownership and thread: owned by the thread that runs it (reading thread or worker) or by the queue before. `cancelled`
// may be set by the reading thread at any time; `stop_source` is guarded by `mutex`; the rest does not change once the
// call has begun, except that its own handler may take the input.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "liongate/plugin.h"
#include "liongate/v1/frame.pb.h"

namespace liongate::plugin {

struct Operation {
  Handler handler;
  Pace pace = Pace::kOrdinary;
};

enum class RunsOn : std::uint8_t { kReadingThread, kWorker };

struct CallState {
  v1::Invoke invoke;
  const Operation* operation = nullptr;  // null: the plugin has no such operation
  RunsOn runs_on = RunsOn::kReadingThread;
  std::shared_ptr<const std::string> config_json;
  std::optional<std::chrono::steady_clock::time_point> deadline;

  std::atomic<bool> cancelled{false};
  std::mutex mutex;
  std::optional<std::stop_source> stop_source;  // made when the handler first asks for its token
};

}  // namespace liongate::plugin
