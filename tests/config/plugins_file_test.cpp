// Goal: plugins.yaml means what it says, a missing or empty one means none, and every fault of a file is told at once
// with file, line, field, plugin and remedy.
#include "config/plugins_file.h"

#include <catch2/catch.hpp>

#include "config/document.h"
#include "config/faults.h"
#include "config/manifest_parser.h"
#include "kernel/base/limits.h"

using namespace liongate;
using namespace liongate::config;

namespace {

constexpr const char* kPath = "/etc/liongate/plugins.yaml";

PluginsFile file_of(std::string_view text) {
  Result<PluginsFile> file = parse_plugins_file(text, kPath);
  INFO((file ? "" : file.error().message));
  REQUIRE(file);
  return std::move(file).value();
}

Error error_of(std::string_view text) {
  const Result<PluginsFile> file = parse_plugins_file(text, kPath);
  REQUIRE_FALSE(file);
  return file.error();
}

bool says(const Error& error, const std::string& text) {
  INFO(error.message);
  return error.message.find(text) != std::string::npos;
}

Error module_error(const std::string& text) {
  const Result<ModuleName> module = parse_module_name(text, "/etc/liongate");
  REQUIRE_FALSE(module);
  return module.error();
}

// The sample of seed 002, 2.3.
constexpr const char* kSeedSample = R"(plugins:
  - id: logging_plugin
    module: "my_app.plugins.LoggingPlugin"
    enabled: true
    config: {}

  - id: metrics_plugin
    module: "my_app.plugins.MetricsPlugin"
    enabled: true
    config:
      sample_rate: 0.1
)";

}  // namespace

TEST_CASE("plugin schema: an entry is created from id, module, enabled and config") {
  const PluginsFile file = file_of(kSeedSample);
  REQUIRE(file.entries.size() == 2);
  CHECK(file.entries[0].id == "logging_plugin");
  CHECK(file.entries[0].module == "my_app.plugins.LoggingPlugin");
  CHECK(file.entries[0].enabled);
  CHECK(file.entries[0].config_json == "{}");
  CHECK(file.entries[1].config_json == R"({"sample_rate":0.1})");
  CHECK(file.module_folders == std::vector<std::string>{"/etc/liongate"});
}

TEST_CASE("plugin schema: an invalid id is refused") {
  CHECK(says(error_of("plugins: [{module: a.B}]"), "/etc/liongate/plugins.yaml:1: plugins[0].id: is missing"));
  CHECK(says(error_of("plugins:\n  - {id: My Plugin, module: a.B}"),
             "/etc/liongate/plugins.yaml:2: plugins[0].id: `My Plugin` is not a plugin's name; write `my-plugin`"));
  CHECK(says(error_of("plugins: [{id: 7, module: a.B}]"), "plugins[0].id: must be text, not a whole number"));
  CHECK(says(error_of("plugins: [{id: \"\", module: a.B}]"), "is not a plugin's name"));
}

TEST_CASE("plugin schema: an invalid module is refused, and the fault names the plugin") {
  CHECK(says(error_of("plugins: [{id: a}]"), "plugins[a].module: is missing"));
  CHECK(says(error_of("plugins: [{id: a, module: [b]}]"), "plugins[a].module: must be text"));
  CHECK(error_of("plugins: [{id: a, module: b}]").reason == Reason::kBadModulePath);
}

TEST_CASE("plugin schema: a file serialises to YAML that means the same") {
  const PluginsFile file = file_of(R"(
module_path: [lib, /srv/observers]
strict_plugins: true
defaults: {retries: 2, on_error: stop}
plugins:
  - id: a
    module: x.y.Z
    enabled: false
    description: "looks: at \"things\""
    config: {list: [1, 2.5, "three", null, true], nested: {deep: {er: "\u00e9"}}}
    filter: {types: [PluginError, PluginResult], plugin: hello, correlation_id: "c 1"}
    start: 12
    ack_timeout_ms: 500
    permissions: ["fs_write:/srv/out"]
    limits: {memory_bytes_max: 268435456}
  - {id: b, module: ./b/manifest.toml, start: beginning}
)");
  const PluginsFile again = file_of(to_yaml(file));
  CHECK(again.strict);
  CHECK(again.module_folders == file.module_folders);
  REQUIRE(again.entries.size() == file.entries.size());
  for (std::size_t i = 0; i < file.entries.size(); ++i) {
    PluginsFileEntry entry = again.entries[i];
    entry.line = file.entries[i].line;
    CHECK(entry == file.entries[i]);
  }
}

TEST_CASE("enabled is true and config empty where an entry does not say") {
  const PluginsFile file = file_of("plugins: [{id: a, module: b.C}, {id: b, module: b.C, config: null}]");
  CHECK(file.entries[0].enabled);
  CHECK(file.entries[0].config_json == "{}");
  CHECK(file.entries[1].config_json == "{}");
}

TEST_CASE("enabled must be a boolean") {
  CHECK(says(error_of("plugins:\n  - id: a\n    module: b.C\n    enabled: \"yes\""),
             "/etc/liongate/plugins.yaml:4: plugins[a].enabled: must be true or false, not text"));
}

TEST_CASE("a missing file, an empty one, and an empty list mean none") {
  CHECK(load_plugins_file("/nonexistent/plugins.yaml")->entries.empty());
  for (const char* text : {"", "# nothing\n", "plugins:\n", "plugins: []\n", "plugins: null\n", "{}"}) {
    CHECK(file_of(text).entries.empty());
  }
}

TEST_CASE("a file that is there and cannot be read is no missing file") {
  const auto folder = load_plugins_file("/etc");
  REQUIRE_FALSE(folder);
  CHECK(folder.error().reason == Reason::kInvalidConfig);
}

TEST_CASE("every fault of a file is reported together, in the order of lines") {
  const Error error = error_of(R"(plugins:
  - id: first
    module: one_word
    enabled: 1
  - id: second
    module: a.B
    modul: x
    config: [1]
  - module: a.B
  - just text
colour: blue
)");
  CHECK(
      error.message ==
      "/etc/liongate/plugins.yaml:3: plugins[first].module: `one_word` is one word: the class in it is missing; write "
      "package.module.Class, path/file.py:Class, or the path of a manifest (path/manifest.toml)\n"
      "/etc/liongate/plugins.yaml:4: plugins[first].enabled: must be true or false, not a whole number; write true or "
      "false\n"
      "/etc/liongate/plugins.yaml:7: plugins[second].modul: unknown key; did you mean `module`?\n"
      "/etc/liongate/plugins.yaml:8: plugins[second].config: must be a table, not a list; write config: {sample_rate: "
      "0.1}, or leave it out\n"
      "/etc/liongate/plugins.yaml:9: plugins[2].id: is missing; give it a name of its own: id: my_observer\n"
      "/etc/liongate/plugins.yaml:10: plugins[3]: must be a plugin, not text; write - {id: my_observer, module: "
      "\"my_package.my_module.MyObserver\"}\n"
      "/etc/liongate/plugins.yaml:11: colour: unknown key; remove it, or see the manual for the keys there are");
  CHECK(error.reason == Reason::kInvalidConfig);
}

TEST_CASE("what is no YAML is one fault with its line") {
  CHECK(says(error_of("plugins: [\n"), "/etc/liongate/plugins.yaml:2: not valid YAML"));
  CHECK(says(error_of("- a\n- b\n"), "is a list as a whole, not keys and values"));
  CHECK(says(error_of("plugins: hello"), "plugins: must be a list of plugins, not text"));
  CHECK(says(error_of(std::string_view("plugins: []\0", 12)), "NUL"));
  CHECK(says(error_of("plugins: [{id: \xFF, module: a.B}]"), "UTF-8"));
  CHECK(says(error_of("a: &x [1]\nplugins: *x"), "alias"));
}

TEST_CASE("a file that says something and holds nothing is no empty one") {
  CHECK(says(error_of("# observers\n%%%%\n"), "plugins.yaml:2: holds directives (%...) and no document"));
  CHECK(says(error_of("&&&&\n"), "plugins.yaml:1: is an anchor (&name) without a value"));
  CHECK(file_of("# nothing yet\n\n---\n").entries.empty());
}

TEST_CASE("a tab before an entry is named as what it is") {
  CHECK(says(error_of("plugins:\n\t- id: a\n"), "indent with blanks: a tab is none in YAML"));
}

TEST_CASE("an event type that there is not is a fault, with the one that was meant") {
  CHECK(says(error_of("plugins: [{id: a, module: a.B, filter: {types: [PluginResults]}}]"),
             "plugins[a].filter.types: `PluginResults` is not the name of an event; did you mean `PluginResult`?"));
}

TEST_CASE("of very many faults the first are told, and how many more there are") {
  std::string text = "plugins:\n  - id: a\n    module: a.B\n";
  for (std::size_t i = 0; i < kFaultsShownMax + 7; ++i) text += "    key" + std::to_string(i) + ": 1\n";
  const Error error = error_of(text);
  CHECK(says(error, "plugins[a].key99: "));
  CHECK_FALSE(says(error, "plugins[a].key100: "));
  CHECK(says(error, "plugins.yaml: and 7 more faults"));
}

TEST_CASE("a path that is no text is refused: events could not hold it") {
  const Result<PluginsFile> file = load_plugins_file("/tmp/\xff/plugins.yaml");
  REQUIRE_FALSE(file);
  CHECK(says(file.error(), "the path is not UTF-8"));
}

TEST_CASE("ten thousand entries are one clear fault") {
  std::string text = "plugins:\n";
  for (int i = 0; i < 10'000; ++i) text += "  - {id: p" + std::to_string(i) + ", module: a.B}\n";
  CHECK(says(error_of(text), "plugins: has 10000 entries, at most 1000 are allowed"));
  std::string most = "plugins:\n";
  for (std::size_t i = 0; i < limits::kPluginsFileEntriesMax; ++i) {
    most += "  - {id: p" + std::to_string(i) + ", module: a.B}\n";
  }
  CHECK(file_of(most).entries.size() == limits::kPluginsFileEntriesMax);
}

TEST_CASE("every bound of an entry is a fault that names it") {
  const std::string large(limits::kPluginConfigBytesMax, 'x');
  CHECK(says(error_of("plugins: [{id: a, module: b.C, config: {x: " + large + "}}]"),
             "plugins[a].config: is longer than 65536 bytes as JSON"));
  CHECK(says(error_of("plugins: [{id: a, module: b." + std::string(limits::kModulePathBytesMax, 'C') + "}]"),
             "plugins[a].module: is longer than 4096 bytes"));
  CHECK(says(error_of("# " + std::string(limits::kPluginsFileBytesMax, 'x')),
             std::to_string(limits::kPluginsFileBytesMax)));
  std::string folders;
  for (std::size_t i = 0; i <= limits::kModuleFoldersMax; ++i) folders += "f, ";
  CHECK(says(error_of("module_path: [" + folders + "]"), "module_path: has more than 16 entries"));
  CHECK(says(error_of("plugins: [{id: a, module: b.C, retries: 101}]"), "retries: 101 is out of range"));
  CHECK(says(error_of("plugins: [{id: a, module: b.C, ack_timeout_ms: 99}]"), "ack_timeout_ms: 99 is out of range"));
}

TEST_CASE("of two entries with one id the last counts, in the place of the first, and a warning says so") {
  const PluginsFile file =
      file_of("plugins:\n  - {id: a, module: one.A}\n  - {id: b, module: two.B}\n  - {id: a, module: three.C}\n");
  REQUIRE(file.entries.size() == 2);
  CHECK(file.entries[0].id == "a");
  CHECK(file.entries[0].module == "three.C");
  REQUIRE(file.warnings.size() == 1);
  CHECK(file.warnings[0] ==
        "/etc/liongate/plugins.yaml:4: plugins[a]: is there twice: this one replaces the one in line 2; remove one of "
        "them");
}

TEST_CASE("execution_order puts those it names first") {
  const PluginsFile file =
      file_of("execution_order: [c, a]\nplugins: [{id: a, module: x.A}, {id: b, module: x.B}, {id: c, module: x.C}]");
  REQUIRE(file.entries.size() == 3);
  CHECK(file.entries[0].id == "c");
  CHECK(file.entries[1].id == "a");
  CHECK(file.entries[2].id == "b");
  CHECK(says(error_of("execution_order: [z]\nplugins: []"), "execution_order: `z` is no plugin of this file"));
}

TEST_CASE("defaults hold for entries that do not say otherwise") {
  const PluginsFile file = file_of(R"(
defaults: {start: beginning, retries: 3, ack_timeout_ms: 1000, on_error: stop, filter: {types: [PluginError]}}
plugins:
  - {id: a, module: x.A}
  - {id: b, module: x.B, retries: 0, start: 7, filter: {types: []}, type: observer}
)");
  CHECK(file.entries[0].observer.start == "beginning");
  CHECK(file.entries[0].observer.retries == 3);
  CHECK(file.entries[0].observer.on_error == "stop");
  CHECK(file.entries[0].observer.types == std::vector<std::string>{"PluginError"});
  CHECK(file.entries[1].observer.retries == 0);
  CHECK(file.entries[1].observer.start == "7");
  CHECK(file.entries[1].observer.types.empty());
  CHECK(file.entries[1].observer.ack_timeout_ms == 1000);
  CHECK(says(error_of("defaults: {id: a}"), "defaults.id: unknown key"));
}

TEST_CASE("what an observer is shown must be something there can be") {
  const auto fault = [](const std::string& more) { return error_of("plugins: [{id: a, module: b.C, " + more + "}]"); };
  CHECK(says(fault("start: yesterday"), "plugins[a].start: `yesterday` is no place in the log"));
  CHECK(says(fault("start: 0"), "`0` is no place in the log"));
  CHECK(says(fault("start: -1"), "`-1` is no place in the log"));
  CHECK(says(fault("filter: {types: [plugin error]}"), "filter.types: `plugin error` is not the name of an event"));
  CHECK(says(fault("filter: {type: [PluginError]}"), "filter.type: unknown key; did you mean `types`?"));
  CHECK(says(fault("filter: all"), "filter: must be a table"));
  CHECK(says(fault("on_error: stopp"), "on_error: `stopp` is neither continue nor stop; did you mean `stop`?"));
  CHECK(says(fault("type: callable"), "type: `callable` is not a kind of plugin that plugins.yaml lists"));
}

TEST_CASE("an entry's permissions and limits follow the rules of manifests") {
  CHECK(file_of("plugins: [{id: a, module: a/manifest.toml, permissions: [kv]}]").entries[0].permissions.size() == 1);
  CHECK(says(error_of("plugins: [{id: a, module: b.C, permissions: [fly]}]"), "plugins[a].permissions: "));
  CHECK(says(error_of("plugins: [{id: a, module: b.C, limits: {memory_bytes_max: 1}}]"),
             "limits.memory_bytes_max: 1 is out of range"));
}

TEST_CASE("a module is a dotted class, a class in a file, or a manifest") {
  const auto dotted = parse_module_name("my_app.plugins.LoggingPlugin", "/etc/liongate");
  REQUIRE(dotted);
  CHECK(dotted->kind == ModuleKind::kClass);
  CHECK(dotted->path == "my_app.plugins");
  CHECK(dotted->symbol == "LoggingPlugin");
  const auto file = parse_module_name("observers/tally.py:Tally", "/etc/liongate");
  REQUIRE(file);
  CHECK(file->kind == ModuleKind::kFileSymbol);
  CHECK(file->path == "/etc/liongate/observers/tally.py");
  CHECK(file->symbol == "Tally");
  for (const char* manifest :
       {"../metrics/manifest.toml", "/etc/metrics/manifest.toml", "x/../../metrics/manifest.toml"}) {
    const auto named = parse_module_name(manifest, "/etc/liongate");
    REQUIRE(named);
    CHECK(named->kind == ModuleKind::kManifest);
    CHECK(named->path == "/etc/metrics/manifest.toml");
  }
}

TEST_CASE("any other form of a module is BAD_MODULE_PATH, in words") {
  CHECK(module_error("").reason == Reason::kBadModulePath);
  CHECK(module_error("").message == "`` is empty");
  CHECK(module_error("plugin").message == "`plugin` is one word: the class in it is missing");
  CHECK(module_error("a..B").message == "`a..B` is not made of words with dots between");
  CHECK(module_error(".B").message == "`.B` is not made of words with dots between");
  CHECK(module_error("a.").message == "`a.` is not made of words with dots between");
  CHECK(module_error("a.b c.D").message == "`a.b c.D` is not made of words with dots between");
  CHECK(module_error("a/b.C").message == "`a/b.C` is a path without a class");
  CHECK(module_error("a.py:").message == "`a.py:` has no class behind the colon");
  CHECK(module_error("a.py:1x").message == "`a.py:1x` has no class behind the colon");
  CHECK(module_error("lib.so:Make").message.starts_with("`lib.so:Make` names no Python file"));
  CHECK(module_error("my-file.py:A").message.find("cannot be imported") != std::string::npos);
  CHECK(module_error("a.\x01").message.find("control character") != std::string::npos);
  for (const auto& error : {module_error("x"), module_error("a/b")}) CHECK_FALSE(error.hint.empty());
}

TEST_CASE("the file is the one the configuration names, else the one beside it") {
  DaemonConfig config;
  CHECK(plugins_file_path("/etc/liongate/liongated.yaml", config) == "/etc/liongate/plugins.yaml");
  CHECK(plugins_file_path("", config).empty());
  config.plugins_file = "/srv/p.yaml";
  CHECK(plugins_file_path("/etc/liongate/liongated.yaml", config) == "/srv/p.yaml");
}

TEST_CASE("the sample that ships lists nothing and is valid") {
  const auto file = load_plugins_file(std::string(SOURCE_ROOT) + "/config/plugins.yaml");
  REQUIRE(file);
  CHECK(file->entries.empty());
}

TEST_CASE("a manifest may say what its observer is shown, and only an observer's may") {
  constexpr const char* kManifest = "name = \"a\"\nversion = \"0.1.0\"\nentry_point = \"./a.py\"\npermissions = []\n";
  const std::string table =
      "[observer]\nstart = \"beginning\"\nretries = 2\n[observer.filter]\ntypes = [\"PluginError\"]\n";
  const auto manifest =
      parse_manifest(std::string(kManifest) + "role = \"observer\"\n" + table, ManifestFormat::kToml, "m");
  REQUIRE(manifest);
  CHECK(manifest->observer.types == std::vector<std::string>{"PluginError"});
  CHECK(manifest->observer.start == "beginning");
  CHECK(manifest->observer.retries == 2);
  const auto callable = parse_manifest(kManifest + table, ManifestFormat::kToml, "m");
  REQUIRE_FALSE(callable);
  CHECK(says(callable.error(), "observer: is for plugins of role observer"));
}
