// Goal: each way a manifest can be wrong is one clear line with file, line and field; all of them come together.
#include <algorithm>
#include <catch2/catch.hpp>

#include "config/manifest_parser.h"
#include "kernel/base/limits.h"

using namespace liongate;
using namespace liongate::config;

namespace {

const std::string kGood = "name = \"a\"\nversion = \"0.1.0\"\nentry_point = \"./a\"\n";

Error fault_of(std::string_view text, ManifestFormat format = ManifestFormat::kToml) {
  const Result<Manifest> manifest = parse_manifest(text, format, "m.toml");
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().message.find('\0') == std::string::npos);
  return manifest.error();
}

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("missing fields are reported together, each by its name") {
  const Error error = fault_of("description = \"x\"\n");
  CHECK(error.reason == Reason::kInvalidManifest);
  CHECK(error.metadata.at("fields") == "name,version,entry_point,permissions");
  CHECK(lines_in(error.message) == 4);
  CHECK(error.message.find("m.toml:1: name: is missing; add name = ") == 0);
}

TEST_CASE("faults of several kinds come in the order of lines") {
  const Error error =
      fault_of("name = 7\nversion = \"1\"\nentry_point = \"\"\npermissions = \"net\"\nrole = \"king\"\n");
  CHECK(error.metadata.at("fields") == "name,version,entry_point,permissions,role");
  CHECK(error.message ==
        "m.toml:1: name: must be text, not a whole number; put it in quotes: \"7\"\n"
        "m.toml:2: version: `1` is not a semantic version; write MAJOR.MINOR.PATCH, like \"0.1.0\"\n"
        "m.toml:3: entry_point: is empty; name a file in the manifest's folder\n"
        "m.toml:4: permissions: must be a list of texts, not text; write [\"...\"], or [] for none\n"
        "m.toml:5: role: unknown role `king`; the roles are callable, observer");
}

TEST_CASE("an unknown permission alone has a reason of its own") {
  const Error error = fault_of(kGood + "permissions = [\n  \"kv\",\n  \"nett\",\n]\n");
  CHECK(error.reason == Reason::kUnknownPermission);
  CHECK(error.message == "m.toml:6: permissions: unknown permission `nett`; did you mean `net`?");
}

TEST_CASE("an unknown permission beside another fault is an invalid manifest") {
  CHECK(fault_of("permissions = [\"zzz\"]\n").reason == Reason::kInvalidManifest);
}

TEST_CASE("text that is no TOML says where") {
  const Error error = fault_of("name = \"a\"\nversion = = \"1\"\n");
  CHECK(error.reason == Reason::kInvalidManifest);
  CHECK(error.message.find("m.toml:2: not valid TOML: ") == 0);
  CHECK(lines_in(error.message) == 1);
}

TEST_CASE("brackets and tables that hold no key are faults, in a debug build too") {
  for (const char* text :
       {"[", "[!a]", "[,]", "[[ \x18", "[]", "[a", "[a.]", "a.", "= 1", "a = {", "a = {,}", "a = [,]"}) {
    INFO(text);
    CHECK(lines_in(fault_of(text).message) == 1);
  }
}

TEST_CASE("characters outside ASCII are refused outside quotes") {
  CHECK(fault_of("a = 1\n\xC3\xA9 = 2\n").message.find("m.toml:2: not valid TOML: a character outside ASCII") == 0);
  CHECK(fault_of("\xEF\xBB\xBE{\xEB\xBB\xBE~a").message.find("outside quotes") != std::string::npos);
  CHECK(fault_of("a = \"\\\xC3\xA9\"\n").message.find("an unknown escape") != std::string::npos);
  CHECK(fault_of("a = '\xC3\xA9\n").message.find("is not closed") != std::string::npos);
  CHECK(lines_in(fault_of("a = 0\"x\"x\"\xEF\xBB\xB7\"\n").message) == 1);
}

TEST_CASE("text that is no JSON says where") {
  CHECK(fault_of("{\n\"name\": }", ManifestFormat::kJson).message.find("m.toml:2: not valid JSON: ") == 0);
  for (const char* text :
       {"", "{", "[]", "{} {}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":tru}", "{\"a\":\"\\q\"}", "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\u0000\"}", "{\"a\":\"", "{\"a\" 1}", "{a:1}", "{\"a\":1."}) {
    INFO(text);
    CHECK(lines_in(fault_of(text, ManifestFormat::kJson).message) == 1);
  }
}

TEST_CASE("text that is no YAML says where") {
  CHECK(fault_of("name: a\n  b: [", ManifestFormat::kYaml).message.find("not valid YAML: ") != std::string::npos);
  CHECK(fault_of("- a\n- b\n", ManifestFormat::kYaml).message.find("is a list as a whole") != std::string::npos);
  CHECK(fault_of("a: &x 1\nb: *x\n", ManifestFormat::kYaml).message.find("m.toml:2: uses an alias") == 0);
  CHECK(fault_of("a: 1\n---\nb: 2\n", ManifestFormat::kYaml).message.find("second document") != std::string::npos);
}

TEST_CASE("duplicate keys are refused in every format, in one line") {
  for (const auto& [text, format] : {std::pair{"name = \"a\"\nname = \"b\"\n", ManifestFormat::kToml},
                                     std::pair{"{\"name\": \"a\",\n\"name\": \"b\"}", ManifestFormat::kJson},
                                     std::pair{"name: a\nname: b\n", ManifestFormat::kYaml}}) {
    const Error error = fault_of(text, format);
    CHECK(error.message.find("m.toml:2: ") == 0);
    CHECK(lines_in(error.message) == 1);
  }
}

TEST_CASE("deep nesting is one fault, not a deep stack") {
  for (const int depth : {40, 300, 100'000}) {
    INFO(depth);
    const std::string open = repeated("[", depth);
    CHECK(lines_in(fault_of("a = " + open, ManifestFormat::kToml).message) == 1);
    CHECK(lines_in(fault_of("{\"a\": " + open, ManifestFormat::kJson).message) == 1);
    CHECK(lines_in(fault_of("a: " + open, ManifestFormat::kYaml).message) == 1);
    CHECK(lines_in(fault_of(repeated("{a: ", depth / 2), ManifestFormat::kYaml).message) == 1);
  }
  const std::string closed = "a = " + repeated("[", 40) + repeated("]", 40);
  CHECK(fault_of(closed).message.find("is nested deeper than 32 levels") != std::string::npos);
  CHECK(lines_in(fault_of("[" + repeated("a.", 50'000) + "a]\n").message) == 1);
}

TEST_CASE("a manifest has a greatest size") {
  const Error error = fault_of(kGood + "# " + std::string(limits::kManifestBytesMax, 'x'));
  CHECK(error.message.find("m.toml:1: is larger than 262144 bytes") == 0);
}

TEST_CASE("a NUL byte is refused with its line") {
  CHECK(fault_of(std::string_view("a = 1\nb\0 = 2\n", 13)).message.find("m.toml:2: contains a NUL byte") == 0);
}

TEST_CASE("text that is not UTF-8 is refused with its line") {
  for (const char* bytes : {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    CHECK(fault_of("a = 1\nb = \"" + std::string(bytes) + "\"\n").message.find("m.toml:2: is not valid UTF-8") == 0);
  }
}

TEST_CASE("an escaped NUL in a text is refused") {
  CHECK(fault_of("name = \"a\"\nversion = \"0.1.0\"\npermissions = []\nentry_point = \"a\\u0000b\"\n").message ==
        "m.toml:4: entry_point: contains a NUL character; remove it");
}

TEST_CASE("names that are no plugin names are refused with one that would do") {
  const auto named = [](const std::string& name) {
    return fault_of("name = \"" + name + "\"\nversion = \"0.1.0\"\nentry_point = \"a\"\npermissions = []\n").message;
  };
  CHECK(named("My Plugin").find("write \"my-plugin\"") != std::string::npos);
  for (const std::string name : {"", "-a", "9a", "a/b", "\xC3\xA9", "a\\n"}) {
    CHECK(named(name).find("is not a plugin name") != std::string::npos);
  }
  CHECK(named(std::string(65, 'a')).find("is not a plugin name") != std::string::npos);
  // Commands take an id or a name; a name must never look like an id.
  CHECK(named("abcdefab-1234-4234-8234-123456789abc").find("is not a plugin name") != std::string::npos);
}

TEST_CASE("versions that are not semantic are refused") {
  for (const std::string version :
       {"", "1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.x"}) {
    INFO(version);
    const Error error =
        fault_of("name = \"a\"\nversion = \"" + version + "\"\nentry_point = \"a\"\npermissions = []\n");
    CHECK(error.metadata.at("fields") == "version");
  }
}

TEST_CASE("limits are positive and bounded") {
  const auto limits_of = [](const std::string& line) {
    return fault_of(kGood + "permissions = []\n[limits]\n" + line + "\n").message;
  };
  CHECK(limits_of("memory_bytes_max = 0").find("m.toml:6: limits.memory_bytes_max: 0 is out of range") == 0);
  CHECK(limits_of("cpu_time_ms_max = -1").find("out of range") != std::string::npos);
  CHECK(limits_of("wall_time_ms_max = 99999999999").find("out of range") != std::string::npos);
  CHECK(limits_of("processes_max = 1.5").find("must be a whole number, not a number") != std::string::npos);
  CHECK(limits_of("open_files_max = \"many\"").find("must be a whole number, not text") != std::string::npos);
  CHECK(limits_of("memory_bytes_max = 1048576\nmax_memory_mb = 1").find("given too") != std::string::npos);
}

TEST_CASE("a limit above what the host has says what it has") {
  const HostCapacity host{1 << 30, 200, 1024, 100, 1 << 20};
  const auto limits_of = [&host](const std::string& line) {
    const auto manifest =
        parse_manifest(kGood + "permissions = []\n[limits]\n" + line + "\n", ManifestFormat::kToml, "m.toml", host);
    return manifest ? std::string("fine") : manifest.error().message;
  };
  CHECK(limits_of("memory_bytes_max = 1073741824\ncpu_percent_max = 200\nopen_files_max = 1024\nprocesses_max = 100") ==
        "fine");
  CHECK(limits_of("memory_bytes_max = 1073741825") ==
        "m.toml:6: limits.memory_bytes_max: 1073741825 is more than this host has: 1073741824 bytes of memory; give at "
        "most what it has, or leave it out");
  CHECK(limits_of("max_memory_mb = 2048").find("m.toml:6: limits.max_memory_mb: 2147483648 is more") == 0);
  CHECK(limits_of("tmp_bytes_max = 1073741825").find("limits.tmp_bytes_max: 1073741825 is more") != std::string::npos);
  CHECK(limits_of("cpu_percent_max = 201").find("200 % of a CPU") != std::string::npos);
  CHECK(limits_of("open_files_max = 1025").find("1024 open files for a process") != std::string::npos);
  CHECK(limits_of("processes_max = 101").find("100 processes") != std::string::npos);
  CHECK(limits_of("file_size_bytes_max = 1048577").find("1048576 bytes for a file") != std::string::npos);
}

TEST_CASE("each limit refuses 0, less than 0, and what nobody has") {
  for (const std::string key :
       {"memory_bytes_max", "cpu_time_ms_max", "wall_time_ms_max", "processes_max", "open_files_max", "cpu_percent_max",
        "file_size_bytes_max", "tmp_bytes_max", "tmp_files_max", "io_bytes_per_second_max", "output_bytes_max"}) {
    for (const std::string value : {"0", "-1", "9223372036854775807"}) {
      INFO(key << " = " << value);
      const std::string message = fault_of(kGood + "permissions = []\n[limits]\n" + key + " = " + value + "\n").message;
      CHECK(message.find("m.toml:6: limits." + key + ": " + value + " is out of range; give a number from ") == 0);
    }
  }
}

TEST_CASE("more permissions than the bound are refused") {
  CHECK(fault_of(kGood + "permissions = [" + repeated("\"kv\",", 65) + "]\n").message.find("more than 64 entries") !=
        std::string::npos);
}

TEST_CASE("an unknown runtime names the one that was meant") {
  CHECK(fault_of(kGood + "permissions = []\nruntime = \"pyton\"\n").message ==
        "m.toml:5: runtime: unknown runtime `pyton`; did you mean `python`?");
}

TEST_CASE("a dependency needs a version requirement") {
  CHECK(fault_of(kGood + "permissions = []\n[dependencies]\nhello = \"newest\"\n").metadata.at("fields") ==
        "dependencies.hello");
}

TEST_CASE("tables and lists where a text belongs are told apart from texts") {
  CHECK(fault_of("name = []\nversion = {}\nentry_point = true\npermissions = [1]\n").metadata.at("fields") ==
        "name,version,entry_point,permissions");
}

TEST_CASE("what is not to be stored is read, or refused: a typo in it is no warning") {
  const std::string good = kGood + "permissions = [\"env:API_KEY\"]\n[log]\n";
  const Result<Manifest> manifest =
      parse_manifest(good + "redact = [\"/a\", \"/b~1c/0\"]\npayload_bytes_max = 0\nsecrets = [\"API_KEY\"]\n",
                     ManifestFormat::kToml, "m.toml");
  REQUIRE(manifest.has_value());
  CHECK(manifest->log.redact == std::vector<std::string>{"/a", "/b~1c/0"});
  CHECK(manifest->log.payload_bytes_max == 0);
  CHECK(manifest->log.secrets == std::vector<std::string>{"API_KEY"});
  CHECK_FALSE(parse_manifest(good, ManifestFormat::kToml, "m.toml")->log.payload_bytes_max.has_value());
  for (const char* bad : {"redcat = [\"/a\"]", "redact = \"/a\"", "redact = [\"a\"]", "redact = [\"\"]",
                          "redact = [\"/a~\"]", "redact = [\"/a~2\"]", "payload_bytes_max = 786433",
                          "payload_bytes_max = -1", "secrets = [\"OTHER\"]", "secrets = [\"\"]"}) {
    INFO(bad);
    const Error error = fault_of(good + bad + "\n");
    CHECK(error.reason == Reason::kInvalidManifest);
    CHECK(error.metadata.at("fields").starts_with("log."));
  }
  CHECK(fault_of(good + "redact = [\"/" + repeated("x", 256) + "\"]\n").metadata.at("fields") == "log.redact");
  CHECK(fault_of(good + "redact = [" + repeated("\"/a\",", 65) + "]\n").metadata.at("fields") == "log.redact");
}
