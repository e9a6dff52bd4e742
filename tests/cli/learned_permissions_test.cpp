// Goal: what a learning run shows becomes the smallest list of permissions that would give it, and what looks like a
// secret never does. Method: events as the daemon records them.
#include "cli/learn/learned_permissions.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using liongate::cli::LearnedPermissions;
namespace v1 = liongate::v1;

namespace {

v1::Event denial(const std::string& permission, const std::string& system_call = "openat") {
  v1::Event event;
  event.mutable_permission_denied()->set_permission(permission);
  event.mutable_permission_denied()->set_system_call(system_call);
  event.mutable_permission_denied()->set_message("refused");
  return event;
}

v1::Event flow(const std::string& host, std::uint32_t port) {
  v1::Event event;
  event.mutable_network_flow_opened()->set_host(host);
  event.mutable_network_flow_opened()->set_port(port);
  return event;
}

std::vector<std::string> manifest_of(const LearnedPermissions& learned) {
  std::vector<std::string> permissions;
  for (const auto& line : learned.for_manifest()) permissions.push_back(line.permission);
  return permissions;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("what was refused is granted, with the call that showed it, behind what was asked for already") {
  LearnedPermissions learned({"jit"});
  learned.take(denial("fs_read:/data/a", "stat"));
  learned.take(denial("fs_read:/data/a"));
  learned.take(denial("jit", "mprotect"));
  learned.take(denial("process", "execve"));
  CHECK(manifest_of(learned) == Texts{"jit", "fs_read:/data/a", "process"});
  CHECK(learned.for_manifest()[1].why == "stat");
  CHECK(learned.for_trial() == Texts{"jit", "fs_read:/data/a", "process"});
}

TEST_CASE("a grant that another one covers is left out") {
  LearnedPermissions learned({"fs_read:/srv/data"});
  learned.take(denial("fs_read:/srv/data/a"));
  learned.take(denial("fs_read:/work/a"));
  learned.take(denial("fs_read:/work"));
  learned.take(denial("fs_write:/work"));
  learned.take(denial("fs_read:/workshop"));
  CHECK(manifest_of(learned) == Texts{"fs_read:/srv/data", "fs_read:/workshop", "fs_write:/work"});
}

TEST_CASE(
    "more files of one folder than a person reads become the folder, but not of a folder that holds other things") {
  LearnedPermissions learned({});
  for (std::size_t file = 0; file <= liongate::cli::kFilesPerFolderMax; ++file) {
    learned.take(denial("fs_read:/srv/models/" + std::to_string(file)));
    learned.take(denial("fs_read:/etc/" + std::to_string(file)));
    learned.take(denial("fs_read:/home/me/" + std::to_string(file)));
  }
  const Texts permissions = manifest_of(learned);
  CHECK(std::ranges::count(permissions, "fs_read:/srv/models") == 1);
  CHECK(std::ranges::count(permissions, "fs_read:/etc") == 0);
  CHECK(std::ranges::count(permissions, "fs_read:/home/me") == 0);
  CHECK(permissions.size() == 1 + 2 * (liongate::cli::kFilesPerFolderMax + 1));
}

TEST_CASE("a variable is granted when it is set here") {
  REQUIRE(::setenv("LEARN_TEST_SET", "1", 1) == 0);
  LearnedPermissions learned({});
  learned.take(denial("env:LEARN_TEST_SET"));
  learned.take(denial("env:LEARN_TEST_UNSET"));
  REQUIRE(::setenv("TMPDIR", "/var/tmp/mine", 1) == 0);
  learned.take(denial("env:TMPDIR"));
  REQUIRE(::unsetenv("TMPDIR") == 0);
  CHECK(manifest_of(learned) == Texts{"env:LEARN_TEST_SET"});
}

TEST_CASE("what looks like a secret is told and not granted, unless the manifest asks for it") {
  REQUIRE(::setenv("LEARN_TEST_API_KEY", "1", 1) == 0);
  const Texts secrets{"fs_read:/home/me/.ssh",          "fs_read:/home/me/.ssh/config", "fs_read:/etc/shadow",
                      "fs_read:/home/me/.aws/config",   "fs_read:/home/me/.netrc",      "env:LEARN_TEST_API_KEY",
                      "fs_read:/etc/ssl/private/a.pem", "fs_write:/home/me/.gnupg"};
  LearnedPermissions learned({});
  LearnedPermissions asking(secrets);
  for (const std::string& secret : secrets) {
    learned.take(denial(secret));
    asking.take(denial(secret));
  }
  CHECK(manifest_of(learned).empty());
  CHECK(learned.for_trial().empty());
  CHECK(learned.withheld().size() == secrets.size());
  CHECK(asking.withheld().empty());
}

TEST_CASE("a folder that is a home, or has a secret in it or one below, is told and not granted") {
  namespace fs = std::filesystem;
  std::string folder = fs::temp_directory_path() / "liongate-learned-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  fs::create_directories(folder + "/user/.ssh");
  fs::create_directories(folder + "/work/deep/deeper/.ssh");
  LearnedPermissions learned({});
  learned.take(denial("fs_write:" + folder + "/user"));
  learned.take(denial("fs_read:" + folder));
  learned.take(denial("fs_read:" + folder + "/work"));
  learned.take(denial("fs_read:/root"));
  CHECK(learned.for_trial() == Texts{"fs_read:" + folder + "/work"});
  CHECK(learned.withheld().at("fs_write:" + folder + "/user") == folder + "/user/.ssh in it looks like a secret");
  CHECK(learned.withheld().size() == 3);
  fs::remove_all(folder);
}

TEST_CASE("files are not folded into a folder that is not for us to grant") {
  namespace fs = std::filesystem;
  std::string folder = fs::temp_directory_path() / "liongate-learned-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  std::ofstream(folder + "/id_rsa") << "key";
  LearnedPermissions learned({});
  for (std::size_t file = 0; file <= liongate::cli::kFilesPerFolderMax; ++file) {
    learned.take(denial("fs_read:" + folder + "/" + std::to_string(file)));
  }
  CHECK(learned.for_trial().size() == liongate::cli::kFilesPerFolderMax + 1);
  fs::remove_all(folder);
}

TEST_CASE("where there would be more permissions than a manifest has, folders stand for fewer files") {
  LearnedPermissions learned({});
  for (int folder = 0; folder < 15; ++folder) {
    for (int file = 0; file < 6; ++file) {
      learned.take(denial("fs_read:/srv/" + std::to_string(folder) + "/" + std::to_string(file)));
    }
  }
  CHECK(learned.for_trial().size() == 15);
}

TEST_CASE("what is no permission is told and not granted") {
  LearnedPermissions learned({});
  learned.take(denial("network:(no name)", ""));
  CHECK(learned.for_trial().empty());
  CHECK(learned.withheld().at("network:(no name)") == "it is no permission");
}

TEST_CASE("a socket is tried with a host that is never there, so that the gate tells what is wanted") {
  LearnedPermissions learned({});
  learned.take(denial("network", "socket"));
  CHECK(learned.for_trial() == Texts{"network:liongate-learn.invalid"});
  CHECK(manifest_of(learned).empty());
  learned.take(denial("network:api.example.org", ""));
  CHECK(learned.for_trial() == Texts{"network:api.example.org"});
}

TEST_CASE("a host has in the manifest the ports that the program came to") {
  LearnedPermissions learned({});
  learned.take(denial("network:api.example.org", ""));
  learned.take(denial("network:192.0.2.1:25", ""));
  CHECK(manifest_of(learned) == Texts{"network:192.0.2.1:25", "network:api.example.org"});
  learned.take(flow("api.example.org", 443));
  learned.take(flow("api.example.org", 80));
  CHECK(manifest_of(learned) ==
        Texts{"network:192.0.2.1:25", "network:api.example.org:80", "network:api.example.org:443"});
}

TEST_CASE("a host that is refused although it was granted is told, and not tried again") {
  LearnedPermissions learned({});
  learned.take(denial("network:internal.example.org", ""));
  learned.take(denial("network:internal.example.org", ""));
  CHECK(manifest_of(learned) == Texts{"network:internal.example.org"});
  learned.begin_trial(learned.for_trial(), "second");
  learned.take(denial("network:internal.example.org", ""));  // counted in the trial before
  CHECK(manifest_of(learned) == Texts{"network:internal.example.org"});
  v1::Event again = denial("network:internal.example.org", "");
  again.set_correlation_id("second");
  learned.take(again);
  CHECK(manifest_of(learned).empty());
  CHECK(learned.withheld().contains("network:internal.example.org"));
}

TEST_CASE("a call that no permission allows is told by its name") {
  LearnedPermissions learned({});
  learned.take(denial("", "mount"));
  CHECK(manifest_of(learned).empty());
  CHECK(learned.never_granted().contains("mount"));
}
