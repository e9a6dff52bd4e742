// Goal: a plugin's sandbox contains what its runtime and its grants need, and of the system nothing else.
#include "daemon/launch_planner.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

using namespace liongate;
using daemon::HostLayout;
using daemon::LaunchPlanner;
using sandbox::Access;
using sandbox::BindMount;
using sandbox::LaunchRequest;

namespace {

HostLayout debian() {
  return {true, "/usr/bin/python3.11", "/usr/lib/liongate/sdk/python"};
}

v1::PluginLoaded plugin_of(const std::string& runtime, v1::LinkKind link_kind = v1::LINK_KIND_UNSPECIFIED) {
  v1::PluginLoaded loaded;
  loaded.mutable_manifest()->set_name("hello");
  loaded.mutable_manifest()->set_runtime(runtime);
  loaded.set_folder("/srv/plugins/hello");
  loaded.set_entry_point_path("/srv/plugins/hello/bin/main");
  loaded.set_link_kind(link_kind);
  return loaded;
}

LaunchRequest planned(const v1::PluginLoaded& loaded, const std::string& input = "",
                      const HostLayout& host = debian()) {
  Result<LaunchRequest> request = LaunchPlanner(host).plan(loaded, input, 5);
  INFO((request ? std::string() : request.error().message));
  REQUIRE(request.has_value());
  return *request;
}

const BindMount* bind_at(const LaunchRequest& request, const std::string& target) {
  const auto found = std::find_if(request.binds.begin(), request.binds.end(),
                                  [&](const BindMount& bind) { return bind.target == target; });
  return found == request.binds.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("every plugin finds its own folder read-only at /plugin and works there") {
  for (const char* runtime : {"native", "python", "command"}) {
    const LaunchRequest request = planned(plugin_of(runtime));
    INFO(runtime);
    const BindMount* folder = bind_at(request, "/plugin");
    REQUIRE(folder != nullptr);
    CHECK(folder->source == "/srv/plugins/hello");
    CHECK(folder->access == Access::kReadOnly);
    CHECK(request.working_directory == "/plugin");
    CHECK(request.name == "hello");
    CHECK(request.descriptor_count == 5);
  }
}

TEST_CASE("a static program sees its folder and nothing of the system") {
  const LaunchRequest request = planned(plugin_of("native", v1::LINK_KIND_STATIC));
  CHECK(request.binds.size() == 1);
  CHECK(request.links.empty());
  CHECK(request.files.empty());
  CHECK(request.executable == "/plugin/bin/main");
  CHECK(request.arguments == std::vector<std::string>{"/plugin/bin/main"});
}

TEST_CASE("a dynamic program sees libraries, but no programs of the system") {
  const LaunchRequest request = planned(plugin_of("native", v1::LINK_KIND_DYNAMIC));
  CHECK(bind_at(request, "/usr/lib") != nullptr);
  CHECK(bind_at(request, "/usr") == nullptr);
  CHECK(bind_at(request, "/usr/bin") == nullptr);
}

TEST_CASE("a script that speaks frames sees the system's programs") {
  CHECK(bind_at(planned(plugin_of("native", v1::LINK_KIND_SCRIPT)), "/usr") != nullptr);
}

TEST_CASE("a Python plugin is run by its interpreter with the SDK beside it") {
  const LaunchRequest request = planned(plugin_of("python"));
  CHECK(request.executable == "/usr/bin/python3.11");
  CHECK(request.arguments.back() == "/plugin/bin/main");
  const BindMount* sdk = bind_at(request, "/liongate/python");
  REQUIRE(sdk != nullptr);
  CHECK(sdk->source == "/usr/lib/liongate/sdk/python");
  CHECK(bind_at(request, "/usr/bin/python3.11") != nullptr);
  CHECK(bind_at(request, "/usr") == nullptr);
}

TEST_CASE("without an interpreter or an SDK a Python plugin fails with what to install") {
  const auto python = plugin_of("python");
  HostLayout bare = debian();
  bare.python_program.clear();
  const Result<LaunchRequest> no_interpreter = LaunchPlanner(bare).plan(python, "", 5);
  CHECK(no_interpreter.error().reason == Reason::kLoadFailure);
  CHECK(no_interpreter.error().hint.find("python3") != std::string::npos);
  HostLayout no_sdk = debian();
  no_sdk.python_sdk_folder.clear();
  CHECK(LaunchPlanner(no_sdk).plan(python, "", 5).error().reason == Reason::kLoadFailure);
}

TEST_CASE("the words of the manifest follow the program's own") {
  v1::PluginLoaded loaded = plugin_of("native", v1::LINK_KIND_STATIC);
  loaded.mutable_manifest()->add_args("--input={input}");
  CHECK(planned(loaded, "ignored").arguments ==
        std::vector<std::string>{"/plugin/bin/main", "--input={input}"});  // {input} is a command's word
}

TEST_CASE("the input of a command stands wherever its args name it, as it is") {
  v1::PluginLoaded loaded = plugin_of("command");
  loaded.mutable_manifest()->add_args("{input}");
  loaded.mutable_manifest()->add_args("a {input} b {input}");
  const std::vector<std::string> arguments = planned(loaded, "x {input} $(y)").arguments;
  CHECK(arguments[1] == "x {input} $(y)");
  CHECK(arguments[2] == "a x {input} $(y) b x {input} $(y)");
}

TEST_CASE("an observer, for which nobody waits, gives way to what somebody waits for") {
  v1::PluginLoaded loaded = plugin_of("native", v1::LINK_KIND_STATIC);
  CHECK_FALSE(planned(loaded).limits.is_background);
  loaded.mutable_manifest()->set_role("observer");
  CHECK(planned(loaded).limits.is_background);
}

TEST_CASE("a command may have processes of its own, a native plugin by permission only") {
  CHECK(planned(plugin_of("command")).allow_processes);
  v1::PluginLoaded native = plugin_of("native", v1::LINK_KIND_STATIC);
  CHECK_FALSE(planned(native).allow_processes);
  CHECK_FALSE(planned(native).allow_jit);
  native.mutable_manifest()->add_permissions("process");
  native.mutable_manifest()->add_permissions("jit");
  CHECK(planned(native).allow_processes);
  CHECK(planned(native).allow_jit);
}

TEST_CASE("a command may be a program of the system") {
  v1::PluginLoaded loaded = plugin_of("command");
  loaded.set_entry_point_path("/usr/bin/sort");
  const LaunchRequest request = planned(loaded);
  CHECK(request.executable == "/usr/bin/sort");
  CHECK(bind_at(request, "/usr/bin/sort") == nullptr);  // /usr is there anyway
  // Elsewhere on the host it is refused by the inspector; the planner would not bring it in either.
  loaded.set_entry_point_path("/opt/tools/sort");
  CHECK(bind_at(planned(loaded), "/opt/tools/sort") == nullptr);
}

TEST_CASE("granted paths appear at their own place, read-only or not as granted") {
  v1::PluginLoaded loaded = plugin_of("native", v1::LINK_KIND_STATIC);
  loaded.mutable_manifest()->add_permissions("fs_read:/srv/data/");
  loaded.mutable_manifest()->add_permissions("fs_write:/srv/./out");
  const LaunchRequest request = planned(loaded);
  const BindMount* data = bind_at(request, "/srv/data");
  const BindMount* out = bind_at(request, "/srv/out");
  REQUIRE(data != nullptr);
  REQUIRE(out != nullptr);
  CHECK(data->source == "/srv/data");
  CHECK(data->access == Access::kReadOnly);
  CHECK(out->access == Access::kReadWrite);
  CHECK_FALSE(data->executable);
  CHECK_FALSE(out->executable);
}

TEST_CASE("a relative grant lies below the plugin's folder and its place there") {
  v1::PluginLoaded loaded = plugin_of("native", v1::LINK_KIND_STATIC);
  loaded.mutable_manifest()->add_permissions("fs_write:state");
  const LaunchRequest request = planned(loaded);
  const BindMount* state = bind_at(request, "/plugin/state");
  REQUIRE(state != nullptr);
  CHECK(state->source == "/srv/plugins/hello/state");
  // Behind the plugin's own folder, which would hide it otherwise.
  CHECK(state > bind_at(request, "/plugin"));
}

TEST_CASE("the environment is the plugin's own but for what is granted and set") {
  ::setenv("LIONGATE_TEST_GRANTED", "yes", 1);
  ::setenv("LIONGATE_TEST_SECRET", "no", 1);
  ::unsetenv("LIONGATE_TEST_MISSING");
  v1::PluginLoaded loaded = plugin_of("native", v1::LINK_KIND_STATIC);
  loaded.mutable_manifest()->add_permissions("env:LIONGATE_TEST_GRANTED");
  loaded.mutable_manifest()->add_permissions("env:LIONGATE_TEST_MISSING");
  const std::vector<std::string> environment = planned(loaded).environment;
  CHECK(std::count(environment.begin(), environment.end(), "LIONGATE_TEST_GRANTED=yes") == 1);
  for (const std::string& variable : environment) {
    CHECK(variable.find("SECRET") == std::string::npos);
    CHECK(variable.find("MISSING") == std::string::npos);
  }
}

TEST_CASE("limits of the manifest become limits of the sandbox") {
  v1::PluginLoaded loaded = plugin_of("command");
  v1::ManifestLimits& limits = *loaded.mutable_manifest()->mutable_limits();
  limits.set_memory_bytes_max(1 << 20);
  limits.set_processes_max(3);
  limits.set_open_files_max(10);
  limits.set_cpu_time_ms_max(1001);
  limits.set_cpu_percent_max(50);
  limits.set_file_size_bytes_max(11);
  limits.set_tmp_bytes_max(12);
  limits.set_tmp_files_max(13);
  limits.set_io_bytes_per_second_max(14);
  const LaunchRequest request = planned(loaded);
  CHECK(request.limits.memory_bytes_max == 1 << 20);
  CHECK(request.limits.processes_max == 3);
  CHECK(request.limits.open_files_max == 10);
  CHECK(request.limits.cpu_time_s_max == 2);  // whole seconds, rounded up
  CHECK(request.limits.cpu_percent_max == 50);
  CHECK(request.limits.file_size_bytes_max == 11);
  CHECK(request.limits.tmp_bytes_max == 12);
  CHECK(request.limits.tmp_files_max == 13);
  CHECK(request.limits.io_bytes_per_second_max == 14);
}

TEST_CASE("the CPU time of one call is no limit on the whole life of a plugin that serves many") {
  v1::PluginLoaded loaded = plugin_of("native", v1::LINK_KIND_STATIC);
  loaded.mutable_manifest()->mutable_limits()->set_cpu_time_ms_max(1000);
  CHECK(planned(loaded).limits.cpu_time_s_max == 0);
}

TEST_CASE("a host without a merged /usr gets its old folders bound") {
  HostLayout old = debian();
  old.merged_usr = false;
  const LaunchRequest request = planned(plugin_of("command"), "", old);
  CHECK(bind_at(request, "/bin") != nullptr);
  CHECK(request.links.empty());
  CHECK_FALSE(planned(plugin_of("command")).links.empty());
}
