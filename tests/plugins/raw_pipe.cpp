#include "tests/plugins/raw_pipe.h"

#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace liongate::tests {
namespace {

constexpr int kExitBroken = 70;
constexpr std::uint32_t kFrameBytesMax = 17U * 1024 * 1024;

// False when the input ends before the first byte.
bool read_exactly(char* bytes, std::size_t count) {
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got = ::read(kInputFd, bytes + done, count - done);
    if (got == 0 && done == 0) return false;
    if (got == 0 || (got < 0 && errno != EINTR)) ::_exit(kExitBroken);
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

bool read_frame(v1::Frame& frame) {
  unsigned char header[4];
  if (!read_exactly(reinterpret_cast<char*>(header), sizeof(header))) return false;
  const std::uint32_t length = static_cast<std::uint32_t>(header[0]) | static_cast<std::uint32_t>(header[1]) << 8 |
                               static_cast<std::uint32_t>(header[2]) << 16 |
                               static_cast<std::uint32_t>(header[3]) << 24;
  if (length == 0 || length > kFrameBytesMax) ::_exit(kExitBroken);
  std::string body(length, '\0');
  if (!read_exactly(body.data(), length) || !frame.ParseFromString(body)) ::_exit(kExitBroken);
  return true;
}

void write_frame(const v1::Frame& frame) {
  const std::string body = frame.SerializeAsString();
  write_raw(frame_header(static_cast<std::uint32_t>(body.size())) + body);
}

void write_raw(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(kOutputFd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) ::_exit(kExitBroken);
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string frame_header(std::uint32_t length) {
  std::string header;
  for (unsigned i = 0; i < 4; ++i) header.push_back(static_cast<char>(length >> (8 * i) & 0xFFU));
  return header;
}

}  // namespace liongate::tests
