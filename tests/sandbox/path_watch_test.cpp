// Goal: learn mode tells what a program looks for in vain, once each and by the permission that would give it, and
// nothing else is otherwise than without it. Method: real sandboxes with a shell that looks for things.
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <fstream>

#include "launcher_harness.h"
#include "sandbox/path_watch.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

LaunchRequest watched_shell(const std::string& script) {
  LaunchRequest request = run_system_program("/bin/sh", {"sh", "-c", script});
  request.watch_paths = true;
  request.allow_processes = true;
  return request;
}

std::vector<std::string> missed(const Outcome& outcome) {
  std::vector<std::string> permissions;
  for (const Denied& denied : outcome.denials) permissions.push_back(denied.permission);
  std::ranges::sort(permissions);
  return permissions;
}

std::string make_file(const SharedFolder& folder, const std::string& name) {
  const std::string path = folder.path() + "/" + name;
  std::ofstream(path) << "text\n";
  ::chmod(path.c_str(), 0644);
  return path;
}

}  // namespace

TEST_CASE("a file of the host that is not in the sandbox is missed for reading, whatever asks for it, and once") {
  const SharedFolder folder;
  const std::string path = make_file(folder, "data");
  for (const User user : available_users()) {
    Launcher launcher(user);
    const Outcome outcome = launcher.run(watched_shell("cat " + path + "; test -f " + path + "; cat < " + path));
    CHECK(missed(outcome) == std::vector<std::string>{"fs_read:" + path});
    REQUIRE(outcome.denials.size() == 1);
    CHECK(outcome.denials[0].arguments == path);
    CHECK(outcome.denials[0].answer_errno == ENOENT);
    CHECK(outcome.denials[0].denial_id == 0);
  }
}

TEST_CASE("a file that is made, changed or removed is missed for writing: itself if it is there, else its folder") {
  const SharedFolder folder;
  const std::string path = make_file(folder, "data");
  const std::string place = folder.path();
  const std::pair<std::string, std::string> expected[] = {{"echo > " + path, path},
                                                          {"echo >> " + path, path},
                                                          {"touch -c " + path, path},
                                                          {"echo > " + place + "/none", place},
                                                          {"rm " + path, place},
                                                          {"mkdir " + place + "/below", place},
                                                          {"mv " + path + " " + place + "/other", place},
                                                          {"ln -s a " + place + "/link", place}};
  Launcher launcher(available_users().front());
  for (const auto& [script, written] : expected) {
    INFO(script);
    const auto permissions = missed(launcher.run(watched_shell(script)));
    CHECK(std::ranges::count(permissions, "fs_write:" + written) == 1);
  }
}

TEST_CASE("a folder is missed when it is listed or entered, not when it is looked at") {
  const SharedFolder folder;
  Launcher launcher(available_users().front());
  CHECK(missed(launcher.run(watched_shell("test -d " + folder.path()))).empty());
  CHECK(missed(launcher.run(watched_shell("cd " + folder.path()))) ==
        std::vector<std::string>{"fs_read:" + folder.path()});
}

TEST_CASE("what neither side has, what nobody grants and what is granted is not missed") {
  const SharedFolder folder;
  const std::string path = make_file(folder, "data");
  LaunchRequest request = watched_shell("cat " + path + " /none/there /proc/1/maps /sys/kernel/notes /dev/kmsg; ls " +
                                        folder.path() + "; echo > /usr/none; echo > /tmp/own");
  request.binds.push_back({folder.path(), folder.path(), Access::kReadOnly, Presence::kRequired, false});
  Launcher launcher(available_users().front());
  CHECK(missed(launcher.run(std::move(request))).empty());
}

TEST_CASE("relative paths are those of the working folder, and of the folder that a descriptor names") {
  const SharedFolder folder;
  make_file(folder, "data");
  ::mkdir((folder.path() + "/below").c_str(), 0755);
  LaunchRequest request = watched_shell("cd below && cat ../data; find . -newer ../data");
  request.working_directory = folder.path();
  request.binds.push_back(
      {folder.path() + "/below", folder.path() + "/below", Access::kReadOnly, Presence::kRequired, false});
  Launcher launcher(available_users().front());
  const auto permissions = missed(launcher.run(std::move(request)));
  CHECK(std::ranges::count(permissions, "fs_read:" + folder.path() + "/data") == 1);
}

TEST_CASE("a symbolic link is not missed: a grant follows none") {
  const SharedFolder folder;
  const std::string path = make_file(folder, "data");
  REQUIRE(::symlink("data", (folder.path() + "/link").c_str()) == 0);
  Launcher launcher(available_users().front());
  CHECK(missed(launcher.run(watched_shell("cat " + folder.path() + "/link"))).empty());
}

TEST_CASE("a name that is no text, or that would steer a terminal, is not missed") {
  const SharedFolder folder;
  Launcher launcher(available_users().front());
  for (const char* name : {"\\377", "a\\033b", "a\\302\\233b", "a\\342\\200\\256b", "a\\342\\201\\246b", "\\303"}) {
    INFO(name);
    CHECK(missed(launcher.run(watched_shell(std::string("echo > \"$(printf '") + folder.path() + "/x" + name +
                                            "')\"; cat \"$(printf '" + folder.path() + "/" + name + "')\""))) ==
          std::vector<std::string>{});
  }
  const std::string named = make_file(folder, "d\xc3\xa4ta");
  CHECK(missed(launcher.run(watched_shell("cat " + named))) == std::vector<std::string>{"fs_read:" + named});
}

TEST_CASE("names of environment variables come as paths that stand for them") {
  Launcher launcher(available_users().front());
  const auto permissions = missed(
      launcher.run(watched_shell("test -e /liongate/environment/EDITOR; test -e /liongate/environment/a-b; test -e "
                                 "/liongate/environment/" +
                                 std::string(256, 'A'))));
  CHECK(permissions == std::vector<std::string>{"env:EDITOR"});
}

TEST_CASE("learn mode lets through what passes without it, and nothing more") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    const std::string script = "cd /tmp && touch a && chmod 4755 a; ls -l a | cut -c1-10; mkdir -m 2755 b; ls";
    LaunchRequest plain = watched_shell(script);
    plain.watch_paths = false;
    const Outcome without = launcher.run(std::move(plain));
    const Outcome with = launcher.run(watched_shell(script));
    CHECK(with.out == without.out);
    CHECK(with.exited.exit_code == without.exited.exit_code);
    CHECK(std::ranges::any_of(with.denials, [](const Denied& it) { return it.answer_errno == EPERM; }));
  }
}

TEST_CASE("what one sandbox misses is told up to a bound") {
  const SharedFolder folder;
  const std::string name = folder.path() + "/environment";
  Launcher launcher(available_users().front());
  const Outcome outcome = launcher.run(watched_shell("i=0; while [ $i -lt " + std::to_string(kMissingPathsMax + 50) +
                                                     " ]; do test -e /liongate/environment/V$i; i=$((i+1)); done"));
  CHECK(missed(outcome).size() == kMissingPathsMax);
}
