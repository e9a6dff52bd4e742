// Goal: a manifest is the same on the wire as in the file, and an inline one is checked as strictly as a file.
#include "daemon/manifest_message.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "config/manifest_parser.h"

using namespace liongate;
using daemon::default_config_json;
using daemon::from_message;
using daemon::to_message;

namespace {

constexpr const char* kManifest = R"(
name = "hello"
version = "0.1.0"
entry_point = "./hello"
args = ["--quiet", "{input}"]
permissions = ["fs_read:/srv/data", "env:HOME", "net:example.org:443", "process"]
runtime = "command"
description = "says \"hello\"\nto all"
author = "Ada"
tags = ["greeting", "demo"]
[limits]
memory_bytes_max = 67108864
cpu_time_ms_max = 1000
wall_time_ms_max = 2000
processes_max = 4
open_files_max = 32
cpu_percent_max = 50
file_size_bytes_max = 1000000
tmp_bytes_max = 1000000
tmp_files_max = 100
io_bytes_per_second_max = 1000000
output_bytes_max = 5000
[dependencies]
log_analyzer = "^1.0"
[configuration]
type = "object"
[configuration.properties.greeting]
type = "string"
default = "Hello"
)";

Manifest parsed(const std::string& text = kManifest) {
  Result<Manifest> manifest = config::parse_manifest(text, config::ManifestFormat::kToml, "manifest.toml");
  INFO((manifest ? std::string() : manifest.error().message));
  REQUIRE(manifest.has_value());
  return *manifest;
}

}  // namespace

TEST_CASE("the message holds every field of the manifest") {
  const v1::Manifest message = to_message(parsed());
  CHECK(message.name() == "hello");
  CHECK(message.version() == "0.1.0");
  CHECK(message.entry_point() == "./hello");
  CHECK(message.args(1) == "{input}");
  CHECK(message.permissions_size() == 4);
  CHECK(message.permissions(0) == "fs_read:/srv/data");
  CHECK(message.permissions(2) == "network:example.org:443");  // the canonical spelling
  CHECK(message.permissions(3) == "process");
  CHECK(message.runtime() == "command");
  CHECK(message.role() == "callable");
  CHECK(message.tags(0) == "greeting");
  CHECK(message.limits().memory_bytes_max() == 67108864);
  CHECK(message.limits().open_files_max() == 32);
  CHECK(message.limits().cpu_percent_max() == 50);
  CHECK(message.limits().output_bytes_max() == 5000);
  CHECK(message.dependencies().at("log_analyzer") == "^1.0");
  CHECK(nlohmann::json::parse(message.configuration_schema_json()).contains("properties"));
}

TEST_CASE("there and back again it is the same message") {
  const v1::Manifest message = to_message(parsed());
  const Result<Manifest> manifest = from_message(message);
  INFO((manifest ? std::string() : manifest.error().message));
  REQUIRE(manifest.has_value());
  v1::Manifest again = to_message(*manifest);
  CHECK(nlohmann::json::parse(again.configuration_schema_json()) ==
        nlohmann::json::parse(message.configuration_schema_json()));
  again.set_configuration_schema_json(message.configuration_schema_json());
  CHECK(again.DebugString() == message.DebugString());
}

TEST_CASE("a manifest with the least there is survives the way, too") {
  const Manifest least = parsed("name = \"a\"\nversion = \"1.0.0\"\nentry_point = \"./a\"\npermissions = []\n");
  const Result<Manifest> again = from_message(to_message(least));
  REQUIRE(again.has_value());
  CHECK(again->permissions.empty());
  CHECK(again->runtime == least.runtime);
}

TEST_CASE("an inline manifest is validated like a file, all faults together") {
  v1::Manifest message;
  message.set_name("Not A Slug");
  message.set_version("one");
  const Result<Manifest> manifest = from_message(message);
  REQUIRE_FALSE(manifest.has_value());
  CHECK(manifest.error().reason == Reason::kInvalidManifest);
  CHECK(manifest.error().message.find("inline manifest") != std::string::npos);
  for (const char* field : {"name", "version", "entry_point"}) {
    CHECK(manifest.error().metadata.at("fields").find(field) != std::string::npos);
  }
}

TEST_CASE("unknown permissions of an inline manifest are UNKNOWN_PERMISSION") {
  v1::Manifest message = to_message(parsed());
  message.add_permissions("teleport:moon");
  CHECK(from_message(message).error().reason == Reason::kUnknownPermission);
}

TEST_CASE("a schema that is not JSON is INVALID_MANIFEST") {
  v1::Manifest message = to_message(parsed());
  message.set_configuration_schema_json("{not json");
  CHECK(from_message(message).error().reason == Reason::kInvalidManifest);
}

TEST_CASE("bytes that are no text are refused or replaced, never passed on") {
  v1::Manifest message = to_message(parsed());
  message.set_description("gr\xFC\xDF");
  const Result<Manifest> manifest = from_message(message);
  if (manifest) CHECK(manifest->description.find('\xFC') == std::string::npos);
}

TEST_CASE("a plugin begins with the defaults that its schema declares") {
  const std::string schema = R"({"type": "object", "properties": {
      "greeting": {"type": "string", "default": "Hello"},
      "times": {"type": "integer", "default": 3},
      "name": {"type": "string"}}})";
  CHECK(nlohmann::json::parse(default_config_json(schema)) == nlohmann::json{{"greeting", "Hello"}, {"times", 3}});
}

TEST_CASE("a schema without defaults, of another shape or none at all gives an empty object") {
  for (const char* schema : {"", "{}", "[]", "null", "3", R"({"properties": []})", R"({"properties": {"a": 1}})",
                             R"({"properties": {"a": {"type": "string"}}})", "{not json"}) {
    INFO(schema);
    CHECK(default_config_json(schema) == "{}");
  }
}

TEST_CASE("what is not to be stored goes there and back") {
  const Manifest asked = parsed(
      "name = \"a\"\nversion = \"1.0.0\"\nentry_point = \"./a\"\npermissions = [\"env:KEY\"]\n"
      "[log]\nredact = [\"/a\"]\npayload_bytes_max = 0\nsecrets = [\"KEY\"]\n");
  const v1::Manifest message = to_message(asked);
  CHECK(message.log().has_payload_bytes_max());
  const Result<Manifest> again = from_message(message);
  REQUIRE(again.has_value());
  CHECK(again->log.redact == asked.log.redact);
  CHECK(again->log.payload_bytes_max == 0);
  CHECK(again->log.secrets == asked.log.secrets);
}
