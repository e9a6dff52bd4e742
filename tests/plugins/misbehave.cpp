// Plugins that break the protocol, one sin each, named by the first argument; CMakeLists.txt is the catalogue.
//
// A sin of the start happens in place of Ready. A sin of a call happens when the default operation is invoked; until
// then the plugin is well behaved, and its operation "echo" always is, so that a test can have innocent calls pending.
// The operation "hold" is never answered.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/plugins/raw_pipe.h"

using namespace liongate::tests;
namespace v1 = liongate::v1;

namespace {

constexpr std::uint32_t kConcurrency = 64;
constexpr std::uint32_t kHugeLength = 0xFFFF'FFFF;
constexpr std::uint64_t kStrangeCallId = 1'000'000'007;
constexpr std::size_t kFloodBytesDefault = 64UL * 1024 * 1024;
constexpr std::size_t kFloodLogLines = 100'000;
constexpr int kExitAtOnce = 3;
constexpr int kExitMidCall = 7;

[[noreturn]] void stay_silent() {
  for (;;) ::pause();
}

void send_ready(std::uint32_t protocol_version = 1) {
  v1::Frame frame;
  frame.mutable_ready()->set_protocol_version(protocol_version);
  frame.mutable_ready()->set_concurrency(kConcurrency);
  write_frame(frame);
}

void send_result(std::uint64_t call_id, const std::string& text) {
  v1::Frame frame;
  frame.mutable_result()->set_call_id(call_id);
  frame.mutable_result()->mutable_output()->set_text(text);
  write_frame(frame);
}

void send_output(std::uint64_t call_id, const std::string& text) {
  v1::Frame frame;
  frame.mutable_output()->set_call_id(call_id);
  frame.mutable_output()->mutable_part()->set_text(text);
  write_frame(frame);
}

void write_garbage() {
  // The length is honest and the body is not protobuf: a field of the reserved wire type 7.
  write_raw(frame_header(16) + std::string(16, '\x0F'));
}

// Writes lines of 'x' until the input's number of bytes, or the default, has gone out.
void flood(int fd, const v1::Invoke& invoke) {
  const std::string line = std::string(99, 'x') + '\n';
  std::size_t left = kFloodBytesDefault;
  if (!invoke.input().text().empty()) left = std::strtoull(invoke.input().text().c_str(), nullptr, 10);
  while (left > 0) {
    const ssize_t count = ::write(fd, line.data(), std::min(left, line.size()));
    if (count <= 0) break;
    left -= static_cast<std::size_t>(count);
  }
  send_result(invoke.call_id(), "flooded");
}

void flood_log(const v1::Invoke& invoke) {
  v1::Frame frame;
  frame.mutable_log()->set_level(v1::LOG_LEVEL_INFO);
  frame.mutable_log()->set_call_id(invoke.call_id());
  for (std::size_t i = 0; i < kFloodLogLines; ++i) {
    frame.mutable_log()->set_message("line " + std::to_string(i));
    write_frame(frame);
  }
  send_result(invoke.call_id(), "logged");
}

struct StartSin {
  std::string_view name;
  void (*commit)();
};

constexpr StartSin kStartSins[] = {
    {"never_ready", [] { stay_silent(); }},
    {"exits_at_once", [] { ::_exit(kExitAtOnce); }},
    {"garbage_at_start",
     [] {
       write_garbage();
       stay_silent();
     }},
    {"wrong_version", [] { send_ready(99); }},
    {"result_before_ready", [] { send_result(1, "too early"); }},
};

struct CallSin {
  std::string_view name;
  void (*commit)(const v1::Invoke& invoke);
};

const CallSin kCallSins[] = {
    {"writes_garbage", [](const v1::Invoke&) { write_garbage(); }},
    {"huge_length", [](const v1::Invoke&) { write_raw(frame_header(kHugeLength)); }},
    {"zero_length", [](const v1::Invoke&) { write_raw(frame_header(0)); }},
    {"half_frame", [](const v1::Invoke&) { write_raw(frame_header(100) + "half of it"); }},
    {"half_frame_exit",
     [](const v1::Invoke&) {
       write_raw(frame_header(100) + "half of it");
       ::_exit(0);
     }},
    {"unset_kind", [](const v1::Invoke&) { write_raw(frame_header(3) + "\xA2\x06" + std::string(1, '\0')); }},
    {"wrong_kind",
     [](const v1::Invoke&) {
       v1::Frame frame;
       frame.mutable_shutdown();
       write_frame(frame);
     }},
    {"not_utf8",
     [](const v1::Invoke& invoke) {
       // Result{call_id, Payload{text: 0xFF}}, spelled by hand: protobuf complains about such text when it writes it.
       const std::string result =
           std::string("\x08") + static_cast<char>(invoke.call_id() & 0x7FU) + "\x12\x03\x0A\x01\xFF";
       write_raw(frame_header(static_cast<std::uint32_t>(result.size()) + 2) + "\x2A" +
                 static_cast<char>(result.size()) + result);
     }},
    {"unknown_call_id", [](const v1::Invoke&) { send_result(kStrangeCallId, "whose?"); }},
    {"duplicate_result",
     [](const v1::Invoke& invoke) {
       send_result(invoke.call_id(), "once");
       send_result(invoke.call_id(), "twice");
     }},
    {"output_after_result",
     [](const v1::Invoke& invoke) {
       send_result(invoke.call_id(), "done");
       send_output(invoke.call_id(), "or not");
     }},
    {"second_ready", [](const v1::Invoke&) { send_ready(); }},
    {"dies_mid_call", [](const v1::Invoke&) { std::abort(); }},
    {"exits_mid_call", [](const v1::Invoke&) { ::_exit(kExitMidCall); }},
    {"closes_pipe",
     [](const v1::Invoke&) {
       ::close(kOutputFd);
       stay_silent();
     }},
    {"stops_reading", [](const v1::Invoke&) { stay_silent(); }},
    {"floods_stdout", [](const v1::Invoke& invoke) { flood(STDOUT_FILENO, invoke); }},
    {"floods_stderr", [](const v1::Invoke& invoke) { flood(STDERR_FILENO, invoke); }},
    {"floods_log", flood_log},
    {"ignores_shutdown", [](const v1::Invoke& invoke) { send_result(invoke.call_id(), "I shall stay"); }},
};

template <typename Sins>
auto find_sin(const Sins& sins, std::string_view name) {
  const auto* found = std::find_if(std::begin(sins), std::end(sins), [&](const auto& sin) { return sin.name == name; });
  return found == std::end(sins) ? nullptr : found;
}

int serve(const CallSin& sin) {
  v1::Frame frame;
  while (read_frame(frame)) {
    if (frame.has_shutdown()) break;
    if (frame.has_ping()) {
      v1::Frame answer;
      answer.mutable_pong()->set_nonce(frame.ping().nonce());
      answer.mutable_pong()->set_healthy(true);
      write_frame(answer);
    }
    if (!frame.has_invoke() || frame.invoke().operation() == "hold") continue;
    if (frame.invoke().operation() == "echo") {
      send_result(frame.invoke().call_id(), frame.invoke().input().text());
    } else {
      sin.commit(frame.invoke());
    }
  }
  if (sin.name == "ignores_shutdown") stay_silent();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "ignores_shutdown") std::signal(SIGTERM, SIG_IGN);
  v1::Frame hello;
  const StartSin* start_sin = find_sin(kStartSins, name);
  const CallSin* call_sin = find_sin(kCallSins, name);
  if (start_sin == nullptr && call_sin == nullptr) {
    std::fprintf(stderr, "misbehave: no sin is named \"%s\"\n", argc > 1 ? argv[1] : "");
    return 64;
  }
  if (!read_frame(hello)) return 0;
  if (start_sin != nullptr) {
    start_sin->commit();
    stay_silent();
  }
  send_ready();
  return serve(*call_sin);
}
