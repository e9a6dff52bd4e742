// Goal: a folder becomes a plugin's only if it is a plugin's and nobody else's. Method: paths and stats made up.
#include "daemon/folder_safety.h"

#include <catch2/catch.hpp>

using namespace liongate;
using daemon::check_folder;
using daemon::FolderRules;

namespace {

constexpr uid_t kDaemon = 990;
constexpr uid_t kCaller = 1000;
constexpr uid_t kStranger = 1001;

FolderRules rules() {
  return {kDaemon, {"/var/lib/liongate", "/run/liongate/control.sock"}};
}

struct stat owned_by(uid_t uid, mode_t mode = 0755) {
  struct stat info {};
  info.st_uid = uid;
  info.st_mode = S_IFDIR | mode;
  return info;
}

bool is_safe(const std::string& folder, const struct stat& info = owned_by(kCaller)) {
  const Result<void> checked = check_folder(folder, info, kCaller, rules());
  if (!checked) {
    CHECK(checked.error().reason == Reason::kUnsafeFolder);
    CHECK_FALSE(checked.error().hint.empty());
    CHECK(checked.error().metadata.at("folder") == folder);
  }
  return checked.has_value();
}

}  // namespace

TEST_CASE("a folder of its own is a plugin's") {
  CHECK(is_safe("/srv/plugins/hello"));
  CHECK(is_safe("/home/ada/plugins/hello"));
  CHECK(is_safe("/opt/hello"));
  CHECK(is_safe("/usr/lib/liongate/plugins/hello"));
  CHECK(is_safe("/tmp/hello"));
}

TEST_CASE("system folders are refused, what lies below them is not") {
  for (const char* folder : {"/", "/etc", "/usr", "/usr/bin", "/usr/lib", "/var", "/var/lib", "/tmp", "/home", "/root",
                             "/opt", "/srv", "/usr/lib/liongate/plugins"}) {
    INFO(folder);
    CHECK_FALSE(is_safe(folder, owned_by(0)));
  }
}

TEST_CASE("the kernel's own file systems are refused whole") {
  CHECK_FALSE(is_safe("/proc/1/root"));
  CHECK_FALSE(is_safe("/sys/kernel"));
  CHECK_FALSE(is_safe("/dev/shm/hello"));
}

TEST_CASE("a home folder is refused, a folder in it is not") {
  CHECK_FALSE(is_safe("/home/ada"));
  CHECK_FALSE(is_safe("/root", owned_by(0)));
  CHECK(is_safe("/home/ada/hello"));
}

TEST_CASE("what contains or lies in the daemon's own folders is refused") {
  CHECK_FALSE(is_safe("/var/lib/liongate"));
  CHECK_FALSE(is_safe("/var/lib/liongate/log"));
  CHECK_FALSE(is_safe("/run/liongate"));
  CHECK(is_safe("/var/lib/liongate-plugins/hello"));
}

TEST_CASE("a folder that group or others may write is refused") {
  CHECK_FALSE(is_safe("/srv/hello", owned_by(kCaller, 0775)));
  CHECK_FALSE(is_safe("/srv/hello", owned_by(kCaller, 0757)));
  CHECK_FALSE(is_safe("/srv/hello", owned_by(kCaller, 01777)));
  CHECK(is_safe("/srv/hello", owned_by(kCaller, 0700)));
}

TEST_CASE("it must belong to root, the daemon or the caller") {
  CHECK(is_safe("/srv/hello", owned_by(0)));
  CHECK(is_safe("/srv/hello", owned_by(kDaemon)));
  CHECK(is_safe("/srv/hello", owned_by(kCaller)));
  CHECK_FALSE(is_safe("/srv/hello", owned_by(kStranger)));
}
