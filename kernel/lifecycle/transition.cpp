#include "kernel/lifecycle/transition.h"

#include <array>

namespace liongate::lifecycle {
namespace {

struct Row {
  State from;
  Trigger trigger;
  State to;
};

using S = State;
using T = Trigger;

constexpr std::array kTable = {
    Row{S::kAbsent, T::kLoaded, S::kCreated},

    Row{S::kCreated, T::kInstanceCreated, S::kStarting},
    Row{S::kCreated, T::kStarted, S::kRunning},  // a command has no process of its own
    Row{S::kCreated, T::kStopped, S::kStopped},  // stopped before it was started
    Row{S::kCreated, T::kFailed, S::kFailed},
    Row{S::kCreated, T::kReloadedRunning, S::kRunning},
    Row{S::kCreated, T::kReloadedIdle, S::kCreated},
    Row{S::kCreated, T::kUnloaded, S::kUnloaded},
    Row{S::kCreated, T::kDaemonStarted, S::kCreated},

    Row{S::kStarting, T::kStarted, S::kRunning},
    Row{S::kStarting, T::kStopping, S::kStopping},
    Row{S::kStarting, T::kCrashed, S::kCrashed},
    Row{S::kStarting, T::kFailed, S::kFailed},
    Row{S::kStarting, T::kUnloaded, S::kUnloaded},
    Row{S::kStarting, T::kDaemonStarted, S::kCreated},

    Row{S::kRunning, T::kStopping, S::kStopping},
    Row{S::kRunning, T::kCrashed, S::kCrashed},
    Row{S::kRunning, T::kFailed, S::kFailed},
    Row{S::kRunning, T::kReloadedRunning, S::kRunning},
    Row{S::kRunning, T::kUnloaded, S::kUnloaded},
    Row{S::kRunning, T::kDaemonStarted, S::kCreated},

    Row{S::kStopping, T::kStopped, S::kStopped},
    Row{S::kStopping, T::kUnloaded, S::kUnloaded},
    Row{S::kStopping, T::kDaemonStarted, S::kStopped},

    Row{S::kStopped, T::kInstanceCreated, S::kStarting},
    Row{S::kStopped, T::kStarted, S::kRunning},
    Row{S::kStopped, T::kFailed, S::kFailed},
    Row{S::kStopped, T::kReloadedRunning, S::kRunning},
    Row{S::kStopped, T::kReloadedIdle, S::kStopped},
    Row{S::kStopped, T::kUnloaded, S::kUnloaded},
    Row{S::kStopped, T::kDaemonStarted, S::kStopped},

    Row{S::kCrashed, T::kInstanceCreated, S::kStarting},
    Row{S::kCrashed, T::kStopped, S::kStopped},
    Row{S::kCrashed, T::kFailed, S::kFailed},
    Row{S::kCrashed, T::kReloadedRunning, S::kRunning},
    Row{S::kCrashed, T::kUnloaded, S::kUnloaded},
    Row{S::kCrashed, T::kDaemonStarted, S::kCreated},

    Row{S::kFailed, T::kInstanceCreated, S::kStarting},
    Row{S::kFailed, T::kStarted, S::kRunning},
    Row{S::kFailed, T::kFailed, S::kFailed},
    Row{S::kFailed, T::kStopped, S::kStopped},
    Row{S::kFailed, T::kReloadedRunning, S::kRunning},
    Row{S::kFailed, T::kReloadedIdle, S::kFailed},
    Row{S::kFailed, T::kUnloaded, S::kUnloaded},
    Row{S::kFailed, T::kDaemonStarted, S::kFailed},
};

constexpr std::array<std::string_view, kStateCount> kStateNames = {
    "ABSENT", "CREATED", "STARTING", "RUNNING", "STOPPING", "STOPPED", "CRASHED", "FAILED", "UNLOADED"};

constexpr std::array<std::string_view, kTriggerCount> kTriggerNames = {
    "PluginLoaded", "InstanceCreated", "PluginStarted",  "PluginStopping", "PluginStopped", "InstanceCrashed",
    "PluginFailed", "PluginReloaded",  "PluginReloaded", "PluginUnloaded", "DaemonStarted"};

using Matrix = std::array<std::array<std::uint8_t, kTriggerCount>, kStateCount>;
constexpr std::uint8_t kIllegal = 255;

constexpr Matrix make_matrix() {
  Matrix matrix{};
  for (auto& row : matrix) row.fill(kIllegal);
  for (const Row& row : kTable) {
    matrix[static_cast<std::size_t>(row.from)][static_cast<std::size_t>(row.trigger)] =
        static_cast<std::uint8_t>(row.to);
  }
  return matrix;
}
constexpr Matrix kMatrix = make_matrix();

constexpr bool has_no_duplicate_rows() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    for (std::size_t j = i + 1; j < kTable.size(); ++j) {
      if (kTable[i].from == kTable[j].from && kTable[i].trigger == kTable[j].trigger) return false;
    }
  }
  return true;
}
static_assert(has_no_duplicate_rows(), "a state and a trigger have one outcome");

}  // namespace

std::optional<State> transition(State state, Trigger trigger) {
  const std::uint8_t to = kMatrix[static_cast<std::size_t>(state)][static_cast<std::size_t>(trigger)];
  if (to == kIllegal) return std::nullopt;
  return static_cast<State>(to);
}

std::string_view name_of(State state) {
  return kStateNames[static_cast<std::size_t>(state)];
}
std::string_view name_of(Trigger trigger) {
  return kTriggerNames[static_cast<std::size_t>(trigger)];
}

}  // namespace liongate::lifecycle
