// Goal: control groups are used only where they were given to us, hold what was asked, and leave nothing behind. What
// is decided and written is tried on folders of plain files; making, killing and removing on the host's own cgroup2,
// which needs no controllers for it. What the controllers do is proved in a virtual machine (`make test-vm`).
#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "sandbox/cgroup_files.h"
#include "sandbox/sandbox_process.h"

using namespace liongate;
using namespace liongate::sandbox;
namespace fs = std::filesystem;

namespace {

// A tree of plain files that looks like a delegated group /service below a cgroup2 mount.
class FakeTree {
 public:
  FakeTree() {
    char pattern[] = "/tmp/liongate-cgroup-XXXXXX";
    REQUIRE(::mkdtemp(pattern) != nullptr);
    root_ = pattern;
    fs::create_directories(group());
    put("own", "0::/service\n");
    put("mount/service/cgroup.controllers", "cpuset cpu io memory pids\n");
    put("mount/service/cgroup.procs", "");
    put("mount/service/cgroup.subtree_control", "");
    mark_delegated();
  }
  ~FakeTree() { fs::remove_all(root_); }
  FakeTree(const FakeTree&) = delete;
  FakeTree& operator=(const FakeTree&) = delete;

  std::string group() const { return root_ + "/mount/service"; }
  void put(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + "/" + path).parent_path());
    std::ofstream(root_ + "/" + path) << text;
  }
  std::string text(const std::string& path) const {
    std::stringstream all;
    all << std::ifstream(root_ + "/" + path).rdbuf();
    return all.str();
  }
  bool exists(const std::string& path) const { return fs::exists(root_ + "/" + path); }
  void mark_delegated() const { REQUIRE(::setxattr(group().c_str(), "user.delegate", "1", 1, 0) == 0); }
  void unmark() const { REQUIRE(::removexattr(group().c_str(), "user.delegate") == 0); }

  CgroupTree adopt(const std::vector<pid_t>& members = {11, 12}, bool is_vouched_for = false) const {
    CgroupPlaces places;
    places.is_vouched_for = is_vouched_for;
    places.mount = root_ + "/mount";
    places.own_cgroup = root_ + "/own";
    places.block_devices = root_ + "/dev";
    places.is_fake = true;
    return CgroupTree::adopt(places, members);
  }

 private:
  std::string root_;
};

}  // namespace

TEST_CASE("a group without a mark is taken where the unit says that it was delegated") {
  const FakeTree host;
  host.unmark();
  CHECK_FALSE(host.adopt({11, 12}).available());
  CHECK(host.adopt({11, 12}, true).available());
  // What was said holds for the group itself: one found in the leaf is not taken for the whole.
  host.put("own", "0::/service/daemon\n");
  CHECK_FALSE(host.adopt({11, 12}, true).folder().ends_with("/daemon"));
}

TEST_CASE("the line of v2 is told from those of v1") {
  const OwnCgroup hybrid = parse_own_cgroup("8:pids:/x\n7:cpu,cpuacct:/\n1:name=systemd:/\n0::/a/b.service\n");
  CHECK(hybrid.path == "/a/b.service");
  CHECK(hybrid.legacy_controllers == std::vector<std::string>{"pids", "cpu", "cpuacct"});
  CHECK_FALSE(parse_own_cgroup("8:pids:/x\n").path.has_value());
  CHECK_FALSE(parse_own_cgroup("").path.has_value());
  CHECK_FALSE(parse_own_cgroup("0\n:\n::\n").path.has_value());
}

TEST_CASE("counters, numbers and pressure are read exactly") {
  const std::string events = "low 0\nhigh 7\nmax 31\noom 2\noom_kill 1\noom_group_kill 3\n";
  CHECK(keyed_value(events, "oom_kill") == 1);
  CHECK(keyed_value(events, "max") == 31);
  CHECK(keyed_value(events, "oom_kil") == 0);
  CHECK(keyed_value("", "max") == 0);
  CHECK(single_value("4096\n") == 4096U);
  CHECK_FALSE(single_value("max\n").has_value());
  CHECK_FALSE(single_value("").has_value());
  CHECK_FALSE(single_value("12 13\n").has_value());
  const std::string pressure =
      "some avg10=0.00 avg60=0.00 avg300=0.00 total=4711\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
  CHECK(pressure_total_us(pressure) == 4711U);
  CHECK_FALSE(pressure_total_us("full avg10=0.00 total=9\n").has_value());
}

TEST_CASE("a share of CPU becomes a quota, a limit on memory has a margin for reclaim") {
  CHECK(cpu_max_text(50) == "50000 100000");
  CHECK(cpu_max_text(250) == "250000 100000");
  CHECK(memory_high_of(16 << 20) == 15 << 20);
  CHECK(memory_high_of(1ULL << 30) == (1ULL << 30) - (4 << 20));
}

TEST_CASE("a delegated group is taken: our processes in a leaf, its controllers handed on") {
  const FakeTree fake;
  const CgroupTree tree = fake.adopt({11, 12});
  INFO(tree.reason());
  REQUIRE(tree.available());
  CHECK(fake.text("mount/service/daemon/cgroup.procs") == "1112");  // one write each; cgroupfs takes one pid a write
  CHECK(fake.text("mount/service/cgroup.subtree_control") == "+cpu+io+memory+pids");
  CHECK(fake.text("mount/service/daemon/cpu.weight") == "1000");
}

TEST_CASE("a group that nobody gave us is left alone") {
  const FakeTree fake;
  fake.unmark();
  const CgroupTree tree = fake.adopt();
  CHECK_FALSE(tree.available());
  CHECK(tree.reason() == "the group /service is not delegated to liongated");
  CHECK(tree.remedy().find("Delegate=yes") != std::string::npos);
  CHECK_FALSE(fake.exists("mount/service/daemon"));
}

TEST_CASE("a container's own root is ours, the host's root never") {
  for (const bool is_container : {true, false}) {
    const FakeTree fake;
    fake.put("own", "0::/\n");
    for (const char* file : {"cgroup.procs", "cgroup.subtree_control"}) fake.put(std::string("mount/") + file, "");
    fake.put("mount/cgroup.controllers", "memory pids\n");
    if (is_container) fake.put("mount/cgroup.type", "domain\n");
    CHECK(fake.adopt().available() == is_container);
  }
}

TEST_CASE("cgroup v1, hybrid hosts and missing controllers are told by name") {
  const FakeTree fake;
  SECTION("no v2 line") {
    fake.put("own", "8:memory:/x\n");
    CHECK(fake.adopt().reason().find("v1 or hybrid counts as none") != std::string::npos);
  }
  SECTION("a group outside the namespace") {
    fake.put("own", "0::/../other\n");
    CHECK(fake.adopt().reason().find("lies outside") != std::string::npos);
  }
  SECTION("the controller is with v1") {
    fake.put("own", "8:memory:/x\n0::/service\n");
    fake.put("mount/service/cgroup.controllers", "cpu pids\n");
    const CgroupTree tree = fake.adopt();
    CHECK(tree.reason() == "the group /service has no controller memory");
    CHECK(tree.remedy() == "boot with systemd.unified_cgroup_hierarchy=1");
  }
  SECTION("another daemon is there") {
    fake.put("mount/service/daemon/cgroup.procs", "11\n99\n");
    CHECK(fake.adopt({11, 12}).reason() == "another liongated uses the group /service");
  }
}

TEST_CASE("a launcher of a daemon that was moved before finds the same group") {
  const FakeTree fake;
  REQUIRE(fake.adopt({11, 12}).available());
  fake.put("own", "0::/service/daemon\n");
  fake.put("mount/service/daemon/cgroup.procs", "11\n13\n");
  const CgroupTree again = fake.adopt({11, 13});
  INFO(again.reason());
  CHECK(again.available());
  CHECK(again.folder() == fake.group());
}

TEST_CASE("a leaf is limited before anything lives in it") {
  const FakeTree fake;
  const CgroupTree tree = fake.adopt();
  fake.put("dev/real/sda/dev", "8:0\n");
  fake.put("dev/real/sda/sda1/dev", "8:1\n");
  fake.put("dev/real/sda/sda1/partition", "1\n");
  fs::create_directory_symlink("real/sda/sda1", fake.group() + "/../../dev/8:1");
  CgroupLimits limits{64 << 20, 33, 150, 1 << 20, {makedev(8, 1), makedev(8, 1), makedev(0, 42)}};
  const auto leaf = tree.make(7, limits);
  REQUIRE(leaf);
  const std::string place = "mount/service/plugin-7/";
  CHECK(fake.text(place + "memory.max") == "67108864");
  CHECK(fake.text(place + "memory.high") == "62914560");
  CHECK(fake.text(place + "memory.swap.max") == "0");
  CHECK(fake.text(place + "memory.oom.group") == "1");
  CHECK(fake.text(place + "pids.max") == "33");
  CHECK(fake.text(place + "cpu.max") == "150000 100000");
  // The whole disk, once; a device without a disk has no rate.
  CHECK(fake.text(place + "io.max") == "8:0 rbps=1048576 wbps=1048576");
}

TEST_CASE("what was not asked for is not written, and a leaf that exists already is an error") {
  const FakeTree fake;
  const CgroupTree tree = fake.adopt();
  REQUIRE(tree.make(1, {}));
  CHECK_FALSE(fake.exists("mount/service/plugin-1/cpu.max"));
  CHECK_FALSE(fake.exists("mount/service/plugin-1/io.max"));
  const auto second = tree.make(1, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().sys_errno == EEXIST);
}

TEST_CASE("what was used, and which limit was met, is read from the leaf") {
  const FakeTree fake;
  const CgroupTree tree = fake.adopt();
  const auto leaf = tree.make(5, {});
  REQUIRE(leaf);
  const std::string place = "mount/service/plugin-5/";
  fake.put(place + "memory.peak", "104857600\n");
  fake.put(place + "memory.events", "low 0\nhigh 2\nmax 9\noom 1\noom_kill 4\n");
  fake.put(place + "pids.events", "max 12\n");
  fake.put(place + "cpu.stat", "usage_usec 250000\nuser_usec 1\n");
  fake.put(place + "memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n");
  const CgroupUsage usage = leaf->usage();
  CHECK(usage.memory_peak_bytes == 104857600U);
  CHECK(usage.oom_kills == 4);
  CHECK(usage.process_denials == 12);
  CHECK(usage.cpu_time_us == 250000);
  CHECK(usage.memory_pressure_us == 77U);
  CHECK_FALSE(usage.io_pressure_us.has_value());
}

namespace {

constexpr long kCgroup2Magic = 0x63677270;

// A cgroup2 mount that we may write to. It need not have controllers: making, killing and removing need none.
std::string real_mount() {
  for (const char* place : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs info {};
    if (::statfs(place, &info) == 0 && info.f_type == kCgroup2Magic && ::access(place, W_OK) == 0) return place;
  }
  return {};
}

// A group of the test's own in the real tree, marked as delegated.
class RealGroup {
 public:
  explicit RealGroup(const std::string& mount) : mount_(mount), name_("/liongate-test-" + std::to_string(::getpid())) {
    REQUIRE(::mkdir(folder().c_str(), 0755) == 0);
    REQUIRE(::setxattr(folder().c_str(), "user.delegate", "1", 1, 0) == 0);
    char pattern[] = "/tmp/liongate-own-XXXXXX";
    own_ = UniqueFd(::mkstemp(pattern));
    own_path_ = pattern;
    std::ofstream(own_path_) << "0::" << name_ << "\n";
  }
  ~RealGroup() {
    for (const auto& entry : fs::directory_iterator(folder())) {
      if (entry.is_directory()) ::rmdir(entry.path().c_str());
    }
    CHECK(::rmdir(folder().c_str()) == 0);
    ::unlink(own_path_.c_str());
  }
  RealGroup(const RealGroup&) = delete;
  RealGroup& operator=(const RealGroup&) = delete;

  std::string folder() const { return mount_ + name_; }
  CgroupTree adopt() const {
    CgroupPlaces places;
    places.mount = mount_;
    places.own_cgroup = own_path_;
    places.required = {};
    return CgroupTree::adopt(places, {});
  }

 private:
  std::string mount_;
  std::string name_;
  UniqueFd own_;
  std::string own_path_;
};

std::string leaf_of_self() {
  std::stringstream all;
  all << std::ifstream("/proc/self/cgroup").rdbuf();
  return parse_own_cgroup(all.str()).path.value_or("");
}

}  // namespace

TEST_CASE("a process is born in its leaf, the leaf's kill reaches its children too, and nothing is left") {
  const std::string mount = real_mount();
  if (mount.empty()) {
    std::cout << "skipped: no writable cgroup2 on this host\n";
    return;
  }
  const RealGroup group(mount);
  CgroupTree tree = group.adopt();
  INFO(tree.reason());
  REQUIRE(tree.available());
  auto leaf = tree.make(3, {});
  REQUIRE(leaf);
  const auto place = leaf->open();
  REQUIRE(place);
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  UniqueFd pidfd;
  const pid_t pid = clone_process(0, pidfd, place->get());
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const char is_there = leaf_of_self().ends_with("/plugin-3") ? 1 : 0;
    if (::fork() == 0) {
      [[maybe_unused]] const auto sent = ::write(ready[1], &is_there, 1);
      for (;;) ::pause();
    }
    for (;;) ::pause();
  }
  char is_there = 0;
  REQUIRE(::read(ready[0], &is_there, 1) == 1);
  CHECK(is_there == 1);
  ::close(ready[1]);
  CHECK(leaf->kill());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(WTERMSIG(status) == SIGKILL);
  char byte = 0;
  CHECK(::read(ready[0], &byte, 1) == 0);  // the grandchild's end of the pipe is closed: it is dead
  ::close(ready[0]);
  tree.remove(std::move(*leaf));
  for (int tries = 0; tree.has_leftovers() && tries < 1000; ++tries) {
    ::usleep(1000);
    tree.sweep();
  }
  CHECK_FALSE(fs::exists(group.folder() + "/plugin-3"));
}

TEST_CASE("a launcher removes what a killed one left, and whoever lives there") {
  const std::string mount = real_mount();
  if (mount.empty()) {
    std::cout << "skipped: no writable cgroup2 on this host\n";
    return;
  }
  const RealGroup group(mount);
  CgroupTree before = group.adopt();
  REQUIRE(before.available());
  const auto leaf = before.make(9, {});
  REQUIRE(leaf);
  UniqueFd pidfd;
  const pid_t pid = clone_process(0, pidfd, leaf->open()->get());
  REQUIRE(pid >= 0);
  if (pid == 0) {
    for (;;) ::pause();
  }
  CgroupTree after = group.adopt();
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  for (int tries = 0; after.has_leftovers() && tries < 1000; ++tries) {
    ::usleep(1000);
    after.sweep();
  }
  CHECK_FALSE(fs::exists(leaf->folder()));
}
