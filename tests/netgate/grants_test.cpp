// Goal: what a network permission names, to the port and the bit, and which addresses a name may lead to.
#include "netgate/grants.h"

#include <catch2/catch.hpp>

using namespace liongate;
using namespace liongate::netgate;

namespace {

Address at(const char* text) {
  return boost::asio::ip::make_address(text);
}

Grants grants(const std::vector<std::string>& texts) {
  auto parsed = Grants::parse(texts);
  REQUIRE(parsed.has_value());
  return *parsed;
}

}  // namespace

TEST_CASE("a name is granted at its port and at no other") {
  const Grants one = grants({"example.org:443"});
  CHECK(one.allows_name("example.org"));
  CHECK(one.allows_name("example.org", 443));
  CHECK_FALSE(one.allows_name("example.org", 80));
  CHECK_FALSE(one.allows_name("www.example.org", 443));
  CHECK_FALSE(one.allows_name("xexample.org", 443));
  CHECK_FALSE(one.allows_name("example.org.evil.example", 443));
  CHECK(one.ports() == std::vector<std::uint16_t>{443});
  CHECK_FALSE(one.any_port());
}

TEST_CASE("without a port every port is granted") {
  const Grants one = grants({"example.org"});
  CHECK(one.allows_name("example.org", 1));
  CHECK(one.allows_name("example.org", 65535));
  CHECK(one.any_port());
}

TEST_CASE("a wildcard is what lies below, at any depth, and not the name itself") {
  const Grants one = grants({"*.example.org:443"});
  CHECK(one.allows_name("a.example.org", 443));
  CHECK(one.allows_name("b.a.example.org", 443));
  CHECK_FALSE(one.allows_name("example.org", 443));
  CHECK_FALSE(one.allows_name("notexample.org", 443));
}

TEST_CASE("names are compared without case and final dot") {
  CHECK(grants({"EXAMPLE.Org.:443"}).allows_name("example.org", 443));
}

TEST_CASE("an address is granted as an address, whatever clothes it wears") {
  const Grants one = grants({"10.1.2.3:5432", "[2001:db8::7]:443", "192.0.2.0/24"});
  CHECK(one.allows_address(at("10.1.2.3"), 5432));
  CHECK(one.allows_address(at("::ffff:10.1.2.3"), 5432));
  CHECK_FALSE(one.allows_address(at("10.1.2.3"), 5433));
  CHECK_FALSE(one.allows_address(at("10.1.2.4"), 5432));
  CHECK(one.allows_address(at("2001:db8::7"), 443));
  CHECK_FALSE(one.allows_address(at("2001:db8::8"), 443));
  CHECK(one.allows_address(at("192.0.2.255"), 9));
  CHECK_FALSE(one.allows_address(at("192.0.3.0"), 9));
  CHECK_FALSE(one.allows_name("10.1.2.3", 5432));
}

TEST_CASE("bits that are no whole bytes") {
  const Grants one = grants({"172.16.0.0/12:1", "[2001:db8::]/33:1"});
  CHECK(one.allows_address(at("172.31.255.255"), 1));
  CHECK_FALSE(one.allows_address(at("172.32.0.0"), 1));
  CHECK(one.allows_address(at("2001:db8:7fff::"), 1));
  CHECK_FALSE(one.allows_address(at("2001:db8:8000::"), 1));
}

TEST_CASE("a network so wide that nobody means their own router by it grants public addresses alone") {
  const Grants one = grants({"0.0.0.0/0:80", "[::]/0:80"});
  CHECK(one.allows_address(at("9.9.9.9"), 80));
  CHECK_FALSE(one.allows_address(at("10.0.0.1"), 80));
  CHECK_FALSE(one.allows_address(at("169.254.169.254"), 80));
  CHECK(one.allows_address(at("2620:fe::9"), 80));
  CHECK_FALSE(one.allows_address(at("fd00:ec2::254"), 80));
}

TEST_CASE("everything is every public address and every name, and not the host's loopback") {
  const Grants one = grants({""});
  CHECK(one.allows_name("example.org", 1234));
  CHECK(one.allows_address(at("9.9.9.9"), 1234));
  CHECK_FALSE(one.allows_address(at("192.168.0.1"), 1234));
  CHECK_FALSE(one.allows_name("host-loopback", 1234));
  CHECK(grants({"host-loopback:8080"}).allows_name("host-loopback", 8080));
}

TEST_CASE("no grant allows anything") {
  const Grants none = grants({});
  CHECK_FALSE(none.allows_name("example.org"));
  CHECK_FALSE(none.allows_address(at("9.9.9.9"), 1));
}

TEST_CASE("what is neither a name nor an address is refused") {
  for (const char* text : {"127.1:80",
                           "2130706433:80",
                           "0x7f.0.0.1:80",
                           "0177.0.0.1:80",
                           "0x7f000001:80",
                           "1.2.3.4.5:80",
                           "a..b:80",
                           ".a:80",
                           "-:0",
                           "exa mple.org:80",
                           "ex\xc3\xa4mple.org:80",
                           "example.org:0",
                           "example.org:65536",
                           "example.org:x",
                           "example.org:",
                           "[fe80::1%eth0]:80",
                           "[::1",
                           "[::1]5:80",
                           "[10.0.0.1]x",
                           "10.0.0.0/33:80",
                           "*.:80",
                           "*:80",
                           "a*.example.org:80",
                           "//x:80"}) {
    INFO(text);
    CHECK_FALSE(Grants::parse({text}).has_value());
  }
  CHECK_FALSE(Grants::parse({std::string(64, 'a') + ".example:80"}).has_value());
  std::string long_name;
  while (long_name.size() < 260) long_name += "abcdefgh.";
  CHECK_FALSE(Grants::parse({long_name + "org:80"}).has_value());
}

TEST_CASE("addresses that are nobody's to reach by a name") {
  for (const char* text : {"0.0.0.0",      "10.0.0.1",      "100.64.0.1",       "127.0.0.1",       "169.254.169.254",
                           "172.16.0.1",   "192.0.0.1",     "192.0.2.1",        "192.168.1.1",     "198.18.0.1",
                           "198.51.100.1", "203.0.113.1",   "224.0.0.1",        "240.0.0.1",       "255.255.255.255",
                           "::",           "::1",           "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
                           "64:ff9b:1::1", "100::1",        "2001::1",          "2001:db8::1",     "2002:a00:1::",
                           "fc00::1",      "fd00:ec2::254", "fe80::1",          "fec0::1",         "ff02::1"}) {
    INFO(text);
    CHECK_FALSE(is_public(at(text)));
  }
  for (const char* text : {"1.1.1.1", "9.9.9.9", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.254",
                           "2606:4700::1", "2a00:1450::1", "::ffff:9.9.9.9"}) {
    INFO(text);
    CHECK(is_public(at(text)));
  }
}
