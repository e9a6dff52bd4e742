// M01 to M12: what a plugin may send to the daemon that no SDK would, and the daemon's own door.
//
// The handler runs on the thread that reads, so that bytes on fd 4 go between two frames of the SDK.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "liongate/v1/frame.pb.h"
#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

constexpr int kOutput = 4;

void pause_ms(long ms) {
  const timespec time{ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&time, nullptr);
}

std::string write_bytes(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) return outcome_of(-1);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return "sent";
}

std::string header(std::uint32_t length) {
  std::string bytes(4, '\0');
  for (std::size_t place = 0; place < 4; ++place) bytes[place] = static_cast<char>(length >> (8 * place) & 0xff);
  return bytes;
}

std::string framed(const v1::Frame& frame) {
  const std::string body = frame.SerializeAsString();
  return header(static_cast<std::uint32_t>(body.size())) + body;
}

void bad_lengths(const Scene& scene, Report& report) {
  const std::string variant = scene.get("variant");
  std::string bytes = header(0xffffffff);
  if (variant == "zero") bytes = header(0);
  // A varint of eleven bytes as a tag; one that promises 2^63 bytes of text.
  if (variant == "varint") bytes = header(11) + std::string(11, '\xff');
  if (variant == "inner length") bytes = header(11) + "\x12" + std::string(9, '\xff') + "\x7f";
  report.say(variant, write_bytes(kOutput, bytes));
  pause_ms(5000);  // until the daemon ends it
}

// Within the protocol, and too much, or meant for the terminal of who reads it.
void oversized_answers(const Scene& scene, Report& report) {
  const std::string variant = scene.get("variant");
  if (variant == "control characters") {
    report.fail_with("FAILED", "\x1b]0;escaped\x07\nliongatectl: forged: a line (OK)\x1b[31m\x1b[2J");
  } else if (variant == "message") {
    report.fail_with("FAILED", std::string(15UL << 20, 'm'));
  } else {
    report.warn(100'000);
  }
}

void slow_frame(const Scene&, Report& report) {
  std::string outcome = write_bytes(kOutput, header(1000));
  for (int sent = 0; sent < 1000 && outcome == "sent"; ++sent) {
    outcome = write_bytes(kOutput, "\x2a");
    pause_ms(100);
  }
  report.say("a byte at a time", outcome);
}

void broken_frames(const Scene& scene, Report& report) {
  if (scene.get("variant") == "half close") {
    report.say("half close", outcome_of(::close(kOutput)));
  } else {
    v1::Frame frame;
    frame.mutable_result()->set_call_id(1);
    frame.mutable_result()->mutable_output()->set_text("truncated in here");
    const std::string body = frame.SerializeAsString().substr(0, 12);
    report.say("truncated", write_bytes(kOutput, header(static_cast<std::uint32_t>(body.size())) + body));
  }
  pause_ms(5000);
}

void flood(const Scene& scene, Report& report) {
  const std::string variant = scene.get("variant");
  const std::string line = std::string(99, 'x') + "\n";
  std::string block;
  for (int count = 0; count < 640; ++count) block += line;
  std::string outcome = "sent";
  if (variant == "log frames") {
    v1::Frame frame;
    frame.mutable_log()->set_message(std::string(4000, 'x'));
    block = framed(frame);
    for (int count = 0; count < 16'000 && outcome == "sent"; ++count) outcome = write_bytes(kOutput, block);
  } else {
    const int fd = variant == "stderr" ? 2 : 1;
    for (int count = 0; count < 1024 && outcome == "sent"; ++count) outcome = write_bytes(fd, block);
  }
  report.say(variant, outcome);
}

void never_read(const Scene&, Report& report) {
  pause_ms(60'000);
  report.say("never read", "read after all");
}

void confuse_calls(const Scene& scene, Report& report) {
  const std::string variant = scene.get("variant");
  v1::Frame frame;
  frame.mutable_result()->set_call_id(static_cast<std::uint64_t>(scene.number("call_id", 0x7fffffffffffff)));
  frame.mutable_result()->mutable_output()->set_text("forged");
  if (variant == "second ready") frame.mutable_ready()->set_protocol_version(1);
  if (variant == "daemon's frame") frame.mutable_shutdown();
  if (variant == "host call") {
    frame.mutable_host_call()->set_host_call_id(1);
    frame.mutable_host_call()->set_method("invoke");
    frame.mutable_host_call()->set_request(
        "\x0a\x04"
        "echo");
  }
  if (variant == "ack") frame.mutable_ack()->set_seq(1'000'000);
  if (variant == "no kind") frame.Clear();
  report.say(variant,
             write_bytes(kOutput, frame.ByteSizeLong() == 0 ? header(2) + std::string("\xf8\x01") : framed(frame)));
  pause_ms(5000);
}

void reach_daemon(const Scene& scene, Report& report) {
  const std::string path = scene.get("control_socket");
  report.describe("look", [&] { return outcome_of(::access(path.c_str(), F_OK)); });
  report.attempt("connect", [&] {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::close(fd);
    return result;
  });
  // Its own descriptors are pipes: nothing can be sent that carries descriptors, and nobody asked for who they are.
  for (const int fd : {0, 1, 2, 3, 4}) {
    report.attempt("descriptors through " + std::to_string(fd), [&] {
      if (scene.is_control()) return -1L;
      return send_descriptors(fd, {fd});
    });
  }
}

constexpr Check kChecks[] = {
    {"M01", bad_lengths}, {"M02", slow_frame},    {"M03", broken_frames}, {"M04", flood},
    {"M05", never_read},  {"M07", confuse_calls}, {"M12", reach_daemon},  {"X14", oversized_answers},
};

}  // namespace

std::span<const Check> protocol_checks() {
  return kChecks;
}

}  // namespace liongate::escape
