// Goal: the grammar of permissions, KIND[:ARGUMENT], takes what the contract lists and nothing else.
#include <catch2/catch.hpp>

#include "config/manifest_parser.h"

using namespace liongate;
using namespace liongate::config;

TEST_CASE("every kind is read with its argument") {
  struct Row {
    const char* text;
    PermissionKind kind;
    const char* argument;
  };
  const Row rows[] = {
      {"fs_read:./data/", PermissionKind::kFsRead, "./data"},
      {"fs_read:/", PermissionKind::kFsRead, "/"},
      {"fs_write:/srv/out", PermissionKind::kFsWrite, "/srv/out"},
      {"network", PermissionKind::kNetwork, ""},
      {"net", PermissionKind::kNetwork, ""},
      {"network:example.org", PermissionKind::kNetwork, "example.org"},
      {"net:*.example.org:443", PermissionKind::kNetwork, "*.example.org:443"},
      {"network:10.0.0.1:80", PermissionKind::kNetwork, "10.0.0.1:80"},
      {"network:[::1]:80", PermissionKind::kNetwork, "[::1]:80"},
      {"env:LANG", PermissionKind::kEnv, "LANG"},
      {"process", PermissionKind::kProcess, ""},
      {"jit", PermissionKind::kJit, ""},
      {"kv", PermissionKind::kKv, ""},
      {"publish:orders.new", PermissionKind::kPublish, "orders.new"},
      {"subscribe:orders.*", PermissionKind::kSubscribe, "orders.*"},
      {"invoke:hello", PermissionKind::kInvoke, "hello"},
      {"secret:api_key", PermissionKind::kSecret, "api_key"},
      {"forbidden", PermissionKind::kForbidden, ""},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const Result<Permission> permission = parse_permission(row.text);
    REQUIRE(permission);
    CHECK(permission->kind == row.kind);
    CHECK(permission->argument == row.argument);
    CHECK(permission->text == row.text);
  }
}

TEST_CASE("an unknown kind is refused as such, with what was probably meant") {
  const Result<Permission> typo = parse_permission("fs_raed:/data");
  REQUIRE_FALSE(typo);
  CHECK(typo.error().reason == Reason::kUnknownPermission);
  CHECK(typo.error().hint == "did you mean `fs_read`?");
  const Result<Permission> foreign = parse_permission("file.read");
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().hint == "did you mean `fs_read`?");
  const Result<Permission> strange = parse_permission("teleport");
  REQUIRE_FALSE(strange);
  CHECK(strange.error().hint.find("the kinds are fs_read") == 0);
}

TEST_CASE("a known kind with a bad argument is an invalid manifest") {
  for (const char* text : {"fs_read", "fs_read:", "process:x", "kv:", "env:1A", "env:A-B", "network:", "network:host:0",
                           "network:host:70000", "network:a b", "network:[::1", "network:-x", "invoke:Not A Name",
                           "secret:a/b", "fs_read:a\nb"}) {
    INFO(text);
    const Result<Permission> permission = parse_permission(text);
    REQUIRE_FALSE(permission);
    CHECK(permission.error().reason == Reason::kInvalidManifest);
    CHECK_FALSE(permission.error().hint.empty());
  }
}

TEST_CASE("kinds have the names they stand under in manifests") {
  CHECK(name_of(PermissionKind::kNetwork) == "network");
  CHECK(name_of(PermissionKind::kForbidden) == "forbidden");
}
