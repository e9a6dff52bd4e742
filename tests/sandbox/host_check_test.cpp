// Goal: the host check tells the truth about this host, with a reason for everything and a remedy for what is missing.
#include <catch2/catch.hpp>

#include "launcher_harness.h"
#include "sandbox/launcher_process.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

TEST_CASE("every mandatory mechanism is there where sandboxes start, and each row explains itself") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    REQUIRE(send_request(launcher.control(), CheckHostRequest{}, {}).has_value());
    const auto report = std::get<HostReport>(launcher.next_report());
    CHECK(report.rootless == (user == User::kNobody));
    CHECK(report.mechanisms.size() > 15);
    for (const HostMechanism& mechanism : report.mechanisms) {
      INFO(name_of(user) << ": " << mechanism.name << ": " << mechanism.reason);
      if (mechanism.mandatory) CHECK(mechanism.available);
      CHECK_FALSE(mechanism.reason.empty());
      CHECK(mechanism.remedy.empty() == mechanism.available);
    }
    // And the launcher goes on.
    CHECK(launcher.run(run_program("hostile", {"exit", "3"})).exited.exit_code == 3);
  }
}
