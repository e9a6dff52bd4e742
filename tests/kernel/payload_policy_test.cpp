// Goal: what a manifest says must not be stored is not stored, and what cannot be looked into is left out whole.
#include "kernel/policy/payload_policy.h"

#include <catch2/catch.hpp>

#include "kernel/base/digest.h"
#include "kernel/base/limits.h"

using namespace liongate;

namespace {

v1::Payload text(const std::string& content) {
  v1::Payload payload;
  payload.set_text(content);
  return payload;
}

v1::Content stored(const v1::Payload& payload, const std::vector<std::string>& redact = {},
                   std::size_t bytes_max = limits::kEventPayloadBytesMax) {
  v1::ManifestLog log;
  for (const std::string& pointer : redact) log.add_redact(pointer);
  v1::Content content;
  content.set_sha256("of the call before");  // events are reused
  policy::store(payload, policy::payload_rule(log, bytes_max), content);
  return content;
}

}  // namespace

TEST_CASE("without a rule content is stored as it is") {
  CHECK(stored(text("{\"password\": 1.0}")).text() == "{\"password\": 1.0}");
  CHECK(stored(text("x")).left_out().empty());
  CHECK(stored(text("x")).sha256().empty());
  v1::Payload data;
  data.set_data(std::string("\x00\xff", 2));
  CHECK(stored(data).data() == std::string("\x00\xff", 2));
  CHECK(stored(data).size_bytes() == 2);
}

TEST_CASE("content at the bound is stored, one byte more is digest and length") {
  CHECK(stored(text("12345"), {}, 5).text() == "12345");
  const v1::Content over = stored(text("123456"), {}, 5);
  CHECK_FALSE(over.has_text());
  CHECK(over.size_bytes() == 6);
  CHECK(over.sha256() == sha256_hex("123456"));
  CHECK(over.left_out() == "size");
  CHECK(stored(text("x"), {}, 0).left_out() == "size");
  CHECK(stored(text(""), {}, 0).left_out().empty());
}

TEST_CASE("a plugin may lower the bound, never raise it") {
  v1::ManifestLog log;
  CHECK(policy::payload_rule(log, 100).bytes_max == 100);
  log.set_payload_bytes_max(10);
  CHECK(policy::payload_rule(log, 100).bytes_max == 10);
  log.set_payload_bytes_max(0);
  CHECK(policy::payload_rule(log, 100).bytes_max == 0);
  log.set_payload_bytes_max(1000);
  CHECK(policy::payload_rule(log, 100).bytes_max == 100);
}

TEST_CASE("what is at a path is replaced, everything else stays") {
  const v1::Content content = stored(text(R"({"user": {"name": "ada", "token": "t0p"}, "password": ["a", {"b": 1}]})"),
                                     {"/user/token", "/password", "/absent", "/user/name/deeper"});
  CHECK(content.text() == R"({"user":{"name":"ada","token":"[redacted]"},"password":"[redacted]"})");
  CHECK(content.left_out() == "redacted");
  CHECK(content.sha256().empty());    // of a password it would tell too much
  CHECK(content.size_bytes() == 70);  // always the real length
}

TEST_CASE("paths are JSON pointers: of lists, and with escapes") {
  CHECK(stored(text(R"([{"k":1},{"k":2}])"), {"/1/k"}).text() == R"([{"k":1},{"k":"[redacted]"}])");
  CHECK(stored(text(R"([1])"), {"/1", "/-", "/x", "/00000000000000000000000000001"}).text() == "[1]");
  CHECK(stored(text(R"({"a/b":1,"c~d":2,"":3})"), {"/a~1b", "/c~0d", "/"}).text() ==
        R"({"a/b":"[redacted]","c~d":"[redacted]","":"[redacted]"})");
}

TEST_CASE("a key that is spelled otherwise, or twice, is still that key") {
  CHECK(stored(text("{\"\\u0070assword\": \"s3cret\"}"), {"/password"}).text().find("s3cret") == std::string::npos);
  const std::string twice =
      stored(text(R"({"password": "first-one", "password": "second-one"})"), {"/password"}).text();
  CHECK(twice.find("first-one") == std::string::npos);
  CHECK(twice.find("second-one") == std::string::npos);
}

TEST_CASE("what is no JSON is left out whole where paths are set") {
  for (const std::string& odd : {std::string("password=s3cret"), std::string("{\"password\": \"s3cret\""),
                                 std::string("{} {}"), std::string("{'password': 's3cret'}"),
                                 std::string("{\"password\": \"\xff\"}"), std::string("\xef\xbb\xbf{]")}) {
    const v1::Content content = stored(text(odd), {"/password"});
    CHECK_FALSE(content.has_text());
    CHECK(content.left_out() == "redaction");
    CHECK(content.sha256() == sha256_hex(odd));
    CHECK(content.size_bytes() == odd.size());
  }
  CHECK(stored(text(""), {"/password"}).left_out().empty());
}

TEST_CASE("JSON nested too deeply is left out whole, however deep it is") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(stored(text(nested(policy::kRedactedJsonDepthMax)), {"/x"}).left_out() == "redacted");
  CHECK(stored(text(nested(policy::kRedactedJsonDepthMax + 2)), {"/x"}).left_out() == "redaction");
  CHECK(stored(text(nested(30'000)), {"/x"}).left_out() == "redaction");
  CHECK(stored(text(std::string(60'000, '[')), {"/x"}).left_out() == "redaction");
}

TEST_CASE("JSON in bytes is redacted like JSON in text") {
  v1::Payload data;
  data.set_data(R"({"password":"s3cret"})");
  CHECK(stored(data, {"/password"}).text() == R"({"password":"[redacted]"})");
}
