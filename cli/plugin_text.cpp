#include "cli/plugin_text.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include "cli/plain_text.h"
#include "cli/table.h"

namespace liongate::cli {
namespace {

constexpr std::size_t kShortIdBytes = 36;

template <typename Texts>
std::string joined(const Texts& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

std::string percent_text(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", ratio * 100);
  return text;
}

std::string uptime_text(double seconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

std::string limits_text(const v1::ManifestLimits& limits) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (limits.memory_bytes_max() != 0) add("memory " + bytes_text(limits.memory_bytes_max()));
  if (limits.cpu_time_ms_max() != 0) add("cpu " + std::to_string(limits.cpu_time_ms_max()) + " ms");
  if (limits.wall_time_ms_max() != 0) add("wall " + std::to_string(limits.wall_time_ms_max()) + " ms");
  if (limits.processes_max() != 0) add("processes " + std::to_string(limits.processes_max()));
  if (limits.open_files_max() != 0) add("open files " + std::to_string(limits.open_files_max()));
  if (limits.cpu_percent_max() != 0) add("cpu share " + std::to_string(limits.cpu_percent_max()) + " %");
  if (limits.file_size_bytes_max() != 0) add("file " + bytes_text(limits.file_size_bytes_max()));
  if (limits.tmp_bytes_max() != 0) add("/tmp " + bytes_text(limits.tmp_bytes_max()));
  if (limits.tmp_files_max() != 0) add("/tmp files " + std::to_string(limits.tmp_files_max()));
  if (limits.io_bytes_per_second_max() != 0) add("disk " + bytes_text(limits.io_bytes_per_second_max()) + "/s");
  if (limits.output_bytes_max() != 0) add("output " + bytes_text(limits.output_bytes_max()));
  return out;
}

std::string reason_text(const v1::Plugin& plugin) {
  if (plugin.state_reason().empty()) return plugin.state_message();
  return plugin.state_reason() + (plugin.state_message().empty() ? "" : ": " + plugin.state_message());
}

void add_observer(Sheet& sheet, const v1::Plugin& plugin) {
  const v1::ObserverStatus& status = plugin.observer();
  const v1::ObserverSettings& settings = plugin.manifest().observer();
  std::string shown = settings.types().empty() ? "all events" : joined(settings.types());
  if (!settings.plugin().empty()) shown += " of plugin " + settings.plugin();
  if (!settings.correlation_id().empty()) shown += " of call " + settings.correlation_id();
  sheet.add("listed in", status.listed_in());
  sheet.add("shown", shown);
  sheet.add("cursor",
            "event " + std::to_string(status.cursor_seq()) + ", " + std::to_string(status.lag_events()) + " behind");
  sheet.add("events", std::to_string(status.events_sent()) + " sent, " + std::to_string(status.events_acknowledged()) +
                          " acknowledged, " + std::to_string(status.events_missed()) + " missed");
  sheet.add("startup", status.startup_error());
}

}  // namespace

std::string state_text(v1::PluginState state) {
  static constexpr std::string_view kPrefix = "PLUGIN_STATE_";
  std::string name = v1::PluginState_Name(state);
  if (!name.starts_with(kPrefix)) return "state " + std::to_string(static_cast<int>(state));
  name.erase(0, kPrefix.size());
  for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return name;
}

void print_plugins(Context& context, const google::protobuf::RepeatedPtrField<v1::Plugin>& plugins) {
  Table table({"ID", "NAME", "VERSION", "STATE", "RUNTIME", "ROLE", "CALLS", "FAILED", "RESTARTS", "CURSOR", "LAG"});
  for (const v1::Plugin& plugin : plugins) {
    const bool observes = plugin.has_observer();
    table.add({one_line(plugin.plugin_id(), kShortIdBytes), plugin.name(), plugin.version(), state_text(plugin.state()),
               plugin.manifest().runtime(), observes ? "observer" : "callable",
               std::to_string(plugin.statistics().calls_started()), std::to_string(plugin.statistics().calls_failed()),
               std::to_string(plugin.restart_count()), observes ? std::to_string(plugin.observer().cursor_seq()) : "",
               observes ? std::to_string(plugin.observer().lag_events()) : ""});
  }
  table.flush(context);
}

void print_plugin(Context& context, const v1::Plugin& plugin) {
  const v1::PluginStatistics& statistics = plugin.statistics();
  Sheet sheet;
  sheet.add("id", plugin.plugin_id());
  sheet.add("name", plugin.name());
  sheet.add("version", plugin.version());
  sheet.add("state", state_text(plugin.state()));
  sheet.add("reason", reason_text(plugin));
  sheet.add("description", plugin.manifest().description());
  sheet.add("author", plugin.manifest().author());
  sheet.add("tags", joined(plugin.manifest().tags()));
  sheet.add("runtime", plugin.manifest().runtime());
  sheet.add("role", plugin.manifest().role());
  sheet.add("entry point", plugin.manifest().entry_point());
  sheet.add("permissions", plugin.manifest().permissions().empty() ? "none" : joined(plugin.manifest().permissions()));
  sheet.add("limits", limits_text(plugin.manifest().limits()));
  sheet.add("folder", plugin.folder());
  sheet.add("digest", plugin.digest_sha256());
  sheet.add("loaded", time_text(plugin.load_time()));
  sheet.add("started", time_text(plugin.start_time()));
  sheet.add("instance", plugin.instance_id());
  sheet.add("pid", plugin.pid() == 0 ? "" : std::to_string(plugin.pid()));
  sheet.add("operations", joined(plugin.operations()));
  sheet.add("capabilities", joined(plugin.capabilities()));
  sheet.add("concurrency", plugin.concurrency() == 0 ? "" : std::to_string(plugin.concurrency()));
  sheet.add("restarts", std::to_string(plugin.restart_count()));
  if (plugin.has_observer()) add_observer(sheet, plugin);
  sheet.add("calls", std::to_string(statistics.calls_started()) + " started, " +
                         std::to_string(statistics.calls_completed()) + " completed, " +
                         std::to_string(statistics.calls_failed()) + " failed, " +
                         std::to_string(statistics.calls_running()) + " running, " +
                         std::to_string(statistics.calls_queued()) + " queued");
  sheet.write(context);
  if (plugin.posture().mechanisms().empty()) return;
  context.out << '\n';
  Table table({"CONFINED BY", "STATE", "DETAIL"});
  for (const v1::MechanismState& mechanism : plugin.posture().mechanisms()) {
    table.add({mechanism.name(), mechanism.state(), mechanism.detail()});
  }
  table.flush(context);
  if (plugin.posture().steps().empty()) return;
  context.out << '\n';
  Table steps({"STEP OF THE START", "MICROSECONDS"});
  for (const v1::StartStep& step : plugin.posture().steps()) {
    steps.add({step.step(), std::to_string(step.duration_us())});
  }
  steps.flush(context);
}

void print_health(Context& context, const v1::GetPluginHealthResponse& health) {
  Sheet sheet;
  sheet.add("id", health.plugin_id());
  sheet.add("health", health.healthy() ? "healthy" : "unhealthy");
  sheet.add("state", state_text(health.state()));
  const std::string& detail = health.detail();
  const std::size_t end = detail.find('\n');
  sheet.add("detail", detail.substr(0, end));
  sheet.add("uptime", uptime_text(health.uptime_s()));
  if (!health.is_observer()) {  // which takes no calls
    sheet.add("success rate", percent_text(health.success_rate()));
    sheet.add("error rate", percent_text(health.error_rate()));
    sheet.add("average time", milliseconds_text(health.average_execution_time_ms()));
  }
  sheet.add("memory", bytes_text(health.memory_used_bytes()));
  sheet.add("restarts", std::to_string(health.restart_count()));
  sheet.write(context);
  if (end == std::string::npos) return;
  context.out << '\n';  // what a plugin says in several lines is a page of its own
  for (std::size_t at = end + 1; at < detail.size();) {
    const std::size_t next = std::min(detail.find('\n', at), detail.size());
    context.out << one_line(detail.substr(at, next - at)) << '\n';
    at = next + 1;
  }
}

void print_log_entry(std::ostream& out, const v1::LogEntry& entry) {
  if (entry.dropped_before() != 0) out << "... " << entry.dropped_before() << " lines lost here ...\n";
  out << time_text(entry.time()) << "  " << one_line(entry.source());
  if (!entry.level().empty()) out << '/' << one_line(entry.level());
  out << "  " << one_line(entry.line()) << '\n';
}

}  // namespace liongate::cli
