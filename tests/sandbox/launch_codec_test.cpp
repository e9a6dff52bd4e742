// Goal: every message survives the wire, and nothing inexact is taken. Method: full values, then each cut and each
// flip.
#include <catch2/catch.hpp>

#include "kernel/base/limits.h"
#include "sandbox/launch_protocol.h"

using namespace liongate;
using namespace liongate::sandbox;

namespace {

LaunchRequest full_launch() {
  LaunchRequest request;
  request.launch_id = 0x1122334455667788;
  request.name = "name";
  request.executable = "/plugin/main";
  request.arguments = {"main", "", "third"};
  request.environment = {"A=1"};
  request.working_directory = "/plugin";
  request.binds = {{"/usr", "/usr", Access::kReadOnly, Presence::kOptional, true},
                   {"/data", "/data", Access::kReadWrite, Presence::kRequired, false}};
  request.links = {{"usr/bin", "/bin"}};
  request.files = {{"/etc/passwd", std::string("zero\0inside", 11)}};
  request.secrets = {{"api"}, {"db.password"}};
  request.limits = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  request.allow_processes = true;
  request.allow_network = true;
  request.gate_ports = {{53}, {65'535}};
  request.descriptor_count = 3;
  return request;
}

std::vector<Request> requests() {
  return {full_launch(), KillRequest{7}, OpenRequest{9, "/path", OpenKind::kFolder}, CheckHostRequest{},
          DenialRecordedRequest{10, 11}};
}

std::vector<Report> reports() {
  Started started{3, -4, {{"mechanism", "active", "detail"}}, {{"step", 17}}, {{6, "/data"}}, 4};
  Exited exited{5,          EndKind::kSetupFailed,
                -1,         9,
                "step",     2,
                "argument", true,
                1000,       2000,
                3,          4,
                5,          {{"memory_bytes_max", 10, 11, true}}};
  HostReport host{false, {{"name", true, false, "reason", "remedy"}}};
  const Denied denied{6, 7, "execve", "arg0=0x2", "runs programs", "process", 1, 12};
  return {started, exited, Opened{8, 13}, host, denied, DoorOpened{14, 443}};
}

template <typename Message, typename Decode>
void check_exactness(const std::vector<Message>& messages, Decode decode) {
  for (const Message& message : messages) {
    const std::vector<std::byte> packet = encode(message).value();
    const auto again = decode(packet);
    REQUIRE(again.has_value());
    CHECK(again->index() == message.index());
    CHECK(encode(*again).value() == packet);
    for (std::size_t length = 0; length < packet.size(); ++length) {
      CHECK_FALSE(decode(std::span(packet).first(length)).has_value());
    }
    std::vector<std::byte> longer = packet;
    longer.push_back(std::byte{0});
    CHECK_FALSE(decode(longer).has_value());
  }
}

}  // namespace

TEST_CASE("messages survive the wire; a byte too few or too many is refused") {
  check_exactness(requests(), [](std::span<const std::byte> packet) { return decode_request(packet); });
  check_exactness(reports(), [](std::span<const std::byte> packet) { return decode_report(packet); });
}

TEST_CASE("the fields arrive where they belong") {
  const Request request = decode_request(encode(Request(full_launch())).value()).value();
  const auto& launch = std::get<LaunchRequest>(request);
  CHECK(launch.launch_id == 0x1122334455667788);
  CHECK(launch.arguments == std::vector<std::string>{"main", "", "third"});
  CHECK(launch.binds.at(1).access == Access::kReadWrite);
  CHECK(launch.binds.at(0).executable);
  CHECK(launch.files.at(0).contents.size() == 11);
  CHECK(launch.secrets.at(1).name == "db.password");
  CHECK(launch.limits.tmp_bytes_max == 6);
  CHECK(launch.limits.io_bytes_per_second_max == 9);
  CHECK(launch.allow_processes);
  CHECK_FALSE(launch.allow_jit);
  CHECK(launch.allow_network);
  CHECK_FALSE(launch.allow_any_port);
  CHECK(launch.gate_ports.at(1).port == 65'535);
}

TEST_CASE("every flipped byte either decodes to something that encodes the same, or is refused") {
  for (const Request& request : requests()) {
    const std::vector<std::byte> packet = encode(request).value();
    for (std::size_t at = 0; at < packet.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        std::vector<std::byte> damaged = packet;
        damaged[at] ^= static_cast<std::byte>(flip);
        const auto decoded = decode_request(damaged);
        if (decoded) CHECK(encode(*decoded).value() == damaged);
      }
    }
  }
}

TEST_CASE("unknown kinds, a report as a request, and lying counts are refused") {
  for (const int kind : {0, 6, 100, 101, 104, 105, 255}) {
    const std::vector<std::byte> packet{static_cast<std::byte>(kind), {}, {}, {}};
    CHECK_FALSE(decode_request(packet).has_value());
  }
  CHECK_FALSE(decode_report(encode(Request(KillRequest{1})).value()).has_value());
  std::vector<std::byte> lying = encode(Request(OpenRequest{1, "x", OpenKind::kFile})).value();
  for (std::size_t at = 12; at < 16; ++at) lying[at] = std::byte{0xff};
  CHECK_FALSE(decode_request(lying).has_value());
}

TEST_CASE("a message beyond the bound is neither encoded nor decoded") {
  LaunchRequest request = full_launch();
  request.files.push_back({"/big", std::string(limits::kLaunchMessageBytesMax, 'x')});
  CHECK(encode(Request(request)).error().reason == Reason::kInvalidArgument);
  const std::vector<std::byte> huge(limits::kLaunchMessageBytesMax + 1);
  CHECK_FALSE(decode_request(huge).has_value());
}
