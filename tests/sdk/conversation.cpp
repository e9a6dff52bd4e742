#include "tests/sdk/conversation.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace liongate::tests {
namespace {

constexpr int kAnswerTimeoutMs = 20'000;
constexpr std::uint32_t kFrameBytesMax = 1024U * 1024;
constexpr std::uint32_t kOutputBytesMax = 512U * 1024;

std::pair<UniqueFd, UniqueFd> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

v1::Frame hello_frame() {
  v1::Frame frame;
  v1::Hello& hello = *frame.mutable_hello();
  hello.set_protocol_version_min(1);
  hello.set_protocol_version_max(1);
  hello.set_plugin_name("tested");
  hello.set_config_json(R"({"colour":"red"})");
  hello.mutable_limits()->set_frame_bytes_max(kFrameBytesMax);
  hello.mutable_limits()->set_output_bytes_max(kOutputBytesMax);
  hello.mutable_limits()->set_concurrency_max(8);
  return frame;
}

v1::Frame invoke_frame(std::uint64_t call_id, const std::string& text, const std::string& operation) {
  v1::Frame frame;
  frame.mutable_invoke()->set_call_id(call_id);
  frame.mutable_invoke()->set_operation(operation);
  frame.mutable_invoke()->mutable_input()->set_text(text);
  return frame;
}

v1::Frame cancel_frame(std::uint64_t call_id) {
  v1::Frame frame;
  frame.mutable_cancel()->set_call_id(call_id);
  return frame;
}

v1::Frame ping_frame(std::uint64_t nonce) {
  v1::Frame frame;
  frame.mutable_ping()->set_nonce(nonce);
  return frame;
}

v1::Frame shutdown_frame() {
  v1::Frame frame;
  frame.mutable_shutdown();
  return frame;
}

Conversation::Conversation(plugin::Plugin& plugin) {
  std::tie(plugin_input_, input_) = make_pipe();
  std::tie(output_, plugin_output_) = make_pipe();
  thread_ = std::thread([this, &plugin] { exit_code_ = plugin.run(plugin_input_.get(), plugin_output_.get()); });
}

Conversation::Conversation(plugin::ObserverMaker make) {
  std::tie(plugin_input_, input_) = make_pipe();
  std::tie(output_, plugin_output_) = make_pipe();
  thread_ = std::thread([this, make = std::move(make)] {
    exit_code_ = plugin::run_observer(make, plugin_input_.get(), plugin_output_.get());
  });
}

Conversation::~Conversation() {
  end_input();
  if (thread_.joinable()) thread_.join();
}

void Conversation::send(const std::vector<v1::Frame>& frames) {
  std::string bytes;
  for (const v1::Frame& frame : frames) {
    const std::string body = frame.SerializeAsString();
    for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(body.size() >> (8 * i) & 0xFFU));
    bytes += body;
  }
  send_bytes(bytes);
}

void Conversation::send_bytes(const std::string& bytes) {
  REQUIRE(::write(input_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

v1::Frame Conversation::receive() {
  for (;;) {
    if (const auto bytes = decoder_.next()) {
      v1::Frame frame;
      REQUIRE(frame.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())));
      return frame;
    }
    REQUIRE(decoder_.error().empty());
    pollfd readable{.fd = output_.get(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&readable, 1, kAnswerTimeoutMs) == 1);
    const std::span<char> space = decoder_.space();
    const ssize_t count = ::read(output_.get(), space.data(), space.size());
    REQUIRE(count > 0);
    decoder_.commit(static_cast<std::size_t>(count));
  }
}

v1::Ready Conversation::greet() {
  send({hello_frame()});
  const v1::Frame frame = receive();
  REQUIRE(frame.has_ready());
  return frame.ready();
}

v1::Result Conversation::call(const std::string& text, const std::string& operation) {
  send({invoke_frame(7, text, operation)});
  const v1::Frame frame = receive();
  REQUIRE(frame.has_result());
  CHECK(frame.result().call_id() == 7);
  return frame.result();
}

void Conversation::end_input() {
  input_.reset();
}

int Conversation::exit_code() {
  thread_.join();
  return exit_code_;
}

}  // namespace liongate::tests
