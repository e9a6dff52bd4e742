// Goal: what a manifest says is what is read from it, in every format and in both nestings.
#include <catch2/catch.hpp>

#include "config/manifest_parser.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

using namespace liongate;
using namespace liongate::config;

namespace {

Manifest parsed_file(const std::string& name) {
  const std::string path = std::string(TEST_DATA) + "/" + name;
  const Result<std::string> text = sys::read_file(path, limits::kManifestBytesMax);
  REQUIRE(text);
  Result<Manifest> manifest = parse_manifest(*text, format_of(path), name);
  INFO((manifest ? "" : manifest.error().message));
  REQUIRE(manifest);
  return std::move(manifest).value();
}

Manifest parsed(std::string_view text) {
  Result<Manifest> manifest = parse_manifest(text, ManifestFormat::kToml, "m.toml");
  INFO((manifest ? "" : manifest.error().message));
  REQUIRE(manifest);
  return std::move(manifest).value();
}

Manifest with_entry_point(const std::string& entry_point, const std::string& rest = "") {
  return parsed("name = \"a\"\nversion = \"0.1.0\"\npermissions = []\nentry_point = \"" + entry_point + "\"\n" + rest);
}

}  // namespace

TEST_CASE("every field is read, the same from TOML, JSON and YAML") {
  for (const char* name : {"full.toml", "full.json", "full.yaml"}) {
    INFO(name);
    const Manifest manifest = parsed_file(name);
    CHECK(manifest.name == "full");
    CHECK(manifest.version == "1.2.3-rc.1+build.7");
    CHECK(manifest.entry_point == "./bin/full");
    CHECK(manifest.args == std::vector<std::string>{"--fast", "{input}"});
    REQUIRE(manifest.permissions.size() == 3);
    CHECK(manifest.permissions[0].argument == "./data");
    CHECK(manifest.permissions[1].kind == PermissionKind::kNetwork);
    CHECK(manifest.runtime == Runtime::kCommand);
    CHECK(manifest.role == Role::kObserver);
    CHECK(manifest.description == "Everything a manifest can say");
    CHECK(manifest.author == "Someone");
    CHECK(manifest.tags == std::vector<std::string>{"a", "b"});
    CHECK(manifest.limits.memory_bytes_max == 67'108'864);
    CHECK(manifest.limits.cpu_time_ms_max == 1000);
    CHECK(manifest.limits.wall_time_ms_max == 2000);
    CHECK(manifest.limits.processes_max == 4);
    CHECK(manifest.limits.open_files_max == 64);
    CHECK(manifest.dependencies.at("hello") == "^1.0");
    CHECK(manifest.configuration_schema_json ==
          R"({"type":"object","required":["enabled"],"properties":{"enabled":{"type":"boolean","default":true}}})");
    CHECK(manifest.warnings.empty());
  }
}

TEST_CASE("the sample of seed 000 is a manifest") {
  const Manifest manifest = parsed_file("seed_000.toml");
  CHECK(manifest.name == "hello_plugin");
  CHECK(manifest.runtime == Runtime::kWasm);
  REQUIRE(manifest.permissions.size() == 1);
  CHECK(manifest.permissions[0].kind == PermissionKind::kNetwork);
  CHECK(manifest.permissions[0].argument.empty());
  CHECK(manifest.permissions[0].text == "net");
}

TEST_CASE("the sample of seed 001, inline table over several lines and all, is a manifest and nothing of it is lost") {
  const Manifest manifest = parsed_file("seed_001.toml");
  CHECK(manifest.name == "my_custom_plugin");
  CHECK(manifest.title == "My Custom Plugin");
  CHECK(manifest.entry_point == "main");
  CHECK(manifest.runtime == Runtime::kNative);
  CHECK(manifest.author == "Your Name");
  REQUIRE(manifest.permissions.size() == 2);
  CHECK(manifest.permissions[1].kind == PermissionKind::kFsWrite);
  CHECK(manifest.limits.memory_bytes_max == 100ULL * 1024 * 1024);
  CHECK(manifest.limits.cpu_time_ms_max == 30'000);
  CHECK(manifest.limits.wall_time_ms_max == 10'000);
  CHECK(manifest.tags == std::vector<std::string>{"data-processing", "custom"});
  CHECK(manifest.dependencies.at("serde") == "^1.0.0");
  CHECK(manifest.configuration_schema_json.find(R"("batch_size":{"type":"number","default":100})") !=
        std::string::npos);
  CHECK(manifest.warnings.empty());
}

TEST_CASE("a bare entry point may be a file of its own name or, by the runtime, the plugin's") {
  CHECK(entry_point_candidates(parsed_file("seed_001.toml")) == std::vector<std::string>{"main", "my_custom_plugin"});
  CHECK(entry_point_candidates(with_entry_point("./main")) == std::vector<std::string>{"./main"});
  CHECK(entry_point_candidates(with_entry_point("main", "runtime = \"python\"")) ==
        std::vector<std::string>{"main", "main.py", "a.py"});
}

TEST_CASE("the runtime is guessed from the entry point's ending") {
  CHECK(with_entry_point("./a.py").runtime == Runtime::kPython);
  CHECK(with_entry_point("./a.js").runtime == Runtime::kNode);
  CHECK(with_entry_point("./a.mjs").runtime == Runtime::kNode);
  CHECK(with_entry_point("./a.wasm").runtime == Runtime::kWasm);
  CHECK(with_entry_point("./a.sh").runtime == Runtime::kCommand);
  CHECK(with_entry_point("./a").runtime == Runtime::kNative);
}

TEST_CASE("an explicit runtime wins over the guess, by any of its names") {
  CHECK(with_entry_point("./a.py", "runtime = \"command\"").runtime == Runtime::kCommand);
  CHECK(with_entry_point("./a", "type = \"javascript\"").runtime == Runtime::kNode);
}

TEST_CASE("an explicit entry_path wins over entry_point, and a symbol is kept") {
  const Manifest manifest = with_entry_point("main", "entry_path = \"./a.wasm\"\nentry_symbol = \"run\"");
  CHECK(manifest.entry_point == "./a.wasm");
  CHECK(manifest.entry_symbol == "run");
  CHECK(manifest.runtime == Runtime::kWasm);
}

TEST_CASE("an unknown key is a warning with its line and a near miss") {
  const Manifest manifest = with_entry_point("./a", "descripton = \"x\"\nzzz = 1");
  REQUIRE(manifest.warnings.size() == 2);
  CHECK(manifest.warnings[0] == "m.toml:5: descripton: unknown key; did you mean `description`?");
  CHECK(manifest.warnings[1].find("m.toml:6: zzz: unknown key") == 0);
}

TEST_CASE("arguments that a runtime does not take are a warning") {
  const Manifest manifest = with_entry_point("./a.py", "args = [\"x\"]");
  REQUIRE(manifest.warnings.size() == 1);
  CHECK(manifest.warnings[0].find("args: is not used by runtime python") != std::string::npos);
}

TEST_CASE("TOML's texts and comments take every character, in each kind of quotes") {
  const std::string lion = "\xF0\x9F\xA6\x81";
  const auto described = [](const std::string& quoted) {
    return with_entry_point("./a", "description = " + quoted + "\n").description;
  };
  CHECK(described("\"" + lion + "\" # " + lion) == lion);
  CHECK(described("'" + lion + "'") == lion);
  CHECK(described("\"\"\"a \\\n   " + lion + "\"\"\"") == "a " + lion);
  CHECK(described("\"\"\"" + lion + "\"\"\"\"\"") == lion + "\"\"");
  CHECK(described("'''\n" + lion + "'''") == lion);
  CHECK(described("'''a\"\\" + lion + "\nb'''''") == "a\"\\" + lion + "\nb''");
  CHECK(described("'a\"\\" + lion + "'") == "a\"\\" + lion);
  CHECK(described("\"\\\"" + lion + "\\\\\"") == "\"" + lion + "\\");
  CHECK(parsed("\xEF\xBB\xBFname = \"a\"\nversion = \"0.1.0\"\npermissions = []\nentry_point = \"a\"\n").name == "a");
}

TEST_CASE("JSON written by programs, with surrogate pairs and escaped slashes, is read") {
  const Result<Manifest> manifest =
      parse_manifest(R"({"name":"a","version":"0.1.0","entry_point":".\/a","permissions":[],)"
                     R"("description":"\ud83e\udd81 \u00e9\n"})",
                     ManifestFormat::kJson, "m.json");
  REQUIRE(manifest);
  CHECK(manifest->entry_point == "./a");
  CHECK(manifest->description == "\xF0\x9F\xA6\x81 \xC3\xA9\n");
}

TEST_CASE("the format follows the file's ending") {
  CHECK(format_of("a/manifest.toml") == ManifestFormat::kToml);
  CHECK(format_of("a.json") == ManifestFormat::kJson);
  CHECK(format_of("a.yml") == ManifestFormat::kYaml);
  CHECK(format_of("a") == ManifestFormat::kToml);
}
