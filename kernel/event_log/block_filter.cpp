#include "kernel/event_log/block_filter.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernel/event_log/crc32c.h"

namespace liongate::event_log {
namespace {

constexpr std::uint32_t kCorrelationHashes = 7;
constexpr std::size_t kTextGroupBytes = 3;
constexpr unsigned kTextShift = 19;
static_assert(kTextBits == 1U << (32 - kTextShift));

std::uint32_t text_bit(const char* at) {
  const auto byte = [at](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return (byte(0) | byte(1) << 8 | byte(2) << 16) * 0x9E3779B1U >> kTextShift;
}

bool is_set(std::span<const std::uint8_t> filter, std::uint32_t bit) {
  return (filter[bit / 8] & 1U << bit % 8) != 0;
}

}  // namespace

void FilterRow::halve_for(std::uint32_t keys, std::uint32_t bits_each) {
  while (bits_ / 2 >= kFilterBitsMin && bits_ / 2 >= keys * bits_each) {
    const std::size_t half = bits_ / 16;
    std::size_t to = 0;
    for (std::size_t from = 0; from < bytes_.size(); from += 2 * half) {
      for (std::size_t i = 0; i < half; ++i) {
        bytes_[to++] = static_cast<std::uint8_t>(bytes_[from + i] | bytes_[from + half + i]);
      }
    }
    bytes_.resize(to);
    bits_ /= 2;
  }
}

CorrelationKey::CorrelationKey(std::string_view id) {
  const std::uint64_t mixed = crc32c_extend(0, std::as_bytes(std::span(id))) * 0x9E3779B97F4A7C15ULL;
  first_ = static_cast<std::uint32_t>(mixed >> 32);
  step_ = static_cast<std::uint32_t>(mixed) | 1U;
}

bool CorrelationKey::add_to(std::span<std::uint8_t> filter) const {
  const auto mask = static_cast<std::uint32_t>(filter.size() * 8 - 1);
  bool fresh = false;
  std::uint32_t at = first_;
  for (std::uint32_t i = 0; i < kCorrelationHashes; ++i, at += step_) {
    std::uint8_t& byte = filter[(at & mask) / 8];
    const auto bit = static_cast<std::uint8_t>(1U << at % 8);
    fresh = fresh || (byte & bit) == 0;
    byte |= bit;
  }
  return fresh;
}

bool CorrelationKey::may_be_in(std::span<const std::uint8_t> filter) const {
  const auto mask = static_cast<std::uint32_t>(filter.size() * 8 - 1);
  std::uint32_t at = first_;
  for (std::uint32_t i = 0; i < kCorrelationHashes; ++i, at += step_) {
    if (!is_set(filter, at & mask)) return false;
  }
  return true;
}

void add_text(std::span<std::uint8_t> filter, std::string_view text) {
  for (std::size_t i = 0; i + kTextGroupBytes <= text.size(); ++i) {
    const std::uint32_t bit = text_bit(text.data() + i);
    filter[bit / 8] |= static_cast<std::uint8_t>(1U << bit % 8);
  }
}

bool saturate(std::span<std::uint8_t> filter) {
  std::size_t set = 0;
  for (std::size_t at = 0; at < filter.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, filter.data() + at, sizeof word);
    set += static_cast<std::size_t>(std::popcount(word));
  }
  if (set < filter.size() * 7) return false;
  std::fill(filter.begin(), filter.end(), std::uint8_t{0xFF});
  return true;
}

TextKey::TextKey(std::string_view text) {
  for (std::size_t i = 0; i + kTextGroupBytes <= text.size(); ++i) bits_.push_back(text_bit(text.data() + i));
  std::sort(bits_.begin(), bits_.end());
  bits_.erase(std::unique(bits_.begin(), bits_.end()), bits_.end());
}

bool TextKey::may_be_in(std::span<const std::uint8_t> filter) const {
  return std::all_of(bits_.begin(), bits_.end(), [filter](std::uint32_t bit) { return is_set(filter, bit); });
}

}  // namespace liongate::event_log
