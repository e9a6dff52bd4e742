// The life of a plugin as one pure table: transition(state, trigger) -> state, the same for the living daemon and
// replay.
//
// Ownership and thread: pure functions over values.
//
// A trigger is always an event of the log; nothing else changes a state. In prose:
//
//   absent    a load that reached Ready (or --no-start) registers the plugin: CREATED.
//   CREATED   registered, no process. Left by starting it.
//   STARTING  a process was launched and has not said Ready. Calls wait in the queue within their deadline.
//   RUNNING   Ready was said; calls flow. A `command` is RUNNING without a process between its calls.
//   STOPPING  asked to stop; running calls finish within the grace.
//   STOPPED   stopped by request. Only a request starts it again, also after a restart of the daemon.
//   CRASHED   the process ended by itself; a restart is due after the backoff.
//   FAILED    it will not be started by itself again (changed files, too many crashes). A start or reload may.
//   UNLOADED  gone.
//
// DaemonStarted is the first event of a life of the daemon. No process survived the life before, so every state that
// had one (or was about to) becomes CREATED with the wish to run kept beside it (PluginRecord::desired_running), and a
// stop that was under way is finished.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace liongate::lifecycle {

// Numerically equal to liongate.v1.PluginState.
enum class State : std::uint8_t {
  kAbsent = 0,
  kCreated = 1,
  kStarting = 2,
  kRunning = 3,
  kStopping = 4,
  kStopped = 5,
  kCrashed = 6,
  kFailed = 7,
  kUnloaded = 8,
};
inline constexpr int kStateCount = 9;

enum class Trigger : std::uint8_t {
  kLoaded,           // PluginLoaded
  kInstanceCreated,  // InstanceCreated
  kStarted,          // PluginStarted
  kStopping,         // PluginStopping
  kStopped,          // PluginStopped
  kCrashed,          // InstanceCrashed
  kFailed,           // PluginFailed
  kReloadedRunning,  // PluginReloaded with running: the new code has said Ready
  kReloadedIdle,     // PluginReloaded without
  kUnloaded,         // PluginUnloaded
  kDaemonStarted,    // DaemonStarted
};
inline constexpr int kTriggerCount = 11;

// Returns the next state, or nothing when the trigger is not legal in `state`.
std::optional<State> transition(State state, Trigger trigger);

std::string_view name_of(State state);      // "RUNNING"
std::string_view name_of(Trigger trigger);  // the name of the event

}  // namespace liongate::lifecycle
