#include "daemon/manifest_message.h"

#include <nlohmann/json.hpp>

#include "config/manifest_parser.h"

namespace liongate::daemon {

v1::ObserverSettings to_message(const ObserverOptions& options) {
  v1::ObserverSettings message;
  for (const std::string& type : options.types) message.add_types(type);
  message.set_plugin(options.plugin);
  message.set_correlation_id(options.correlation_id);
  message.set_start(options.start);
  message.set_ack_timeout_ms(options.ack_timeout_ms);
  message.set_retries(options.retries);
  message.set_on_error(options.on_error);
  return message;
}

v1::Manifest to_message(const Manifest& manifest) {
  v1::Manifest message;
  message.set_name(manifest.name);
  message.set_version(manifest.version);
  message.set_entry_point(manifest.entry_point);
  for (const std::string& argument : manifest.args) message.add_args(argument);
  for (const Permission& permission : manifest.permissions) message.add_permissions(config::canonical_text(permission));
  message.set_runtime(std::string(config::name_of(manifest.runtime)));
  message.set_role(std::string(config::name_of(manifest.role)));
  message.set_description(manifest.description);
  message.set_author(manifest.author);
  for (const std::string& tag : manifest.tags) message.add_tags(tag);
  v1::ManifestLimits& limits = *message.mutable_limits();
  limits.set_memory_bytes_max(manifest.limits.memory_bytes_max);
  limits.set_cpu_time_ms_max(manifest.limits.cpu_time_ms_max);
  limits.set_wall_time_ms_max(manifest.limits.wall_time_ms_max);
  limits.set_processes_max(manifest.limits.processes_max);
  limits.set_open_files_max(manifest.limits.open_files_max);
  limits.set_cpu_percent_max(manifest.limits.cpu_percent_max);
  limits.set_file_size_bytes_max(manifest.limits.file_size_bytes_max);
  limits.set_tmp_bytes_max(manifest.limits.tmp_bytes_max);
  limits.set_tmp_files_max(manifest.limits.tmp_files_max);
  limits.set_io_bytes_per_second_max(manifest.limits.io_bytes_per_second_max);
  limits.set_output_bytes_max(manifest.limits.output_bytes_max);
  message.mutable_dependencies()->insert(manifest.dependencies.begin(), manifest.dependencies.end());
  message.set_configuration_schema_json(manifest.configuration_schema_json);
  v1::ManifestLog& log = *message.mutable_log();
  for (const std::string& pointer : manifest.log.redact) log.add_redact(pointer);
  if (manifest.log.payload_bytes_max) log.set_payload_bytes_max(*manifest.log.payload_bytes_max);
  for (const std::string& name : manifest.log.secrets) log.add_secrets(name);
  if (manifest.role == Role::kObserver) *message.mutable_observer() = to_message(manifest.observer);
  return message;
}

Result<Manifest> from_message(const v1::Manifest& message, const config::HostCapacity& host) {
  nlohmann::ordered_json json;
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  set("name", message.name());
  set("version", message.version());
  set("entry_point", message.entry_point());
  set("runtime", message.runtime());
  set("role", message.role());
  set("description", message.description());
  set("author", message.author());
  json["permissions"] = std::vector<std::string>(message.permissions().begin(), message.permissions().end());
  if (message.args_size() > 0) json["args"] = std::vector<std::string>(message.args().begin(), message.args().end());
  if (message.tags_size() > 0) json["tags"] = std::vector<std::string>(message.tags().begin(), message.tags().end());
  for (const auto& [name, requirement] : message.dependencies()) json["dependencies"][name] = requirement;
  const v1::ManifestLimits& limits = message.limits();
  const auto set_limit = [&](const char* key, std::uint64_t value) {
    if (value > 0) json["limits"][key] = value;
  };
  set_limit("memory_bytes_max", limits.memory_bytes_max());
  set_limit("cpu_time_ms_max", limits.cpu_time_ms_max());
  set_limit("wall_time_ms_max", limits.wall_time_ms_max());
  set_limit("processes_max", limits.processes_max());
  set_limit("open_files_max", limits.open_files_max());
  set_limit("cpu_percent_max", limits.cpu_percent_max());
  set_limit("file_size_bytes_max", limits.file_size_bytes_max());
  set_limit("tmp_bytes_max", limits.tmp_bytes_max());
  set_limit("tmp_files_max", limits.tmp_files_max());
  set_limit("io_bytes_per_second_max", limits.io_bytes_per_second_max());
  set_limit("output_bytes_max", limits.output_bytes_max());
  const v1::ManifestLog& log = message.log();
  if (log.redact_size() > 0) json["log"]["redact"] = std::vector<std::string>(log.redact().begin(), log.redact().end());
  if (log.has_payload_bytes_max()) json["log"]["payload_bytes_max"] = log.payload_bytes_max();
  if (log.secrets_size() > 0) {
    json["log"]["secrets"] = std::vector<std::string>(log.secrets().begin(), log.secrets().end());
  }
  if (message.has_observer()) {
    const v1::ObserverSettings& observer = message.observer();
    auto& table = json["observer"] = nlohmann::ordered_json::object();
    if (observer.types_size() > 0) {
      table["filter"]["types"] = std::vector<std::string>(observer.types().begin(), observer.types().end());
    }
    if (!observer.plugin().empty()) table["filter"]["plugin"] = observer.plugin();
    if (!observer.correlation_id().empty()) table["filter"]["correlation_id"] = observer.correlation_id();
    const bool is_number = observer.start().find_first_not_of("0123456789") == std::string::npos;
    if (is_number && !observer.start().empty() && observer.start().size() < 19) {
      table["start"] = std::stoll(observer.start());
    } else if (!observer.start().empty()) {
      table["start"] = observer.start();
    }
    if (observer.ack_timeout_ms() > 0) table["ack_timeout_ms"] = observer.ack_timeout_ms();
    if (observer.retries() > 0) table["retries"] = observer.retries();
    if (!observer.on_error().empty()) table["on_error"] = observer.on_error();
  }
  if (!message.configuration_schema_json().empty()) {
    const auto schema = nlohmann::ordered_json::parse(message.configuration_schema_json(), nullptr, false);
    if (schema.is_discarded()) {
      return make_error(Reason::kInvalidManifest, "inline manifest: configuration_schema_json is not JSON");
    }
    json["configuration"] = schema;
  }
  const std::string text = json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return config::parse_manifest(text, config::ManifestFormat::kJson, "inline manifest", host);
}

std::string default_config_json(const std::string& schema_json) {
  const auto schema = nlohmann::ordered_json::parse(schema_json, nullptr, false);
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  if (!schema.is_object() || !schema.contains("properties") || !schema["properties"].is_object()) return "{}";
  for (const auto& [name, property] : schema["properties"].items()) {
    if (property.is_object() && property.contains("default")) config[name] = property["default"];
  }
  return config.dump();
}

}  // namespace liongate::daemon
