// Goal: the command line means what the contract says, and nonsense on it is one line, a hint and exit code 2.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "fake_daemon.h"

using namespace liongate;
using namespace liongate::test;

TEST_CASE("nonsense is a usage error with one line and a hint, and prints no help") {
  const std::vector<std::vector<std::string>> rows = {
      {},
      {"no-such-verb"},
      {"get-plugin"},
      {"get-plugin", "a", "b"},
      {"list-plugins", "--no-such-flag"},
      {"list-plugins", "-o", "xml"},
      {"invoke-plugin", "a", "--timeout", "soon"},
      {"invoke-plugin", "a", "--timeout", "25h"},
      {"invoke-plugin", "a", "--input", "x", "--input-file", "y"},
      {"invoke-plugin", "a", "--durability", "maybe"},
      {"replay-log", "--limit", "-1"},
      {"replay-log", "--since", "yesterday"},
      {"replay-log", "--follow", "--summary"},
      {"load-plugin"},
      {"--socket", "a", "--address", "b:1", "list-plugins"},
  };
  for (const auto& arguments : rows) {
    INFO(Catch::Detail::stringify(arguments));
    const Run run = ctl(arguments);
    CHECK(run.exit_code == 2);
    CHECK(run.out.empty());
    CHECK(lines_in(run.err) == 2);
    CHECK(run.err.find("liongatectl: ") == 0);
    CHECK(run.err.find("(USAGE)\nhint: liongatectl ") != std::string::npos);
  }
}

TEST_CASE("a verb with a typing error names the one that was meant") {
  CHECK(ctl({"list-plugin"}).err.find("did you mean `list-plugins`?") != std::string::npos);
}

TEST_CASE("usage errors with -o json are JSON too") {
  const Run run = ctl({"-o", "json", "get-plugin"});
  CHECK(run.exit_code == 2);
  CHECK(run.err.find(R"({"code":"INVALID_ARGUMENT","reason":"USAGE","message":)") == 0);
}

TEST_CASE("every verb has help with an example") {
  for (const char* verb : {"load-plugin",   "unload-plugin",     "reload-plugin",     "start-plugin",
                           "stop-plugin",   "restart-plugin",    "pause-plugin",      "resume-plugin",
                           "list-plugins",  "get-plugin",        "get-plugin-health", "get-plugin-logs",
                           "invoke-plugin", "run-plugin",        "set-plugin-config", "replay-log",
                           "verify-log",    "repair-log",        "get-status",        "check-host",
                           "doctor",        "reload-config",     "shutdown",          "validate-manifest",
                           "version",       "export-checkpoint", "export-log-key"}) {
    INFO(verb);
    const Run run = ctl({verb, "--help"});
    CHECK(run.exit_code == 0);
    CHECK(run.err.empty());
    CHECK(run.out.find("Example: liongatectl ") != std::string::npos);
  }
  CHECK(ctl({"--help"}).out.find("Exit codes:") != std::string::npos);
}

TEST_CASE("a plugin is named by position, --id or --plugin-id") {
  FakeDaemon daemon;
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"get-plugin", "hello"},
                                                    {"get-plugin", "--id", "hello"},
                                                    {"get-plugin", "--plugin-id", "hello"}}) {
    daemon.selector.clear();
    CHECK(ctl(daemon, arguments).exit_code == 0);
    CHECK(daemon.selector == "hello");
  }
}

TEST_CASE("global options may stand behind the verb") {
  FakeDaemon daemon;
  const Run run = ctl({"list-plugins", "-o", "json", "--socket", daemon.socket()});
  CHECK(run.exit_code == 0);
  CHECK(run.out.find("{\"plugins\":[") == 0);
}

TEST_CASE("version needs no daemon") {
  CHECK(ctl({"version"}).out.find("liongatectl ") == 0);
  CHECK(ctl({"version", "-o", "json"}).out.find("{\"version\":") == 0);
}

TEST_CASE("validate-manifest needs no daemon, tells warnings and what is there") {
  const Run run = ctl({"validate-manifest", std::string(TEST_MANIFESTS) + "/full.toml"});
  CHECK(run.exit_code == 0);
  CHECK(run.out.find("full.toml: valid: full 1.2.3-rc.1+build.7, runtime command, 3 permissions") != std::string::npos);
  CHECK(run.err.find("warning: ") == 0);
  const Run json = ctl({"-o", "json", "validate-manifest", std::string(TEST_MANIFESTS) + "/full.toml"});
  CHECK(json.out.find(R"("entry_point":"./bin/full")") != std::string::npos);
}

TEST_CASE("validate-manifest shows every fault in a line of its own and exits 7") {
  FakeDaemon daemon;
  const std::string path = daemon.folder() + "/bad.toml";
  std::ofstream(path) << "name = \"a\"\nversion = \"x\"\npermissions = [\"nope\"]\n";
  const Run run = ctl({"validate-manifest", path});
  CHECK(run.exit_code == 7);
  CHECK(lines_in(run.err) == 3);
  CHECK(run.err.find("liongatectl: " + path + ":2: version: ") != std::string::npos);
  CHECK(ctl({"validate-manifest", path + ".not"}).exit_code == 7);
  CHECK(ctl({"validate-manifest", "/dev/null"}).exit_code == 7);
  CHECK(ctl({"validate-manifest", "/tmp"}).exit_code == 7);
}
