// N02 to N10: ways around what a network permission names. Without one there is no socket at all; with one every
// address is the gate's, and what is not granted is reset, or does not exist.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

constexpr const char* kGateResolver = "198.18.0.1";
constexpr std::uint16_t kTypeA = 1;
constexpr std::uint16_t kTypeTxt = 16;
constexpr timeval kPatience{2, 0};

struct Place {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* pointer() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Place place_of(const std::string& host, long port) {
  Place place;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&place.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&place.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    place.length = sizeof *v4;
  } else {
    ::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<std::uint16_t>(port));
    place.length = sizeof *v6;
  }
  return place;
}

int patient_socket(int family, int type) {
  const int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  return fd;
}

// The servers of the driver greet: whoever hears one was there.
std::string reach(const std::string& host, long port) {
  const Place place = place_of(host, port);
  const int fd = patient_socket(place.storage.ss_family, SOCK_STREAM);
  if (fd < 0) return outcome_of(-1);
  char greeting = 0;
  long got = ::connect(fd, place.pointer(), place.length);
  if (got == 0) got = ::recv(fd, &greeting, 1, 0);
  const std::string outcome = got > 0 ? "reached" : got == 0 ? "closed" : outcome_of(-1);
  ::close(fd);
  return outcome;
}

struct Answer {
  std::string said;     // "NXDOMAIN", "no record", "record", or the name of errno
  std::string address;  // of an A record
};

Answer ask(const Scene& scene, const std::string& name, std::uint16_t type) {
  std::string question("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    question += static_cast<char>(end - begin);
    question += name.substr(begin, end - begin);
    begin = end + 1;
  }
  question += '\0';
  for (const std::uint16_t word : {type, std::uint16_t{1}}) {
    question += static_cast<char>(word >> 8);
    question += static_cast<char>(word & 0xff);
  }
  const Place resolver =
      scene.is_control() ? place_of("127.0.0.1", scene.number("resolver_port", 53)) : place_of(kGateResolver, 53);
  const int fd = patient_socket(AF_INET, SOCK_DGRAM);
  if (fd < 0) return {outcome_of(-1), ""};
  std::array<unsigned char, 512> reply{};
  long got = ::sendto(fd, question.data(), question.size(), 0, resolver.pointer(), resolver.length);
  if (got >= 0) got = ::recv(fd, reply.data(), reply.size(), 0);
  const std::string failed = got < 0 ? outcome_of(-1) : "";
  ::close(fd);
  if (got < 12) return {failed.empty() ? "short" : failed, ""};
  if ((reply[3] & 0xf) == 3) return {"NXDOMAIN", ""};
  if (reply[7] == 0) return {"no record", ""};
  const auto* data = &reply[static_cast<std::size_t>(got) - 4];
  return {"record", std::to_string(data[0]) + "." + std::to_string(data[1]) + "." + std::to_string(data[2]) + "." +
                        std::to_string(data[3])};
}

std::string resolve_and_reach(const Scene& scene, const std::string& name, long port) {
  const Answer answer = ask(scene, name, kTypeA);
  return answer.address.empty() ? answer.said : reach(answer.address, port);
}

void other_port(const Scene& scene, Report& report) {
  report.describe("granted host, port of another grant",
                  [&] { return resolve_and_reach(scene, scene.get("granted_name"), scene.number("second_port", 9)); });
  report.describe("granted host, port of no grant",
                  [&] { return resolve_and_reach(scene, scene.get("granted_name"), scene.number("third_port", 9)); });
}

void other_name(const Scene& scene, Report& report) {
  const std::string granted = scene.get("granted_name");
  for (const std::string& name : {scene.get("other_name"), "sub." + granted, "x" + granted}) {
    report.describe(name, [&] { return resolve_and_reach(scene, name, scene.number("granted_port", 9)); });
  }
}

void other_address(const Scene& scene, Report& report) {
  const long port = scene.number("granted_port", 9);
  for (const char* host : {"127.0.0.1", "192.0.2.1", "203.0.113.5", "2001:db8::1"}) {
    report.describe(host, [&] { return reach(host, port); });
  }
  // An address of the gate's own that no name has.
  report.describe("198.18.99.99", [&] { return reach("198.18.99.99", port); });
}

void rebound_name(const Scene& scene, Report& report) {
  report.describe("rebound name",
                  [&] { return resolve_and_reach(scene, scene.get("rebound_name"), scene.number("granted_port", 9)); });
}

void data_in_questions(const Scene& scene, Report& report) {
  const std::string granted = scene.get("granted_name");
  const std::string data(60, 'd');
  report.describe("TXT of the granted name", [&] { return ask(scene, granted, kTypeTxt).said; });
  report.describe("data before the granted name", [&] { return ask(scene, data + "." + granted, kTypeA).said; });
  report.describe("data before another name",
                  [&] { return ask(scene, data + "." + data + "." + scene.get("other_name"), kTypeA).said; });
}

void clothed_addresses(const Scene& scene, Report& report) {
  const long port = scene.number("granted_port", 9);
  for (const char* host : {"::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd6c:696f:6e67::1:1", "::1",
                           "169.254.169.254", "fd00:ec2::254"}) {
    report.describe(host, [&] { return reach(host, port); });
  }
}

// Keeps a flow open until it is cut.
void keep_flowing(const Scene& scene, Report& report) {
  report.describe("flow", [&] {
    const Answer answer = ask(scene, scene.get("granted_name"), kTypeA);
    const Place place = place_of(answer.address, scene.number("granted_port", 9));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte = 0;
    if (::connect(fd, place.pointer(), place.length) != 0) return outcome_of(-1);
    return outcome_of(::recv(fd, &byte, 1, 0));
  });
}

constexpr Check kChecks[] = {
    {"N17", keep_flowing}, {"N02", other_port},        {"N03", other_name},        {"N04", other_address},
    {"N07", rebound_name}, {"N09", data_in_questions}, {"N10", clothed_addresses},
};

}  // namespace

std::span<const Check> gateway_checks() {
  return kChecks;
}

}  // namespace liongate::escape
