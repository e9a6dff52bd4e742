// Feeds packets to both ends of the launcher's socket. A packet is refused whole or decodes to a message that is
// spelled and read again: what the launcher acts on is what it would have been sent.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernel/base/assert.h"
#include "kernel/base/limits.h"
#include "sandbox/launch_protocol.h"

namespace {

using namespace liongate;

// Spelled again, a message takes the same bytes and reads back.
template <typename Message, typename Decode>
void check(const Result<Message>& decoded, std::size_t packet_bytes, Decode decode) {
  if (!decoded) {
    LG_ASSERT(decoded.error().reason == Reason::kInvalidArgument);
    return;
  }
  const Result<std::vector<std::byte>> spelled = sandbox::encode(*decoded);
  LG_ASSERT(spelled.has_value());
  LG_ASSERT(spelled->size() == packet_bytes);
  LG_ASSERT(decode(*spelled).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > limits::kLaunchMessageBytesMax) return 0;
  const std::span<const std::byte> packet(reinterpret_cast<const std::byte*>(data), size);
  check(sandbox::decode_request(packet), size,
        [](const std::vector<std::byte>& bytes) { return sandbox::decode_request(bytes); });
  check(sandbox::decode_report(packet), size,
        [](const std::vector<std::byte>& bytes) { return sandbox::decode_report(bytes); });
  return 0;
}
