// Goal: what a plugin asks for is granted by rule or refused by name; the daemon's own folders always are refused.
#include "kernel/policy/policy.h"

#include <catch2/catch.hpp>

using namespace liongate;
using policy::Default;
using policy::glob_matches;
using policy::Policy;
using policy::refuse;

namespace {

v1::PluginLoaded plugin_asking(const std::vector<std::string>& permissions, const std::string& name = "hello",
                               const std::string& folder = "/plugins/hello") {
  v1::PluginLoaded loaded;
  loaded.mutable_manifest()->set_name(name);
  for (const std::string& permission : permissions) loaded.mutable_manifest()->add_permissions(permission);
  loaded.set_folder(folder);
  return loaded;
}

Policy production(std::vector<PolicyRule> rules = {}) {
  return Policy{std::move(rules), Default::kRefuse, "production", {"/var/lib/liongate", "/run/liongate/control.sock"}};
}

Policy development(std::vector<PolicyRule> rules = {}) {
  Policy policy = production(std::move(rules));
  policy.otherwise = Default::kGrant;
  policy.environment = "development";
  return policy;
}

bool is_granted(const Policy& policy, const std::string& permission, const std::string& folder = "/plugins/hello") {
  return !refuse(policy, plugin_asking({permission}, "hello", folder)).has_value();
}

std::string refused_by(const Policy& policy, const std::string& permission,
                       const std::string& folder = "/plugins/hello") {
  const auto refusal = refuse(policy, plugin_asking({permission}, "hello", folder));
  return refusal ? refusal->rule : "granted";
}

}  // namespace

TEST_CASE("a glob matches the whole text: * any run, ? one character, all else itself") {
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("*", "anything"));
  CHECK(glob_matches("", ""));
  CHECK_FALSE(glob_matches("", "x"));
  CHECK(glob_matches("hello", "hello"));
  CHECK_FALSE(glob_matches("hello", "hello2"));
  CHECK_FALSE(glob_matches("hello", "hell"));
  CHECK(glob_matches("h?llo", "hallo"));
  CHECK_FALSE(glob_matches("h?llo", "hllo"));
  CHECK(glob_matches("fs_read:/srv/*", "fs_read:/srv/a/b"));
  CHECK_FALSE(glob_matches("fs_read:/srv/*", "fs_write:/srv/a"));
  CHECK(glob_matches("*a*b*", "xxaxxbxx"));
  CHECK_FALSE(glob_matches("*a*b", "ba"));
  CHECK(glob_matches("a**b", "ab"));
  CHECK_FALSE(glob_matches("?", ""));
}

TEST_CASE("a hostile glob is answered in good time") {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "a*";
  CHECK_FALSE(glob_matches(pattern + "b", std::string(5000, 'a')));
}

TEST_CASE("a plugin that asks for nothing is granted everywhere") {
  CHECK_FALSE(refuse(production(), plugin_asking({})).has_value());
}

TEST_CASE("outside development nothing is granted that no rule names") {
  CHECK(refused_by(production(), "env:HOME") == "no rule");
  CHECK(is_granted(development(), "env:HOME"));
}

TEST_CASE("the first rule that matches decides") {
  const Policy deny_first = production({{"*", {"env:SECRET"}, false}, {"*", {"env:*"}, true}});
  CHECK(refused_by(deny_first, "env:SECRET") == "rule 1");
  CHECK(is_granted(deny_first, "env:HOME"));
  const Policy allow_first = production({{"*", {"env:*"}, true}, {"*", {"env:SECRET"}, false}});
  CHECK(is_granted(allow_first, "env:SECRET"));
}

TEST_CASE("a rule is for the plugins its pattern names") {
  const Policy policy = production({{"log-*", {"process"}, true}});
  CHECK_FALSE(refuse(policy, plugin_asking({"process"}, "log-analyzer", "/p")).has_value());
  CHECK(refuse(policy, plugin_asking({"process"}, "hello", "/p")).has_value());
}

TEST_CASE("a denying rule holds in development too") {
  CHECK(refused_by(development({{"*", {"network:*"}, false}}), "network:example.org") == "rule 1");
}

TEST_CASE("forbidden is never granted, with or without an argument") {
  const Policy generous = development({{"*", {"*"}, true}});
  CHECK(refused_by(generous, "forbidden") == "forbidden");
  CHECK(refused_by(generous, "forbidden:anything") == "forbidden");
}

TEST_CASE("every permission must be granted; the first refusal is told") {
  const Policy policy = production({{"*", {"env:*"}, true}});
  const auto refusal = refuse(policy, plugin_asking({"env:A", "process", "jit"}));
  REQUIRE(refusal.has_value());
  CHECK(refusal->permission == "process");
  CHECK(refusal->error.reason == Reason::kPermissionDenied);
  CHECK(refusal->error.metadata.at("permission") == "process");
  CHECK(refusal->error.metadata.at("rule") == "no rule");
}

TEST_CASE("the daemon's own folders are refused in both directions, whatever the rules say") {
  const Policy generous = development({{"*", {"*"}, true}});
  for (const char* kind : {"fs_read:", "fs_write:"}) {
    CHECK(refused_by(generous, std::string(kind) + "/var/lib/liongate") == "protected folder");
    CHECK(refused_by(generous, std::string(kind) + "/var/lib/liongate/log") == "protected folder");
    CHECK(refused_by(generous, std::string(kind) + "/var/lib") == "protected folder");
    CHECK(refused_by(generous, std::string(kind) + "/") == "protected folder");
    CHECK(refused_by(generous, std::string(kind) + "/run/liongate") == "protected folder");
    CHECK(refused_by(generous, std::string(kind) + "/run/liongate/control.sock") == "protected folder");
  }
}

TEST_CASE("a neighbour whose name only begins alike is no protected folder") {
  const Policy generous = development();
  CHECK(is_granted(generous, "fs_read:/var/lib/liongate-data"));
  CHECK(is_granted(generous, "fs_read:/var/lib/other"));
}

TEST_CASE("spellings of a protected path are seen through") {
  const Policy generous = development();
  CHECK(refused_by(generous, "fs_read:/var/lib/liongate/") == "protected folder");
  CHECK(refused_by(generous, "fs_read:/var/./lib//liongate") == "protected folder");
  CHECK(refused_by(generous, "fs_read:/srv/../var/lib/liongate/log") == "protected folder");
}

TEST_CASE("a plugin never may write its own manifest or program, wherever they lie") {
  const Policy generous = development({{"*", {"*"}, true}});
  const auto rule = [&](const std::string& permission) {
    v1::PluginLoaded loaded = plugin_asking({permission});
    loaded.set_manifest_path("/plugins/hello/manifest.toml");
    loaded.set_entry_point_path("/plugins/hello/bin/main.py");
    const auto refusal = refuse(generous, loaded);
    return refusal ? refusal->rule : "granted";
  };
  for (const char* path :
       {"./manifest.toml", "/plugins/hello/manifest.toml", "bin", "./bin/main.py", ".", "/plugins"}) {
    INFO(path);
    CHECK(rule(std::string("fs_write:") + path) == "own program");
  }
  CHECK(rule("fs_write:./output") == "granted");
  CHECK(rule("fs_read:./manifest.toml") == "granted");
}

TEST_CASE("variables that steer the loader are never granted") {
  const Policy generous = development({{"*", {"*"}, true}});
  for (const char* name : {"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH"}) {
    INFO(name);
    CHECK(refused_by(generous, std::string("env:") + name) == "loader variable");
  }
  CHECK(is_granted(generous, "env:LDAP_SERVER"));
}

TEST_CASE("a relative path is relative to the plugin's folder") {
  const Policy generous = development();
  CHECK(is_granted(generous, "fs_read:data"));
  CHECK(refused_by(generous, "fs_read:../liongate/log", "/var/lib/hello") == "protected folder");
  CHECK(refused_by(generous, "fs_read:../..", "/var/lib/hello") == "protected folder");
}

TEST_CASE("a rule sees the path that is mounted: .., . and // name nothing of their own") {
  const Policy data_only = production({{"*", {"fs_read:/etc*"}, false}, {"*", {"fs_read:/srv/data/*"}, true}});
  CHECK(is_granted(data_only, "fs_read:/srv/data/a"));
  CHECK(is_granted(data_only, "fs_read:/srv/data/b/../a"));
  CHECK(refused_by(data_only, "fs_read:/srv/data/../private") == "no rule");
  CHECK(refused_by(data_only, "fs_read:/srv/data/../../etc/ssl") == "rule 1");
  const Policy all_but_etc = development({{"*", {"fs_read:/etc*"}, false}});
  for (const char* path : {"/etc/ssl", "//etc/ssl", "/./etc/ssl", "/srv/../etc/ssl", "../../etc/ssl"}) {
    INFO(path);
    CHECK(refused_by(all_but_etc, std::string("fs_read:") + path) == "rule 1");
  }
}

TEST_CASE("a path within the plugin's folder may be granted in its relative spelling too") {
  const Policy own = production({{"*", {"fs_write:./*"}, true}});
  CHECK(is_granted(own, "fs_write:./output"));
  CHECK(is_granted(own, "fs_write:output/../logs"));
  CHECK(is_granted(own, "fs_write:/plugins/hello/output"));
  CHECK(refused_by(own, "fs_write:../other") == "no rule");
}

TEST_CASE("the operating system's own trees and the plugin's own program are never granted for writing") {
  const Policy generous = development({{"*", {"*"}, true}});
  CHECK(refused_by(generous, "fs_read:/proc") == "protected folder");
  CHECK(refused_by(generous, "fs_read:/sys/kernel") == "protected folder");
  CHECK(refused_by(generous, "fs_write:/dev/shm") == "protected folder");
  CHECK(refused_by(generous, "fs_write:/plugins/hello") == "own program");
  CHECK(refused_by(generous, "fs_write:.") == "own program");
  CHECK(refused_by(generous, "fs_write:/plugins") == "own program");
  CHECK(is_granted(generous, "fs_write:./output"));
}
