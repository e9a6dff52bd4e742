// Throws bytes at the parser of plugins.yaml: they may be refused, in words that fit a log and a terminal; what is
// accepted is a list of plugins with names and modules that can be looked for, and written out it means the same.
#include <cstdint>
#include <set>
#include <string_view>

#include "config/document.h"
#include "config/manifest_rules.h"
#include "config/plugins_file.h"
#include "kernel/base/assert.h"
#include "kernel/base/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace liongate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<config::PluginsFile> file = config::parse_plugins_file(text, "/etc/liongate/plugins.yaml");
  if (!file) {
    LG_ASSERT(!file.error().message.empty());
    LG_ASSERT(config::is_utf8(file.error().message));
    return 0;
  }
  LG_ASSERT(file->entries.size() <= limits::kPluginsFileEntriesMax);
  std::set<std::string> ids;
  for (const config::PluginsFileEntry& entry : file->entries) {
    LG_ASSERT(config::is_plugin_name(entry.id) && ids.insert(entry.id).second);
    LG_ASSERT(config::parse_module_name(entry.module, "/etc/liongate").has_value());
    LG_ASSERT(entry.config_json.starts_with('{') && entry.config_json.size() <= limits::kPluginConfigBytesMax);
  }
  const Result<config::PluginsFile> again = config::parse_plugins_file(to_yaml(*file), "/etc/liongate/plugins.yaml");
  LG_ASSERT(again.has_value() && again->entries.size() == file->entries.size());
  return 0;
}
