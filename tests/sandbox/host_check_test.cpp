// Goal: the host check tells the truth about this host, with a reason for everything and a remedy for what is missing.
#include <algorithm>
#include <catch2/catch.hpp>

#include "launcher_harness.h"
#include "sandbox/launcher_process.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

TEST_CASE("every mandatory mechanism is there where sandboxes start, and each row explains itself") {
  for (const User user : available_users()) {
    Launcher launcher(user, {"--allow-degraded", "ordinary_groups"});  // whoever runs the tests may be in such a group
    REQUIRE(send_request(launcher.control(), CheckHostRequest{}, {}).has_value());
    const auto report = std::get<HostReport>(launcher.next_report());
    CHECK(report.rootless == (user == User::kNobody));
    CHECK(report.mechanisms.size() > 15);
    for (const HostMechanism& mechanism : report.mechanisms) {
      INFO(name_of(user) << ": " << mechanism.name << ": " << mechanism.reason);
      if (mechanism.mandatory) CHECK(mechanism.available);
      CHECK_FALSE(mechanism.reason.empty());
      CHECK(mechanism.remedy.empty() == mechanism.available);
      CHECK(mechanism.remedy.find('\n') == std::string::npos);
    }
    // And the launcher goes on.
    CHECK(launcher.run(run_program("hostile", {"exit", "3"})).exited.exit_code == 3);
  }
}

TEST_CASE("what the operator accepts to be missing is said so, in the host check and in the posture") {
  Launcher launcher(User::kNobody, {"--allow-degraded", "own_host_user,ordinary_groups"});
  REQUIRE(send_request(launcher.control(), CheckHostRequest{}, {}).has_value());
  const auto report = std::get<HostReport>(launcher.next_report());
  const auto row = std::ranges::find(report.mechanisms, "own host user", &HostMechanism::name);
  REQUIRE(row != report.mechanisms.end());
  CHECK_FALSE(row->available);
  CHECK(row->reason.ends_with("; accepted by allow_degraded"));
  const Outcome outcome = launcher.run(run_program("hostile", {"exit", "0"}));
  REQUIRE(outcome.started);
  for (const Mechanism& mechanism : outcome.started->posture) {
    const bool accepted = mechanism.detail.ends_with("; accepted by allow_degraded");
    CHECK(accepted == (mechanism.name == "own host user"));
  }
}
