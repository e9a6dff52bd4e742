// CRC32C (Castagnoli) of bytes, by the processor's own instruction where it has one.
//
// Ownership and thread: pure functions, callable from any thread. No errors. Why our own:
// docs/decisions/0003-crc32c.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace liongate::event_log {

// Continues the finished checksum `crc` over `bytes`; begin with 0 for the standard value, or with a key.
std::uint32_t crc32c_extend(std::uint32_t crc, std::span<const std::byte> bytes);

// The same by table, on every machine. Public so that a test can hold the two against each other.
std::uint32_t crc32c_extend_by_table(std::uint32_t crc, std::span<const std::byte> bytes);

}  // namespace liongate::event_log
