#include "cli/event_text.h"

#include "cli/plain_text.h"

namespace liongate::cli {
namespace {

constexpr std::size_t kPreviewBytesMax = 60;

std::string content_text(const v1::Content& content) {
  if (!content.sha256().empty()) {
    return bytes_text(content.size_bytes()) + ", sha256 " + content.sha256().substr(0, 12) + "...";
  }
  if (content.kind_case() == v1::Content::kData) return bytes_text(content.data().size()) + " of data";
  return "\"" + one_line(content.text(), kPreviewBytesMax) + "\"";
}

std::string reason_and_message(const std::string& reason, const std::string& message) {
  return reason + (reason.empty() || message.empty() ? "" : ": ") + message;
}

std::string exit_text(const v1::ExitStatus& exit) {
  std::string out = exit.kind();
  if (exit.kind() == "exited") out += " " + std::to_string(exit.exit_code());
  if (exit.kind() == "signalled") out += " by " + std::to_string(exit.signal());
  return exit.detail().empty() ? out : out + " (" + exit.detail() + ")";
}

std::string posture_text(const v1::Posture& posture) {
  std::string missing;
  int active = 0;
  for (const v1::MechanismState& mechanism : posture.mechanisms()) {
    if (mechanism.state() == "active") ++active;
    if (mechanism.state() == "absent") missing += (missing.empty() ? "; absent: " : ", ") + mechanism.name();
  }
  return std::to_string(active) + " mechanisms active" + missing;
}

std::string invoked_text(const v1::PluginInvoked& invoked) {
  const std::string operation = invoked.operation().empty() ? "" : invoked.operation() + " ";
  return operation + content_text(invoked.input());
}

// "process by policy.yaml:3, env:HOME by default".
std::string grants_text(const google::protobuf::RepeatedPtrField<v1::PermissionGrant>& grants) {
  std::string out;
  for (const v1::PermissionGrant& grant : grants) {
    out += (out.empty() ? "" : ", ") + grant.permission() + " by " + grant.rule();
  }
  return out;
}

std::string loaded_text(const v1::PluginLoaded& loaded) {
  const std::string from = loaded.manifest_path().empty() ? loaded.folder() : loaded.manifest_path();
  std::string out = loaded.manifest().version() + " from " + from + (loaded.start() ? "" : ", not started");
  if (!loaded.grants().empty()) out += "; " + grants_text(loaded.grants());
  if (!loaded.accepted_permissions().empty()) {
    out += "; accepted:";
    for (const std::string& permission : loaded.accepted_permissions()) out += " " + permission;
  }
  return out;
}

std::string removed_text(const v1::LogSegmentsRemoved& removed) {
  return "events " + std::to_string(removed.first_seq()) + " to " + std::to_string(removed.last_seq()) + ", " +
         bytes_text(removed.size_bytes()) + ", for their " + removed.reason();
}

std::string keys_text(const v1::DaemonConfigChanged& changed) {
  std::string out;
  for (const std::string& key : changed.changed_keys()) out += (out.empty() ? "" : ", ") + key;
  for (const std::string& key : changed.restart_keys()) out += (out.empty() ? "" : ", ") + key + " (at a restart)";
  return out;
}

std::string jump_text(const v1::ClockJumped& jump) {
  const auto seconds = jump.found().seconds() - jump.expected().seconds();
  return seconds > 0 ? std::to_string(seconds) + " s forward" : std::to_string(-seconds) + " s back";
}

// What was refused to a plugin's own code says itself which permission it needs.
std::string denial_text(const v1::PermissionDenied& denial) {
  if (denial.rule().rfind("system call filter", 0) != 0) return denial.permission() + " " + denial.message();
  return denial.message() + (denial.arguments().empty() ? "" : " (" + denial.arguments() + ")");
}

std::string gap_text(std::uint64_t first_seq, std::uint64_t last_seq, std::uint64_t count) {
  return std::to_string(count) + " events, " + std::to_string(first_seq) + " to " + std::to_string(last_seq) +
         ", were removed before it came to them";
}

std::string plugins_file_text(const v1::PluginsFileRead& read) {
  if (!read.error().empty()) return read.path() + " is refused: " + read.error();
  return read.path() + ": " + std::to_string(read.added_size()) + " added, " + std::to_string(read.changed_size()) +
         " changed, " + std::to_string(read.removed_size()) + " removed";
}

std::string delivery_text(const v1::SecretDelivered& delivered) {
  const bool is_asked_for = delivered.how() == "host_call";
  return delivered.name() + " from its " + delivered.source() + (is_asked_for ? ", asked for" : ", as a file");
}

std::string host_text(const std::string& host, std::uint32_t port) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string opened_text(const v1::NetworkFlowOpened& opened) {
  const std::string led_to = opened.address() == opened.host() ? "" : ", at " + opened.address();
  return opened.protocol() + " to " + host_text(opened.host(), opened.port()) + led_to;
}

std::string closed_text(const v1::NetworkFlowClosed& closed) {
  return host_text(closed.host(), closed.port()) + " " + closed.reason() + ": " + bytes_text(closed.bytes_out()) +
         " out, " + bytes_text(closed.bytes_in()) + " in, " + std::to_string(closed.duration_ms()) + " ms";
}

// Events about the daemon and its log.
std::string system_detail(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kDaemonStarted:
      return event.daemon_started().version() + ", " + event.daemon_started().environment();
    case v1::Event::kDaemonStopping:
      return event.daemon_stopping().reason();
    case v1::Event::kLogRecovered:
      return bytes_text(event.log_recovered().bytes_dropped()) + " of a torn tail cut off " +
             event.log_recovered().segment() + " at " + std::to_string(event.log_recovered().offset());
    case v1::Event::kSnapshotTaken:
      return "of event " + std::to_string(event.snapshot_taken().at_seq()) + ", " +
             bytes_text(event.snapshot_taken().size_bytes());
    case v1::Event::kLogSegmentsRemoved:
      return removed_text(event.log_segments_removed());
    case v1::Event::kDaemonConfigChanged:
      return keys_text(event.daemon_config_changed());
    case v1::Event::kClockJumped:
      return jump_text(event.clock_jumped());
    case v1::Event::kPermissionDenied:
      return denial_text(event.permission_denied());
    case v1::Event::kNetworkFlowOpened:
      return opened_text(event.network_flow_opened());
    case v1::Event::kNetworkFlowClosed:
      return closed_text(event.network_flow_closed());
    case v1::Event::kPermissionsGranted:
      return grants_text(event.permissions_granted().grants());
    case v1::Event::kPermissionOverridden:
      return event.permission_overridden().permission() +
             (event.permission_overridden().granted() ? " granted" : " revoked");
    case v1::Event::kObserverGap:
      return gap_text(event.observer_gap().first_missing_seq(), event.observer_gap().last_missing_seq(),
                      event.observer_gap().count());
    case v1::Event::kObserverCursorReset:
      return event.observer_cursor_reset().message() + "; it begins with event " +
             std::to_string(event.observer_cursor_reset().start_seq());
    case v1::Event::kPluginsFileRead:
      return plugins_file_text(event.plugins_file_read());
    case v1::Event::kSecretDelivered:
      return delivery_text(event.secret_delivered());
    case v1::Event::kSandboxPosture:
      return posture_text(event.sandbox_posture().posture());
    default:
      return "";
  }
}

}  // namespace

std::string event_detail(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kPluginLoaded:
      return loaded_text(event.plugin_loaded());
    case v1::Event::kPluginReloaded:
      return loaded_text(event.plugin_reloaded().loaded());
    case v1::Event::kPluginLoadFailed:
      return reason_and_message(event.plugin_load_failed().reason(), event.plugin_load_failed().message());
    case v1::Event::kPluginStarted:
      return "ready after " + milliseconds_text(event.plugin_started().start_time_ms());
    case v1::Event::kPluginStopping:
      return event.plugin_stopping().reason();
    case v1::Event::kPluginStopped:
      return exit_text(event.plugin_stopped().exit());
    case v1::Event::kPluginFailed:
      return reason_and_message(event.plugin_failed().reason(), event.plugin_failed().message());
    case v1::Event::kInstanceCreated:
      return "";
    case v1::Event::kInstanceCrashed:
      return reason_and_message(exit_text(event.instance_crashed().exit()), event.instance_crashed().message());
    case v1::Event::kInstanceRestarted:
      return "attempt " + std::to_string(event.instance_restarted().attempt());
    case v1::Event::kPluginInvoked:
      return invoked_text(event.plugin_invoked());
    case v1::Event::kPluginResult:
      return content_text(event.plugin_result().output()) + " in " +
             milliseconds_text(event.plugin_result().figures().execution_time_ms());
    case v1::Event::kPluginError:
      return reason_and_message(event.plugin_error().reason(), event.plugin_error().message());
    case v1::Event::kPluginLog:
      return reason_and_message(event.plugin_log().level(), event.plugin_log().message());
    case v1::Event::kPluginConfigChanged:
      return one_line(event.plugin_config_changed().config_json(), kPreviewBytesMax);
    default:
      return system_detail(event);
  }
}

std::string summary_text(const v1::SummarizeEventsResponse& summary) {
  std::string out;
  const auto add = [&](const char* name, std::uint64_t count) {
    out += std::string(name) + ": " + std::to_string(count) + "\n";
  };
  add("plugins_invoked", summary.plugins_invoked());
  add("plugins_completed", summary.plugins_completed());
  add("plugins_failed", summary.plugins_failed());
  add("tasks_submitted", summary.tasks_submitted());
  add("tasks_completed", summary.tasks_completed());
  add("tasks_failed", summary.tasks_failed());
  return out;
}

}  // namespace liongate::cli
