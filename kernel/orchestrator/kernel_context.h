// What the parts of the orchestrator share: references made once in the orchestrator, passed down, never global.
//
// Ownership and thread: owned by the orchestrator and outlived by nothing that uses it; kernel thread.
#pragma once

#include <boost/asio/io_context.hpp>

#include "kernel/base/clock.h"
#include "kernel/observation/observation.h"
#include "kernel/orchestrator/call.h"
#include "kernel/orchestrator/journal.h"
#include "kernel/orchestrator/secret_delivery.h"
#include "kernel/policy/policy.h"
#include "kernel/policy/secrets.h"
#include "kernel/registry/plugin_inspector.h"
#include "kernel/registry/registry.h"
#include "kernel/supervision/launcher.h"
#include "kernel/supervision/plugin_log.h"

namespace liongate::orchestrator {

// What the operator configures; may be replaced while running (reload of the configuration).
struct Settings {
  int invoke_timeout_ms = limits::kInvokeTimeoutMsDefault;
  int ready_timeout_ms = limits::kReadyTimeoutMs;
  int stop_grace_ms = limits::kStopGraceMs;
  Durability durability = Durability::kDurable;
  policy::Policy policy;
  std::uint64_t snapshot_every_events = limits::kSnapshotEventsDefault;
  std::uint64_t snapshot_every_bytes = limits::kSnapshotLogBytesDefault;
  std::uint64_t log_retention_bytes_max = 0;  // 0: no bound
  std::size_t payload_bytes_max = limits::kEventPayloadBytesMax;
  std::int64_t log_retention_age_max_ms = 0;  // 0: no bound
};

struct KernelContext {
  boost::asio::io_context& io;
  const Clock& clock;
  supervision::Launcher& launcher;
  registry::PluginInspector& inspector;
  registry::Registry& registry;
  Journal& journal;
  policy::Secrets& secrets;
  SecretDelivery& secret_delivery;
  observation::Observation* observation;  // null: observers are not offered
  Settings settings;
};

// The log of a plugin; secrets are hidden in it as they are in events.
inline std::shared_ptr<supervision::PluginLog> make_plugin_log(const KernelContext& context) {
  return std::make_shared<supervision::PluginLog>(
      context.clock, [&secrets = context.secrets](std::string text) { return secrets.hidden(std::move(text)); });
}

}  // namespace liongate::orchestrator
