// Runs the sandbox tests, or says why this host cannot and exits with 77, which ctest reports as a skip.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdio>

#include "sandbox/host_check.h"

int main(int count, char** arguments) {
  constexpr int kSkipped = 77;
  using namespace liongate::sandbox;
  for (const HostMechanism& mechanism : check_host(find_host_facts("")).mechanisms) {
    if (!mechanism.mandatory || mechanism.available || mechanism.name == "ordinary groups") continue;
    std::printf("skipped: this host lacks %s (%s)\n", mechanism.name.c_str(), mechanism.reason.c_str());
    return kSkipped;
  }
  return Catch::Session().run(count, arguments);
}
