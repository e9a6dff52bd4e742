#include "cli/manifest_file.h"

#include <unistd.h>

#include <filesystem>

#include "config/host_capacity.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::cli {

v1::Manifest message_of(const Manifest& manifest) {
  v1::Manifest message;
  message.set_name(manifest.name);
  message.set_version(manifest.version);
  message.set_entry_point(manifest.entry_point);
  for (const std::string& argument : manifest.args) message.add_args(argument);
  for (const Permission& permission : manifest.permissions) message.add_permissions(permission.text);
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
  for (const auto& [name, requirement] : manifest.dependencies) (*message.mutable_dependencies())[name] = requirement;
  message.set_configuration_schema_json(manifest.configuration_schema_json);
  return message;
}

Result<Manifest> read_manifest(const std::string& path) {
  Result<std::string> text = sys::read_file(path, limits::kManifestBytesMax);
  if (!text) {
    if (text.error().sys_errno == 0) return make_error(Reason::kInvalidManifest, text.error().message);
    return make_errno_error(Reason::kInvalidManifest, "cannot read it", text.error().sys_errno);
  }
  // The rlimits of whoever asks are not the daemon's; memory and CPUs are the host's.
  const config::HostCapacity all = config::host_capacity();
  const config::HostCapacity host{.memory_bytes = all.memory_bytes, .cpu_percent = all.cpu_percent};
  return config::parse_manifest(*text, config::format_of(path), path, host);
}

std::string find_entry_point(const Manifest& manifest, const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  for (const std::string& candidate : config::entry_point_candidates(manifest)) {
    if (::access((folder / candidate).c_str(), F_OK) == 0) return (folder / candidate).lexically_normal().string();
  }
  return "";
}

}  // namespace liongate::cli
