// Goal: a plugin's health is what it says itself, and what it prints can be read and followed.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::Orchestrator;
using orchestrator::PluginHealth;

namespace {

Result<PluginHealth> health_of(Kernel& kernel, const std::string& plugin) {
  std::optional<Result<PluginHealth>> health;
  kernel.orchestrator().check_health(plugin, [&](Result<PluginHealth> result) { health = std::move(result); });
  REQUIRE(kernel.until([&] { return health.has_value(); }));
  return *health;
}

}  // namespace

TEST_CASE("a plugin that answers is as healthy as it says") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const Result<PluginHealth> health = health_of(kernel, "hello");
  CHECK(health->healthy);
  CHECK(health->detail == "fine");
  CHECK(health->uptime_s >= 0);
}

TEST_CASE("one Ping answers all who ask at the same time") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  int answers = 0;
  for (int i = 0; i < 5; ++i) {
    kernel.orchestrator().check_health("hello",
                                       [&](const Result<PluginHealth>& health) { answers += health->healthy ? 1 : 0; });
  }
  REQUIRE(kernel.until([&] { return answers == 5; }));
  CHECK(kernel.launcher().last().count(v1::Frame::kPing) == 1);
}

TEST_CASE("who asks for the health of a plugin beyond the bound is refused") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.answers_pings = false;
  kernel.loaded("hello", script);
  for (std::size_t i = 0; i < limits::kPingsMax; ++i) {
    kernel.orchestrator().check_health("hello", [](const Result<PluginHealth>&) {});
  }
  std::optional<Result<PluginHealth>> refused;
  kernel.orchestrator().check_health("hello", [&](Result<PluginHealth> result) { refused = std::move(result); });
  REQUIRE(refused.has_value());
  REQUIRE_FALSE(refused->has_value());
  CHECK(refused->error().reason == Reason::kQueueFull);
}

TEST_CASE("a plugin that does not answer is unhealthy") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.answers_pings = false;
  kernel.loaded("hello", script);
  const Result<PluginHealth> health = health_of(kernel, "hello");
  CHECK_FALSE(health->healthy);
  CHECK(health->detail.find("Ping") != std::string::npos);
  CHECK(health->plugin.state() == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a plugin that dies while it is asked is unhealthy at once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.answers_pings = false;
  kernel.loaded("hello", script);
  std::optional<bool> healthy;
  kernel.orchestrator().check_health("hello", [&](const Result<PluginHealth>& health) { healthy = health->healthy; });
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return healthy.has_value(); }, std::chrono::seconds(1)));
  CHECK_FALSE(*healthy);
}

TEST_CASE("a stopped plugin is not healthy, nobody's health is NOT_FOUND") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  REQUIRE(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  CHECK_FALSE(health_of(kernel, "hello")->healthy);
  CHECK(health_of(kernel, "nobody").error().reason == Reason::kPluginNotFound);
}

TEST_CASE("a command is healthy while it is loaded and running") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter");
  CHECK(health_of(kernel, "sorter")->healthy);
}

TEST_CASE("what a plugin prints can be read, whole or its end") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().write_stderr("one\ntwo\nthree\n");
  REQUIRE(kernel.until([&] { return kernel.orchestrator().read_logs("hello", 0, nullptr)->lines.size() == 3; }));
  const auto end = kernel.orchestrator().read_logs("hello", 2, nullptr);
  REQUIRE(end->lines.size() == 2);
  CHECK(end->lines[0].text == "two");
  CHECK(end->lines[1].text == "three");
  CHECK(end->lines[1].source == "stderr");
}

TEST_CASE("what a plugin prints can be followed until it is enough") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  std::vector<std::string> heard;
  const auto follower = kernel.orchestrator().read_logs(
      "hello", 0, [&](const supervision::LogLine* line) { heard.push_back(line->text); });
  kernel.launcher().last().write_stderr("one\n");
  REQUIRE(kernel.until([&] { return heard.size() == 1; }));
  kernel.orchestrator().unfollow_logs(*follower);
  kernel.launcher().last().write_stderr("two\n");
  REQUIRE(kernel.until([&] { return kernel.orchestrator().read_logs("hello", 0, nullptr)->lines.size() == 2; }));
  CHECK(heard.size() == 1);
}

TEST_CASE("who follows a plugin that is unloaded is told that nothing more will come") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  int ends = 0;
  REQUIRE(kernel.orchestrator()
              .read_logs("hello", 0, [&](const supervision::LogLine* line) { ends += line == nullptr ? 1 : 0; })
              .has_value());
  REQUIRE(kernel.wait(kernel.tell(&Orchestrator::unload, "hello")).has_value());
  CHECK(kernel.until([&] { return ends == 1; }));
}

TEST_CASE("the log outlives a crash: last words can be read") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().write_stderr("panic: out of ideas");  // no line end
  kernel.launcher().last().exit(2);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  const auto logs = kernel.orchestrator().read_logs("hello", 0, nullptr);
  REQUIRE(logs->lines.size() == 1);
  CHECK(logs->lines[0].text == "panic: out of ideas");
}

TEST_CASE("log lines cannot be read of nobody") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  CHECK(kernel.orchestrator().read_logs("nobody", 0, nullptr).error().reason == Reason::kPluginNotFound);
}
