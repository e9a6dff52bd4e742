#include "kernel/event_log/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace liongate::event_log {
namespace {

constexpr std::uint32_t kPolynomialReflected = 0x82F63B78U;
constexpr std::size_t kSlices = 8;

using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

// Table k advances a byte past k further zero bytes, so that eight bytes are looked up independently of each other.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1U) != 0 ? kPolynomialReflected : 0U);
    tables[0][byte] = state;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFFU];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

using Extend = std::uint32_t (*)(std::uint32_t, std::span<const std::byte>);

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t extend_by_instruction(std::uint32_t crc,
                                                                      std::span<const std::byte> bytes) {
  std::uint64_t state = static_cast<std::uint32_t>(~crc);
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    state = _mm_crc32_u64(state, word);
  }
  auto narrow = static_cast<std::uint32_t>(state);
  for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at));
  return ~narrow;
}

Extend choose() {
  return __builtin_cpu_supports("sse4.2") != 0 ? extend_by_instruction : crc32c_extend_by_table;
}
#else
Extend choose() {
  return crc32c_extend_by_table;
}
#endif

}  // namespace

std::uint32_t crc32c_extend_by_table(std::uint32_t crc, std::span<const std::byte> bytes) {
  std::uint32_t state = ~crc;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  const auto byte_at = [&at](std::size_t index) { return static_cast<std::uint32_t>(at[index]); };
  for (; left >= kSlices; left -= kSlices, at += kSlices) {
    const std::uint32_t low = state ^ (byte_at(0) | byte_at(1) << 8 | byte_at(2) << 16 | byte_at(3) << 24);
    state = kTables[7][low & 0xFFU] ^ kTables[6][(low >> 8) & 0xFFU] ^ kTables[5][(low >> 16) & 0xFFU] ^
            kTables[4][low >> 24] ^ kTables[3][byte_at(4)] ^ kTables[2][byte_at(5)] ^ kTables[1][byte_at(6)] ^
            kTables[0][byte_at(7)];
  }
  for (; left > 0; --left, ++at) state = (state >> 8) ^ kTables[0][(state ^ byte_at(0)) & 0xFFU];
  return ~state;
}

std::uint32_t crc32c_extend(std::uint32_t crc, std::span<const std::byte> bytes) {
  static const Extend kChosen = choose();
  return kChosen(crc, bytes);
}

}  // namespace liongate::event_log
