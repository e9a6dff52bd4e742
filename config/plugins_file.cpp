#include "config/plugins_file.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>

#include "config/document.h"
#include "config/faults.h"
#include "config/manifest_parser.h"
#include "config/manifest_rules.h"
#include "config/observer_options.h"
#include "config/trusted_file.h"
#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"

namespace liongate::config {
namespace {

namespace fs = std::filesystem;

// Its keys, a filter of some types, permissions, limits, and a configuration of its own.
constexpr std::size_t kNodesPerEntryMax = 200;
constexpr std::size_t kNodesMax = limits::kPluginsFileEntriesMax * kNodesPerEntryMax;
constexpr const char* kEntryExample = "write - {id: my_observer, module: \"my_package.my_module.MyObserver\"}";
constexpr const char* kModuleForms =
    "write package.module.Class, path/file.py:Class, or the path of a manifest (path/manifest.toml)";

bool is_identifier(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  return !text.empty() && is_letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

std::string absolute_in(const std::string& folder, const std::string& path) {
  const fs::path given(path);
  return (given.is_absolute() ? given : fs::path(folder) / given).lexically_normal().string();
}

Error bad_module(const std::string& text, const std::string& why) {
  return make_error(Reason::kBadModulePath, "`" + text + "` " + why).with_hint(kModuleForms);
}

bool names_manifest(const std::string& text) {
  return std::ranges::any_of(std::initializer_list<std::string_view>{".toml", ".json", ".yaml", ".yml"},
                             [&](std::string_view ending) { return text.ends_with(ending); });
}

class PluginsReader {
 public:
  PluginsReader(const Node& root, const std::string& path)
      : faults_(path, Reason::kInvalidConfig), root_(root, "", faults_), folder_(fs::path(path).parent_path()) {
    file_.path = path;
  }

  Result<PluginsFile> read() {
    if (const auto strict = root_.boolean("strict_plugins")) file_.strict = *strict;
    read_module_path();
    read_defaults();
    read_entries();
    read_order();
    refuse_unknown_keys(root_);
    if (!faults_.empty()) return faults_.to_error();
    return std::move(file_);
  }

 private:
  void read_module_path() {
    file_.module_folders.push_back(folder_.string());
    const auto folders = root_.texts("module_path", limits::kModuleFoldersMax);
    if (!folders) return;
    for (const std::string& folder : *folders) {
      if (folder.empty()) {
        root_.fault(*root_.get("module_path"), "module_path", "has an empty folder", "name a folder, or remove it");
        continue;
      }
      std::string path = absolute_in(folder_.string(), folder);
      while (path.size() > 1 && path.back() == '/') path.pop_back();
      file_.module_folders.push_back(std::move(path));
    }
  }

  void read_defaults() {
    const Node* node = root_.get("defaults");
    if (node == nullptr || node->is(NodeKind::kNull)) return;
    if (!node->is(NodeKind::kTable)) {
      root_.fault(*node, "defaults", "must be a table, not " + std::string(describe(node->kind)),
                  "write defaults: {retries: 3}");
      return;
    }
    TableReader reader(*node, "defaults.", faults_);
    read_observer_options(reader, faults_, defaults_);
    refuse_unknown_keys(reader);
  }

  void read_entries() {
    const Node* list = root_.get("plugins");
    if (list == nullptr || list->is(NodeKind::kNull)) return;
    if (!list->is(NodeKind::kList)) {
      root_.fault(*list, "plugins", "must be a list of plugins, not " + std::string(describe(list->kind)),
                  kEntryExample);
      return;
    }
    if (list->items.size() > limits::kPluginsFileEntriesMax) {
      root_.fault(*list, "plugins",
                  "has " + std::to_string(list->items.size()) + " entries, at most " +
                      std::to_string(limits::kPluginsFileEntriesMax) + " are allowed",
                  "remove what is not needed");
      return;
    }
    for (std::size_t i = 0; i < list->items.size(); ++i) read_entry(list->items[i], i);
  }

  void read_entry(const Node& node, std::size_t index) {
    const std::string numbered = "plugins[" + std::to_string(index) + "]";
    if (!node.is(NodeKind::kTable)) {
      faults_.add(node.line, numbered, "must be a plugin, not " + std::string(describe(node.kind)), kEntryExample);
      return;
    }
    const Node* id = node.find("id");
    const bool has_name = id != nullptr && id->is(NodeKind::kString) && is_plugin_name(id->text);
    // A fault names the plugin wherever it has a name.
    TableReader reader(node, (has_name ? "plugins[" + id->text + "]" : numbered) + ".", faults_);
    PluginsFileEntry entry;
    entry.line = node.line;
    entry.observer = defaults_;
    read_id(reader, node, entry);
    read_module(reader, node, entry);
    if (const auto enabled = reader.boolean("enabled")) entry.enabled = *enabled;
    read_config(reader, entry);
    read_role(reader);
    if (const auto text = reader.text("description", kDescriptionBytesMax)) entry.description = *text;
    read_observer_options(reader, faults_, entry.observer);
    read_permissions(reader, entry);
    read_limits(reader, entry);
    refuse_unknown_keys(reader);
    keep(std::move(entry));
  }

  void read_id(TableReader& reader, const Node& node, PluginsFileEntry& entry) {
    const Node* value = reader.get("id");
    if (value == nullptr) {
      faults_.add(node.line, reader.field("id"), "is missing", "give it a name of its own: id: my_observer");
      return;
    }
    const auto id = reader.text("id", kVersionBytesMax);
    if (!id) return;
    if (!is_plugin_name(*id)) {
      const std::string near = plugin_name_from(*id);
      reader.fault(*value, "id", "`" + *id + "` is not a plugin's name",
                   near.empty() ? "use lower-case letters, digits, - and _" : "write `" + near + "`");
      return;
    }
    entry.id = *id;
  }

  void read_module(TableReader& reader, const Node& node, PluginsFileEntry& entry) {
    if (reader.get("module") == nullptr) {
      faults_.add(node.line, reader.field("module"), "is missing", kModuleForms);
      return;
    }
    const auto text = reader.text("module", limits::kModulePathBytesMax);
    if (!text) return;
    entry.module = *text;
    const Result<ModuleName> module = parse_module_name(*text, folder_.string());
    if (module) return;
    faults_.add(reader.get("module")->line, reader.field("module"), module.error().message, module.error().hint,
                Reason::kBadModulePath);
  }

  static void read_config(TableReader& reader, PluginsFileEntry& entry) {
    const Node* node = reader.get("config");
    if (node == nullptr || node->is(NodeKind::kNull)) return;
    if (!node->is(NodeKind::kTable)) {
      reader.fault(*node, "config", "must be a table, not " + std::string(describe(node->kind)),
                   "write config: {sample_rate: 0.1}, or leave it out");
      return;
    }
    entry.config_json = to_json(*node);
    if (entry.config_json.size() > limits::kPluginConfigBytesMax) {
      reader.fault(*node, "config",
                   "is longer than " + std::to_string(limits::kPluginConfigBytesMax) + " bytes as JSON",
                   "put what is large into a file that the plugin may read");
    }
  }

  // What other hosts of such files call it; there is one kind here.
  static void read_role(TableReader& reader) {
    for (const std::string_view key : {"type", "role"}) {
      const auto word = reader.text(key, kVersionBytesMax);
      if (!word || *word == "observer") continue;
      reader.fault(*reader.get(key), key, "`" + *word + "` is not a kind of plugin that plugins.yaml lists",
                   "write observer, or leave it out; what takes calls is loaded with `liongatectl load-plugin`");
    }
  }

  void read_permissions(TableReader& reader, PluginsFileEntry& entry) {
    const Node* node = reader.get("permissions");
    if (node == nullptr) return;
    const auto texts = reader.texts("permissions", limits::kPermissionsMax);
    if (!texts) return;
    for (std::size_t i = 0; i < texts->size(); ++i) {
      const Result<Permission> permission = parse_permission((*texts)[i]);
      if (permission) continue;
      faults_.add(node->items[i].line, reader.field("permissions"), permission.error().message,
                  permission.error().hint);
    }
    entry.permissions = *texts;
  }

  void read_limits(TableReader& reader, PluginsFileEntry& entry) {
    const Node* node = reader.get("limits");
    if (node == nullptr) return;
    if (!node->is(NodeKind::kTable)) {
      reader.fault(*node, "limits", "must be a table, not " + std::string(describe(node->kind)),
                   "write limits: {memory_bytes_max: 268435456}");
      return;
    }
    TableReader table(*node, reader.field("limits") + ".", faults_);
    for (const LimitKey& key : kLimitKeys) {
      const auto value = table.integer(key.name, key.min, key.max);
      if (value) entry.limits.emplace_back(key.name, *value);
    }
    refuse_unknown_keys(table);
  }

  void keep(PluginsFileEntry entry) {
    if (entry.id.empty()) return;  // a fault says why
    const auto [place, is_new] = place_of_.try_emplace(entry.id, file_.entries.size());
    if (is_new) {
      file_.entries.push_back(std::move(entry));
      return;
    }
    PluginsFileEntry& earlier = file_.entries[place->second];
    file_.warnings.push_back(faults_.render(
        {entry.line, "plugins[" + entry.id + "]",
         "is there twice: this one replaces the one in line " + std::to_string(earlier.line), "remove one of them"}));
    earlier = std::move(entry);
  }

  // Those named come first, in that order; the others stay behind them as they stand.
  void read_order() {
    const auto order = root_.texts("execution_order", limits::kPluginsFileEntriesMax);
    if (!order) return;
    const Node* node = root_.get("execution_order");
    std::map<std::string, std::size_t> rank;
    for (std::size_t i = 0; i < order->size(); ++i) {
      const std::string& id = (*order)[i];
      if (!place_of_.contains(id)) {
        faults_.add(node->items[i].line, "execution_order", "`" + id + "` is no plugin of this file",
                    "name an id of `plugins`, or remove it");
      }
      rank.try_emplace(id, i);
    }
    const auto rank_of = [&](const PluginsFileEntry& entry) {
      const auto found = rank.find(entry.id);
      return found == rank.end() ? order->size() : found->second;
    };
    std::ranges::stable_sort(file_.entries, {}, rank_of);
  }

  void refuse_unknown_keys(const TableReader& reader) {
    for (const Fault& fault : reader.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
  }

  FaultList faults_;
  TableReader root_;
  fs::path folder_;
  ObserverOptions defaults_;
  PluginsFile file_;
  std::map<std::string, std::size_t> place_of_;  // of ids, in file_.entries as they were read
};

Error one_fault(const std::string& path, const DocumentFault& fault) {
  FaultList faults(path, Reason::kInvalidConfig);
  faults.add(fault.line, "", fault.what, fault.remedy);
  return faults.to_error();
}

std::string quoted(const std::string& text) {
  Node node;
  node.kind = NodeKind::kString;
  node.text = text;
  return to_json(node);
}

std::string list_text(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + quoted(text);
  return "[" + out + "]";
}

void write_entry(const PluginsFileEntry& entry, std::string& out) {
  const ObserverOptions& observer = entry.observer;
  out += "  - id: " + quoted(entry.id) + "\n";
  out += "    module: " + quoted(entry.module) + "\n";
  out += std::string("    enabled: ") + (entry.enabled ? "true" : "false") + "\n";
  out += "    config: " + entry.config_json + "\n";
  if (!entry.description.empty()) out += "    description: " + quoted(entry.description) + "\n";
  std::string filter;
  const auto add = [&](const std::string& text) { filter += (filter.empty() ? "" : ", ") + text; };
  if (!observer.types.empty()) add("types: " + list_text(observer.types));
  if (!observer.plugin.empty()) add("plugin: " + quoted(observer.plugin));
  if (!observer.correlation_id.empty()) add("correlation_id: " + quoted(observer.correlation_id));
  if (!filter.empty()) out += "    filter: {" + filter + "}\n";
  if (!observer.start.empty()) out += "    start: " + observer.start + "\n";
  if (observer.ack_timeout_ms != 0) out += "    ack_timeout_ms: " + std::to_string(observer.ack_timeout_ms) + "\n";
  if (observer.retries != 0) out += "    retries: " + std::to_string(observer.retries) + "\n";
  if (!observer.on_error.empty()) out += "    on_error: " + observer.on_error + "\n";
  if (!entry.permissions.empty()) out += "    permissions: " + list_text(entry.permissions) + "\n";
  std::string limits;
  for (const auto& [name, value] : entry.limits) {
    limits += (limits.empty() ? "" : ", ") + name + ": " + std::to_string(value);
  }
  if (!limits.empty()) out += "    limits: {" + limits + "}\n";
}

}  // namespace

Result<ModuleName> parse_module_name(const std::string& text, const std::string& folder) {
  if (text.empty()) return bad_module(text, "is empty");
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
    return bad_module("", "has a control character");
  }
  ModuleName module;
  if (const std::size_t colon = text.rfind(':'); colon != std::string::npos) {
    const std::string path = text.substr(0, colon);
    module.kind = ModuleKind::kFileSymbol;
    module.symbol = text.substr(colon + 1);
    if (!is_identifier(module.symbol)) return bad_module(text, "has no class behind the colon");
    if (path == ".py" || !path.ends_with(".py")) {
      return bad_module(text, "names no Python file: only those have classes; of other programs name the manifest");
    }
    module.path = absolute_in(folder, path);
    if (!is_identifier(fs::path(module.path).stem().string())) {
      return bad_module(text, "names a file that cannot be imported: its name is no Python word");
    }
    return module;
  }
  if (names_manifest(text)) {
    module.kind = ModuleKind::kManifest;
    module.path = absolute_in(folder, text);
    return module;
  }
  if (text.find('/') != std::string::npos) return bad_module(text, "is a path without a class");
  const std::size_t dot = text.rfind('.');
  if (dot == std::string::npos) return bad_module(text, "is one word: the class in it is missing");
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find('.', from), text.size());
    if (!is_identifier(std::string_view(text).substr(from, to - from))) {
      return bad_module(text, "is not made of words with dots between");
    }
    from = to + 1;
  }
  module.path = text.substr(0, dot);
  module.symbol = text.substr(dot + 1);
  return module;
}

Result<PluginsFile> parse_plugins_file(std::string_view text, const std::string& path) {
  if (const DocumentFault fault = check_text(text, limits::kPluginsFileBytesMax); !fault.what.empty()) {
    return one_fault(path, fault);
  }
  const Document document = read_yaml(text, kNodesMax);
  if (const auto* fault = std::get_if<DocumentFault>(&document)) return one_fault(path, *fault);
  return PluginsReader(std::get<Node>(document), path).read();
}

Result<PluginsFile> load_plugins_file(const std::string& path, std::string* bytes) {
  if (!is_utf8(path)) {
    return make_error(Reason::kInvalidConfig, to_utf8(path) + ": the path is not UTF-8, and stands in events")
        .with_hint("rename the folder, or name another file in plugins_file");
  }
  Result<std::string> text = read_trusted_file(path, limits::kPluginsFileBytesMax);
  if (text) {
    if (bytes != nullptr) *bytes = *text;
    return parse_plugins_file(*text, path);
  }
  if (text.error().sys_errno == ENOENT || text.error().sys_errno == ENOTDIR) {
    PluginsFile none;
    none.path = path;
    return none;
  }
  return std::move(text).error();  // who else could have written it, or why it cannot be read
}

std::string plugins_file_path(const std::string& config_path, const DaemonConfig& config) {
  if (!config.plugins_file.empty()) return config.plugins_file;
  if (config_path.empty()) return "";
  std::error_code error;
  const fs::path absolute = fs::absolute(config_path, error);
  return (error ? fs::path(config_path) : absolute).lexically_normal().parent_path() / "plugins.yaml";
}

std::string to_yaml(const PluginsFile& file) {
  std::string out;
  if (file.strict) out += "strict_plugins: true\n";
  if (file.module_folders.size() > 1) {
    out += "module_path: " + list_text({file.module_folders.begin() + 1, file.module_folders.end()}) + "\n";
  }
  out += file.entries.empty() ? "plugins: []\n" : "plugins:\n";
  for (const PluginsFileEntry& entry : file.entries) write_entry(entry, out);
  return out;
}

}  // namespace liongate::config
