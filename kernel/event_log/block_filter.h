// Bloom filters of one block of a segment: which correlation ids and which texts it may hold. The prose is in
// docs/event-log-format.md, "Footer".
//
// Ownership and thread: plain values; one thread at a time while they are filled. No errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace liongate::event_log {

inline constexpr std::uint32_t kCorrelationBits = 4096;  // before halving
inline constexpr std::uint32_t kTextBits = 8192;
inline constexpr std::uint32_t kFilterBitsMin = 64;

// Filters of all blocks of a segment, one behind the other.
class FilterRow {
 public:
  explicit FilterRow(std::uint32_t bits) : bits_(bits) {}

  void add_block() { bytes_.resize(bytes_.size() + bits_ / 8); }
  std::span<std::uint8_t> last_block() { return std::span(bytes_).last(bits_ / 8); }
  // Halves the filters as long as `bits_each` bits are left for each of `keys`.
  void halve_for(std::uint32_t keys, std::uint32_t bits_each);

  std::uint32_t bits() const { return bits_; }
  std::span<const std::uint8_t> bytes() const { return bytes_; }

 private:
  std::uint32_t bits_;
  std::vector<std::uint8_t> bytes_;
};

// The bits of one correlation id.
class CorrelationKey {
 public:
  explicit CorrelationKey(std::string_view id);
  // Returns whether any bit was not set before.
  bool add_to(std::span<std::uint8_t> filter) const;
  bool may_be_in(std::span<const std::uint8_t> filter) const;

 private:
  std::uint32_t first_;
  std::uint32_t step_;
};

// The bits of a text's groups of three bytes.
void add_text(std::span<std::uint8_t> filter, std::string_view text);
// Sets all bits where so many are set that the rest says nothing; returns whether it is so.
bool saturate(std::span<std::uint8_t> filter);

class TextKey {
 public:
  explicit TextKey(std::string_view text);
  bool may_be_in(std::span<const std::uint8_t> filter) const;

 private:
  std::vector<std::uint32_t> bits_;  // empty: the text is too short to tell
};

}  // namespace liongate::event_log
