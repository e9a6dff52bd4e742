// Goal: a manifest, its folder and its entry point are looked at before anything runs, and each fault has its reason.
#include "daemon/file_inspector.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "kernel/base/limits.h"
#include "tests/daemon/fake_file_server.h"

using namespace liongate;
using namespace liongate::testing;
using daemon::FileInspector;
using registry::PluginSource;

namespace fs = std::filesystem;

namespace {

// An inspector whose opener is answered by a thread, and the loop it reports to.
class Inspection {
 public:
  Inspection() {
    auto [ours, theirs] = sandbox::packet_socket_pair().value();
    server_ = std::thread([socket = std::move(theirs)] { FakeFileServer::serve(socket.get()); });
    inspector_ = std::make_unique<FileInspector>(io_, std::move(ours), daemon::FolderRules{::getuid(), {}});
  }
  ~Inspection() {
    inspector_.reset();
    server_.join();
  }

  Result<v1::PluginLoaded> inspect(const PluginSource& source) {
    std::optional<Result<v1::PluginLoaded>> result;
    inspector_->inspect(source, [&](Result<v1::PluginLoaded> loaded) { result = std::move(loaded); });
    CHECK_FALSE(result.has_value());  // never inside the call
    wait_for([&] { return result.has_value(); });
    return *result;
  }
  Result<std::string> digest(const v1::PluginLoaded& loaded) {
    std::optional<Result<std::string>> result;
    inspector_->digest(loaded, [&](Result<std::string> digest) { result = std::move(digest); });
    wait_for([&] { return result.has_value(); });
    return *result;
  }

 private:
  template <typename Condition>
  void wait_for(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < end) io_.run_one_until(end);
    REQUIRE(condition());
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ = boost::asio::make_work_guard(io_);
  std::thread server_;
  std::unique_ptr<FileInspector> inspector_;
};

struct PluginFolder : TemporaryFolder {
  PluginFolder() {
    write("main", "#!/bin/sh\necho hello\n");
    REQUIRE(::chmod((path + "/main").c_str(), 0755) == 0);
    manifest("");
  }
  void manifest(const std::string& more, const std::string& entry_point = "./main") const {
    write("manifest.toml", "name = \"hello\"\nversion = \"1.0.0\"\nentry_point = \"" + entry_point +
                               "\"\npermissions = []\n" + (more.empty() ? "runtime = \"command\"\n" : more));
  }
  PluginSource source(const std::string& file = "manifest.toml") const {
    PluginSource source;
    source.manifest_path = path + "/" + file;
    source.caller_uid = ::getuid();
    return source;
  }
};

Reason fault_of(const PluginSource& source) {
  Inspection inspection;
  const Result<v1::PluginLoaded> loaded = inspection.inspect(source);
  REQUIRE_FALSE(loaded.has_value());
  INFO(loaded.error().message);
  CHECK_FALSE(loaded.error().message.empty());
  return loaded.error().reason;
}

}  // namespace

TEST_CASE("a good plugin is loaded with all that its start needs") {
  const PluginFolder folder;
  Inspection inspection;
  const Result<v1::PluginLoaded> loaded = inspection.inspect(folder.source());
  INFO((loaded ? std::string() : loaded.error().message));
  REQUIRE(loaded.has_value());
  CHECK(loaded->manifest().name() == "hello");
  CHECK(loaded->folder() == folder.path);
  CHECK(loaded->entry_point_path() == folder.path + "/main");
  CHECK(loaded->manifest_path() == folder.path + "/manifest.toml");
  CHECK(loaded->manifest_source().find("name = \"hello\"") != std::string::npos);
  CHECK(loaded->digest_sha256().size() == 64);
  CHECK(loaded->config_json() == "{}");
  CHECK(*inspection.digest(*loaded) == loaded->digest_sha256());
  folder.write("main", "#!/bin/sh\necho changed\n");
  CHECK(*inspection.digest(*loaded) != loaded->digest_sha256());
  fs::remove_all(folder.path);
  CHECK(inspection.digest(*loaded).error().reason == Reason::kEntryPointNotFound);
}

TEST_CASE("how a native program is linked is found out") {
  const PluginFolder folder;
  folder.manifest("runtime = \"native\"\n");
  Inspection inspection;
  CHECK(inspection.inspect(folder.source())->link_kind() == v1::LINK_KIND_SCRIPT);
  fs::copy_file("/proc/self/exe", folder.path + "/main", fs::copy_options::overwrite_existing);
  CHECK(inspection.inspect(folder.source())->link_kind() == v1::LINK_KIND_DYNAMIC);
}

TEST_CASE("a manifest that is missing, no file or no manifest is INVALID_MANIFEST") {
  const PluginFolder folder;
  CHECK(fault_of(folder.source("missing.toml")) == Reason::kInvalidManifest);
  fs::create_directory(folder.path + "/folder.toml");
  CHECK(fault_of(folder.source("folder.toml")) == Reason::kInvalidManifest);
  folder.write("broken.toml", "name = \n");
  CHECK(fault_of(folder.source("broken.toml")) == Reason::kInvalidManifest);
  folder.write("large.toml", std::string(limits::kManifestBytesMax + 1, '#'));
  CHECK(fault_of(folder.source("large.toml")) == Reason::kInvalidManifest);
  REQUIRE(::mkfifo((folder.path + "/pipe.toml").c_str(), 0600) == 0);
  CHECK(fault_of(folder.source("pipe.toml")) == Reason::kInvalidManifest);
}

TEST_CASE("a path that is not absolute is INVALID_ARGUMENT") {
  PluginSource source;
  source.manifest_path = "manifest.toml";
  CHECK(fault_of(source) == Reason::kInvalidArgument);
}

TEST_CASE("an entry point that is not there, a folder, a device, outside or not executable is ENTRY_POINT_NOT_FOUND") {
  const PluginFolder folder;
  const char* const kCommand = "runtime = \"command\"\n";
  const char* const kNative = "runtime = \"native\"\n";
  folder.manifest(kCommand, "./missing");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
  fs::create_directory(folder.path + "/folder");
  folder.manifest(kCommand, "./folder");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
  folder.manifest(kCommand, "/dev/null");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
  folder.manifest(kNative, "/usr/bin/env");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
  folder.write("plain", "text");
  folder.manifest(kCommand, "./plain");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
  fs::create_symlink("/usr/bin/env", folder.path + "/link");
  folder.manifest(kCommand, "./link");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
}

TEST_CASE("a script whose interpreter is missing is ENTRY_POINT_NOT_FOUND") {
  const PluginFolder folder;
  folder.write("main", "#!/usr/bin/no-such-interpreter -x\n");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
  folder.write("main", "#!\n");
  CHECK(fault_of(folder.source()) == Reason::kEntryPointNotFound);
}

TEST_CASE("an unsafe folder is UNSAFE_FOLDER") {
  const PluginFolder folder;
  REQUIRE(::chmod(folder.path.c_str(), 0777) == 0);
  CHECK(fault_of(folder.source()) == Reason::kUnsafeFolder);
}

TEST_CASE("a runtime that this version does not have is UNIMPLEMENTED") {
  const PluginFolder folder;
  folder.manifest("runtime = \"wasm\"\n");
  CHECK(fault_of(folder.source()) == Reason::kUnimplemented);
}

TEST_CASE("a command cannot observe: it runs for calls alone") {
  const PluginFolder folder;
  folder.manifest("runtime = \"command\"\nrole = \"observer\"\n");
  CHECK(fault_of(folder.source()) == Reason::kInvalidManifest);
}

namespace {

// An entry of a plugins.yaml that lies in `folder`.
PluginSource listed(const PluginFolder& folder, const std::string& module, const std::string& id = "watcher") {
  PluginSource source;
  source.caller_uid = ::getuid();
  source.listing = v1::PluginListing();
  source.listing->set_file(folder.path + "/plugins.yaml");
  source.listing->set_id(id);
  source.listing->set_module(module);
  source.listing->set_config_json("{\"b\": 2}");
  source.listing->add_module_folders(folder.path);
  return source;
}

}  // namespace

TEST_CASE("an entry's class is looked for as a file and as a package, and its folder comes with it") {
  const PluginFolder folder;
  fs::create_directories(folder.path + "/my_app/deep");
  folder.write("my_app/plugins.py", "");
  folder.write("my_app/deep/__init__.py", "");
  Inspection inspection;
  const auto file = inspection.inspect(listed(folder, "my_app.plugins.Logging"));
  REQUIRE(file);
  CHECK(file->folder() == folder.path + "/my_app");
  CHECK(file->entry_point_path() == folder.path + "/my_app/plugins.py");
  CHECK(file->manifest().name() == "watcher");
  CHECK(file->manifest().role() == "observer");
  CHECK(file->manifest().runtime() == "python");
  CHECK(file->config_json() == "{\"b\":2}");
  CHECK_FALSE(file->is_lone_file());
  const auto package = inspection.inspect(listed(folder, "my_app.deep.Logging"));
  REQUIRE(package);
  CHECK(package->entry_point_path() == folder.path + "/my_app/deep/__init__.py");
  CHECK(package->folder() == folder.path + "/my_app");
}

TEST_CASE("a module beside plugins.yaml comes alone: nothing else there is its, or changes it") {
  const PluginFolder folder;
  folder.write("tally.py", "");
  folder.write("plugins.yaml", "one");
  Inspection inspection;
  for (const char* module : {"tally.Tally", "tally.py:Tally"}) {
    const auto loaded = inspection.inspect(listed(folder, module));
    REQUIRE(loaded);
    CHECK(loaded->is_lone_file());
    folder.write("plugins.yaml", "another");
    CHECK(*inspection.digest(*loaded) == loaded->digest_sha256());
  }
  const auto loaded = inspection.inspect(listed(folder, "tally.Tally"));
  folder.write("tally.py", "changed");
  CHECK(*inspection.digest(*loaded) != loaded->digest_sha256());
}

TEST_CASE("an entry's module that is not there is MODULE_NOT_FOUND, with the places that were looked at") {
  const PluginFolder folder;
  Inspection inspection;
  for (const char* module : {"my_app.plugins.Logging", "gone.py:Logging", "gone/manifest.toml"}) {
    const auto loaded = inspection.inspect(listed(folder, module));
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().reason == Reason::kModuleNotFound);
    CHECK(loaded.error().message.find(folder.path) != std::string::npos);
    CHECK(loaded.error().message.starts_with("plugin watcher: "));
  }
}

TEST_CASE("an entry's manifest must be an observer's; the entry's name and configuration win") {
  const PluginFolder folder;
  folder.write("main.py", "");
  folder.manifest("runtime = \"python\"\nrole = \"observer\"\n[configuration.properties.a]\ndefault = 1\n",
                  "./main.py");
  Inspection inspection;
  const auto loaded = inspection.inspect(listed(folder, "manifest.toml"));
  INFO((loaded ? "" : loaded.error().message));
  REQUIRE(loaded);
  CHECK(loaded->manifest().name() == "watcher");
  CHECK(loaded->config_json() == "{\"a\":1,\"b\":2}");
  CHECK_FALSE(loaded->is_lone_file());
  folder.manifest("runtime = \"python\"\n", "./main.py");
  const auto callable = inspection.inspect(listed(folder, "manifest.toml"));
  REQUIRE_FALSE(callable);
  CHECK(callable.error().reason == Reason::kNotAPlugin);
}

TEST_CASE("a symbolic link to the folder is the folder") {
  const PluginFolder folder;
  const TemporaryFolder elsewhere;
  fs::create_directory_symlink(folder.path, elsewhere.path + "/link");
  PluginSource source;
  source.manifest_path = elsewhere.path + "/link/manifest.toml";
  source.caller_uid = ::getuid();
  Inspection inspection;
  CHECK(inspection.inspect(source)->folder() == folder.path);
}

TEST_CASE("an inline manifest is relative to the folder that comes with it") {
  const PluginFolder folder;
  PluginSource source;
  source.manifest.set_name("hello");
  source.manifest.set_version("1.0.0");
  source.manifest.set_entry_point("./main");
  source.manifest.set_runtime("command");
  source.folder = folder.path;
  source.caller_uid = ::getuid();
  Inspection inspection;
  const Result<v1::PluginLoaded> loaded = inspection.inspect(source);
  INFO((loaded ? std::string() : loaded.error().message));
  REQUIRE(loaded.has_value());
  CHECK(loaded->entry_point_path() == folder.path + "/main");
  CHECK(loaded->manifest_path().empty());
}
