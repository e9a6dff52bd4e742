#include "config/manifest_parser.h"

#include <algorithm>
#include <array>

#include "config/document.h"
#include "config/faults.h"
#include "config/manifest_rules.h"
#include "config/observer_options.h"

namespace liongate::config {
namespace {

constexpr std::uint64_t kBytesPerMebibyte = 1024 * 1024;

// One parse: reads the fields of a document in either of the two nestings into a Manifest.
class ManifestReader {
 public:
  ManifestReader(const Node& root, const std::string& path, const HostCapacity& host)
      : root_node_(root),
        host_(host),
        faults_(path, Reason::kInvalidManifest),
        root_(root, "", faults_),
        nested_(root.find("plugin") != nullptr && root.find("plugin")->is(NodeKind::kTable)),
        inner_(nested_ ? *root.find("plugin") : root, "plugin.", faults_),
        plugin_(nested_ ? inner_ : root_) {}

  Result<Manifest> read() {
    root_.table("plugin");
    read_name();
    read_version();
    read_entry_point();
    read_runtime();
    read_role();
    read_observer();
    manifest_.description = plugin_.text("description", kDescriptionBytesMax).value_or("");
    manifest_.author = plugin_.text("author", kAuthorBytesMax).value_or("");
    read_args();
    read_permissions();
    read_tags();
    read_limits("limits");
    read_limits("resource_limits");
    read_log();
    read_dependencies();
    if (const Node* schema = root_.table("configuration")) manifest_.configuration_schema_json = to_json(*schema);
    if (!faults_.empty()) return faults_.to_error();
    warn_of_unknown_keys();
    return std::move(manifest_);
  }

 private:
  void missing(const TableReader& reader, std::string_view key, std::string remedy) {
    faults_.add(reader.line(), reader.field(key), "is missing", std::move(remedy));
  }

  // The identity's reader if the key stands there, else the root's: people put `tags` and the like in either place.
  TableReader& reader_with(std::string_view key) {
    return nested_ && root_node_.find("plugin")->find(key) != nullptr ? plugin_ : root_;
  }

  // With an `id` (seed 001) that is the plugin's name and `name` is its title; without one, `name` is the name.
  void read_name() {
    const Node* id = plugin_.get("id");
    if (id != nullptr) manifest_.title = plugin_.text("name", kAuthorBytesMax).value_or("");
    const std::string_view key = id != nullptr ? "id" : "name";
    const Node* node = plugin_.get(key);
    if (node == nullptr) return missing(plugin_, key, "add name = \"my-plugin\"");
    const std::optional<std::string> name = plugin_.text(key, kPathBytesMax);
    if (!name) return;
    if (!is_plugin_name(*name)) {
      const std::string near = plugin_name_from(*name);
      plugin_.fault(*node, key, "`" + *name + "` is not a plugin name",
                    near.empty() ? "use lower-case letters, digits, - and _, a letter first, at most " +
                                       std::to_string(limits::kPluginNameBytesMax)
                                 : "write \"" + near + "\"");
      return;
    }
    manifest_.name = *name;
  }

  void read_version() {
    const Node* node = plugin_.get("version");
    if (node == nullptr) return missing(plugin_, "version", "add version = \"0.1.0\"");
    const std::optional<std::string> version = plugin_.text("version", kPathBytesMax);
    if (!version) return;
    if (!is_semver(*version)) {
      plugin_.fault(*node, "version", "`" + *version + "` is not a semantic version",
                    "write MAJOR.MINOR.PATCH, like \"0.1.0\"");
      return;
    }
    manifest_.version = *version;
  }

  // `entry_path` is an explicit file and wins (K5). `entry_symbol` is kept for runtimes that have symbols.
  void read_entry_point() {
    const bool has_path = plugin_.get("entry_path") != nullptr;
    const std::string_view key = has_path ? "entry_path" : "entry_point";
    plugin_.get("entry_point");
    manifest_.entry_symbol = plugin_.text("entry_symbol", kAuthorBytesMax).value_or("");
    const Node* node = plugin_.get(key);
    if (node == nullptr) {
      return missing(plugin_, "entry_point", "add entry_point = \"./FILE\", relative to the manifest's folder");
    }
    const std::optional<std::string> entry_point = plugin_.text(key, kPathBytesMax);
    if (!entry_point) return;
    const bool has_control = std::any_of(entry_point->begin(), entry_point->end(),
                                         [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (entry_point->empty() || has_control) {
      plugin_.fault(*node, key, entry_point->empty() ? "is empty" : "contains a control character",
                    "name a file in the manifest's folder");
      return;
    }
    manifest_.entry_point = *entry_point;
  }

  void read_runtime() {
    manifest_.runtime = runtime_guessed_from(manifest_.entry_point);
    const Node* type = plugin_.get("type");
    const Node* runtime = plugin_.get("runtime");
    if (runtime != nullptr && type != nullptr) {
      plugin_.fault(*type, "type", "is another name of `runtime`, which is given too", "remove one");
    }
    const std::string_view key = runtime != nullptr ? "runtime" : "type";
    const std::optional<std::string> name = plugin_.text(key, kPathBytesMax);
    if (!name) return;
    const std::optional<Runtime> found = find_runtime(*name);
    if (found) {
      manifest_.runtime = *found;
      return;
    }
    std::string all;
    for (const std::string& known : runtime_names()) all += (all.empty() ? "" : ", ") + known;
    plugin_.fault(*plugin_.get(key), key, "unknown runtime `" + *name + "`",
                  suggestion(*name, runtime_names(), "the runtimes are " + all));
  }

  void read_role() {
    const std::optional<std::string> role = plugin_.text("role", kPathBytesMax);
    if (!role || *role == "callable") return;
    if (*role == "observer") {
      manifest_.role = Role::kObserver;
      return;
    }
    plugin_.fault(*plugin_.get("role"), "role", "unknown role `" + *role + "`",
                  suggestion(*role, {"callable", "observer"}, "the roles are callable, observer"));
  }

  void read_observer() {
    const Node* node = root_.table("observer");
    if (node == nullptr) return;
    if (manifest_.role != Role::kObserver) {
      root_.fault(*node, "observer", "is for plugins of role observer", "add role = \"observer\", or remove it");
    }
    TableReader reader(*node, "observer.", faults_);
    read_observer_options(reader, faults_, manifest_.observer);
    for (const Fault& fault : reader.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
  }

  void read_args() {
    TableReader& reader = reader_with("args");
    const Node* node = reader.get("args");
    std::optional<std::vector<std::string>> args = reader.texts("args", limits::kArgsMax);
    if (!args) return;
    for (const std::string& argument : *args) {
      if (argument.size() <= kArgumentBytesMax) continue;
      reader.fault(*node, "args", "has an entry longer than " + std::to_string(kArgumentBytesMax) + " bytes",
                   "put it in a file of the plugin's folder");
    }
    const bool takes_args = manifest_.runtime == Runtime::kNative || manifest_.runtime == Runtime::kCommand;
    if (!args->empty() && !takes_args) {
      manifest_.warnings.push_back(
          faults_.render({node->line, reader.field("args"),
                          "is not used by runtime " + std::string(name_of(manifest_.runtime)), "remove it"}));
    }
    manifest_.args = std::move(*args);
  }

  // A list, or seed 001's table with a list of the same name in it.
  void read_permissions() {
    TableReader& reader = reader_with("permissions");
    const Node* node = reader.get("permissions");
    std::string field = reader.field("permissions");
    if (node != nullptr && node->is(NodeKind::kTable)) {
      TableReader inner(*node, field + ".", faults_);
      const Node* list = inner.get("permissions");
      keep_unknown(inner);
      field += ".permissions";
      if (list == nullptr) faults_.add(node->line, field, "is missing", "add permissions = []");
      if (list == nullptr) return;
      node = list;
    }
    if (node == nullptr) return missing(reader, "permissions", "add permissions = []");
    const auto texts = reader.texts_of(*node, field, limits::kPermissionsMax);
    if (!texts) return;
    for (std::size_t i = 0; i < texts->size(); ++i) {
      Result<Permission> permission = parse_permission((*texts)[i]);
      if (permission) {
        manifest_.permissions.push_back(std::move(permission).value());
      } else {
        const Error& error = permission.error();
        faults_.add(node->items[i].line, field, error.message, error.hint, error.reason);
      }
    }
  }

  // A list of texts, or seed 001's [[tags]]: tables that each hold a list of the same name.
  void read_tags() {
    TableReader& reader = reader_with("tags");
    const Node* node = reader.get("tags");
    if (node == nullptr) return;
    const bool is_tables = node->is(NodeKind::kTable) ||
                           (node->is(NodeKind::kList) && !node->items.empty() && node->items[0].is(NodeKind::kTable));
    if (!is_tables) return add_tags(*node, reader.field("tags"));
    const std::vector<Node> one{*node};
    for (const Node& table : node->is(NodeKind::kTable) ? one : node->items) {
      TableReader inner(table, reader.field("tags."), faults_);
      if (!table.is(NodeKind::kTable)) {
        faults_.add(table.line, reader.field("tags"), "mixes texts and tables", "write tags = [\"...\"]");
      } else if (const Node* list = inner.get("tags")) {
        add_tags(*list, inner.field("tags"));
      }
      keep_unknown(inner);
    }
  }

  void add_tags(const Node& list, const std::string& field) {
    const auto tags = root_.texts_of(list, field, kTagsMax);
    if (!tags) return;
    for (const std::string& tag : *tags) {
      if (tag.empty() || tag.size() > kTagBytesMax) {
        faults_.add(list.line, field, "a tag has 1 to " + std::to_string(kTagBytesMax) + " bytes", "change it");
      } else if (std::find(manifest_.tags.begin(), manifest_.tags.end(), tag) == manifest_.tags.end()) {
        manifest_.tags.push_back(tag);
      }
    }
    if (manifest_.tags.size() > kTagsMax) faults_.add(list.line, field, "has too many tags", "shorten the list");
  }

  // Reads `key`, and where that is absent its name in seed 001, in a table of limits.
  std::uint64_t limit(TableReader& reader, std::string_view key, std::string_view seed_key, std::uint64_t min,
                      std::uint64_t max, std::uint64_t seed_unit = 1) {
    const std::optional<std::uint64_t> ours = reader.integer(key, min, max);
    const std::optional<std::uint64_t> seeds =
        reader.integer(seed_key, (min + seed_unit - 1) / seed_unit, max / seed_unit);
    if (ours && seeds) {
      reader.fault(*reader.get(seed_key), seed_key, "is another name of `" + std::string(key) + "`, which is given too",
                   "remove one");
    }
    return ours ? *ours : seeds.value_or(0) * seed_unit;
  }

  // A limit that seed 001 did not have.
  static std::uint64_t limit(TableReader& reader, std::string_view key, std::uint64_t min, std::uint64_t max) {
    return reader.integer(key, min, max).value_or(0);
  }

  // `unit` says what the host has so many of.
  void check_host(TableReader& reader, std::string_view key, std::string_view seed_key, std::uint64_t value,
                  std::uint64_t host_has, std::string_view unit) {
    if (host_has == 0 || value <= host_has) return;
    const Node* const ours = reader.get(key);
    const std::string has = std::to_string(host_has) + " " + std::string(unit);
    reader.fault(ours != nullptr ? *ours : *reader.get(seed_key), ours != nullptr ? key : seed_key,
                 std::to_string(value) + " is more than this host has: " + has,
                 "give at most what it has, or leave it out");
  }

  void check_limits_of_host(TableReader& reader) {
    const ManifestLimits& limits = manifest_.limits;
    check_host(reader, "memory_bytes_max", "max_memory_mb", limits.memory_bytes_max, host_.memory_bytes,
               "bytes of memory");
    check_host(reader, "tmp_bytes_max", "", limits.tmp_bytes_max, host_.memory_bytes, "bytes of memory");
    check_host(reader, "cpu_percent_max", "", limits.cpu_percent_max, host_.cpu_percent, "% of a CPU");
    check_host(reader, "processes_max", "max_processes", limits.processes_max, host_.processes, "processes");
    check_host(reader, "open_files_max", "max_open_files", limits.open_files_max, host_.open_files,
               "open files for a process");
    check_host(reader, "file_size_bytes_max", "", limits.file_size_bytes_max, host_.file_size_bytes,
               "bytes for a file");
  }

  void read_limits(std::string_view table_key) {
    TableReader& outer = reader_with(table_key);
    const Node* node = outer.table(table_key);
    if (node == nullptr) return;
    if (table_key == "resource_limits" && root_node_.find("limits") != nullptr) {
      outer.fault(*node, table_key, "is another name of `limits`, which is given too", "remove one");
    }
    TableReader reader(*node, outer.field(table_key) + ".", faults_);
    ManifestLimits& limits = manifest_.limits;
    limits.memory_bytes_max =
        limit(reader, "memory_bytes_max", "max_memory_mb", kMemoryBytesMin, kMemoryBytesMax, kBytesPerMebibyte);
    limits.cpu_time_ms_max = limit(reader, "cpu_time_ms_max", "max_cpu_time_ms", 1, kTimeMsMax);
    limits.wall_time_ms_max = limit(reader, "wall_time_ms_max", "max_execution_time_ms", 1, kTimeMsMax);
    limits.processes_max =
        static_cast<std::uint32_t>(limit(reader, "processes_max", "max_processes", 1, kProcessesMax));
    limits.open_files_max =
        static_cast<std::uint32_t>(limit(reader, "open_files_max", "max_open_files", kOpenFilesMin, kOpenFilesMax));
    limits.cpu_percent_max = static_cast<std::uint32_t>(limit(reader, "cpu_percent_max", 1, kCpuPercentMax));
    limits.file_size_bytes_max = limit(reader, "file_size_bytes_max", 1, kFileSizeBytesMax);
    limits.tmp_bytes_max = limit(reader, "tmp_bytes_max", kTmpBytesMin, kTmpBytesMax);
    limits.tmp_files_max = static_cast<std::uint32_t>(limit(reader, "tmp_files_max", 1, kTmpFilesMax));
    limits.io_bytes_per_second_max =
        limit(reader, "io_bytes_per_second_max", kIoBytesPerSecondMin, kIoBytesPerSecondMax);
    limits.output_bytes_max = limit(reader, "output_bytes_max", 1, limits::kOutputBytesMax);
    check_limits_of_host(reader);
    keep_unknown(reader);
  }

  // Unknown keys are faults here: a redaction that silently does nothing would store what it should not.
  void read_log() {
    const Node* node = root_.table("log");
    if (node == nullptr) return;
    TableReader reader(*node, "log.", faults_);
    read_redact(reader);
    manifest_.log.payload_bytes_max = reader.integer("payload_bytes_max", 0, limits::kEventPayloadBytesMaxMax);
    if (const auto names = reader.texts("secrets", kSecretsMax)) {
      for (const std::string& name : *names) {
        const bool is_granted = std::any_of(
            manifest_.permissions.begin(), manifest_.permissions.end(),
            [&](const Permission& one) { return one.kind == PermissionKind::kEnv && one.argument == name; });
        if (is_granted) continue;
        reader.fault(*reader.get("secrets"), "secrets", "`" + name + "` is no environment variable the plugin asks for",
                     "add \"env:" + name + "\" to permissions");
      }
      manifest_.log.secrets = *names;
    }
    for (const Fault& fault : reader.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
  }

  void read_redact(TableReader& reader) {
    const auto pointers = reader.texts("redact", kRedactMax);
    if (!pointers) return;
    for (const std::string& pointer : *pointers) {
      if (is_json_pointer(pointer) && pointer.size() <= kRedactBytesMax) continue;
      reader.fault(*reader.get("redact"), "redact",
                   "`" + pointer.substr(0, kRedactBytesMax) + "` is no JSON pointer of at most " +
                       std::to_string(kRedactBytesMax) + " bytes",
                   "write it like \"/user/token\"");
    }
    manifest_.log.redact = *pointers;
  }

  void read_dependencies() {
    const Node* node = root_.table("dependencies");
    if (node == nullptr) return;
    if (node->members.size() > kDependenciesMax) {
      return root_.fault(*node, "dependencies", "has more than " + std::to_string(kDependenciesMax) + " entries",
                         "shorten it");
    }
    TableReader reader(*node, "dependencies.", faults_);
    for (const Member& member : node->members) {
      const std::optional<std::string> requirement = reader.text(member.key, kVersionBytesMax);
      if (!requirement) continue;
      if (!is_plugin_name(member.key)) {
        reader.fault(member.value, member.key, "is not a plugin name", "use the name in that plugin's manifest");
      } else if (!is_version_requirement(*requirement)) {
        reader.fault(member.value, member.key, "`" + *requirement + "` is not a version requirement",
                     "write it like \"^1.0\"");
      }
      manifest_.dependencies[member.key] = *requirement;
    }
  }

  void keep_unknown(const TableReader& reader) {
    for (Fault& fault : reader.unknown_keys()) unknown_.push_back(std::move(fault));
  }

  void warn_of_unknown_keys() {
    keep_unknown(root_);
    if (nested_) keep_unknown(inner_);
    std::stable_sort(unknown_.begin(), unknown_.end(), [](const Fault& a, const Fault& b) { return a.line < b.line; });
    for (const Fault& fault : unknown_) {
      if (manifest_.warnings.size() == kWarningsMax) return;
      manifest_.warnings.push_back(faults_.render(fault));
    }
  }

  static constexpr std::size_t kWarningsMax = 32;

  const Node& root_node_;
  HostCapacity host_;
  FaultList faults_;
  TableReader root_;
  // In seed 001's nesting the identity stands below [plugin]; everything else is at the root in both.
  const bool nested_;
  TableReader inner_;
  TableReader& plugin_;
  Manifest manifest_;
  std::vector<Fault> unknown_;
};

Error as_error(const DocumentFault& fault, const std::string& path) {
  FaultList faults(path, Reason::kInvalidManifest);
  faults.add(fault.line, "", fault.what, fault.remedy);
  return faults.to_error();
}

Document read_document(std::string_view text, ManifestFormat format) {
  switch (format) {
    case ManifestFormat::kJson:
      return read_json(text);
    case ManifestFormat::kYaml:
      return read_yaml(text);
    case ManifestFormat::kToml:
      break;
  }
  return read_toml(text);
}

}  // namespace

ManifestFormat format_of(std::string_view path) {
  if (path.ends_with(".json")) return ManifestFormat::kJson;
  if (path.ends_with(".yaml") || path.ends_with(".yml")) return ManifestFormat::kYaml;
  return ManifestFormat::kToml;
}

Result<Manifest> parse_manifest(std::string_view text, ManifestFormat format, const std::string& path,
                                const HostCapacity& host) {
  const DocumentFault fault = check_text(text, limits::kManifestBytesMax);
  if (!fault.what.empty()) return as_error(fault, path);
  const Document document = read_document(text, format);
  if (const auto* unreadable = std::get_if<DocumentFault>(&document)) return as_error(*unreadable, path);
  return ManifestReader(std::get<Node>(document), path, host).read();
}

std::vector<std::string> entry_point_candidates(const Manifest& manifest) {
  std::vector<std::string> candidates{manifest.entry_point};
  const bool is_bare_word = manifest.entry_point.find_first_of("/.") == std::string::npos;
  if (!is_bare_word) return candidates;
  std::string_view ending;
  if (manifest.runtime == Runtime::kPython) ending = ".py";
  if (manifest.runtime == Runtime::kNode) ending = ".js";
  if (manifest.runtime == Runtime::kWasm) ending = ".wasm";
  if (manifest.runtime == Runtime::kCommand) ending = ".sh";
  if (!ending.empty()) candidates.push_back(manifest.entry_point + std::string(ending));
  candidates.push_back(manifest.name + std::string(ending));
  return candidates;
}

}  // namespace liongate::config
