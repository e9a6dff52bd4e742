// Throws bytes at the manifest parser in all three formats, and at the daemon's configuration: they may be refused, in
// words that fit a log and a terminal, but nothing may crash, hang or leak.
#include <cstdint>
#include <string_view>

#include "config/daemon_config.h"
#include "config/document.h"
#include "config/manifest_parser.h"
#include "kernel/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace liongate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto format :
       {config::ManifestFormat::kToml, config::ManifestFormat::kJson, config::ManifestFormat::kYaml}) {
    const Result<Manifest> manifest = config::parse_manifest(text, format, "fuzz");
    if (!manifest) {
      LG_ASSERT(!manifest.error().message.empty());
      LG_ASSERT(config::is_utf8(manifest.error().message));
      continue;
    }
    LG_ASSERT(!manifest->name.empty() && !manifest->version.empty() && !manifest->entry_point.empty());
    // What was accepted as a schema is JSON that we read ourselves.
    const config::Document schema = config::read_json(
        manifest->configuration_schema_json.empty() ? "{}" : std::string_view(manifest->configuration_schema_json));
    LG_ASSERT(std::holds_alternative<config::Node>(schema));
  }
  config::DaemonConfig defaults;
  defaults.state_dir = "/state";
  defaults.socket = "/socket";
  const Result<config::DaemonConfig> daemon = config::parse_daemon_config(text, "fuzz", defaults);
  if (daemon) {
    const std::string yaml = config::to_yaml(*daemon);
    const Result<config::DaemonConfig> again = config::parse_daemon_config(yaml, "again", {});
    LG_ASSERT(again.has_value() && config::to_yaml(*again) == yaml);
  }
  return 0;
}
