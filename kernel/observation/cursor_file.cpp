#include "kernel/observation/cursor_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "kernel/base/sys.h"
#include "kernel/event_log/crc32c.h"

namespace liongate::observation {
namespace {

constexpr std::size_t kSlotBytes = 128;
constexpr std::array<char, 8> kMagic{'L', 'G', 'C', 'U', 'R', 'S', 'O', 'R'};
constexpr std::size_t kGenerationAt = 8;
constexpr std::size_t kSeqAt = 16;
constexpr std::size_t kNodeAt = 24;
constexpr std::size_t kNodeBytes = 36;
constexpr std::size_t kCrcAt = kSlotBytes - 4;

using Slot = std::array<std::byte, kSlotBytes>;

void put(Slot& slot, std::size_t at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) slot[at + i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint64_t get(const Slot& slot, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= static_cast<std::uint64_t>(slot[at + i]) << (8 * i);
  return value;
}

std::uint32_t crc_of(const Slot& slot) {
  return event_log::crc32c_extend(0, std::span(slot).first(kCrcAt));
}

bool is_valid(const Slot& slot) {
  return std::memcmp(slot.data(), kMagic.data(), kMagic.size()) == 0 && get(slot, kCrcAt, 4) == crc_of(slot);
}

}  // namespace

Result<CursorFile> CursorFile::open(const std::string& path) {
  LG_ASSIGN(UniqueFd fd, sys::open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  CursorFile file(std::move(fd), path);
  if (::ftruncate(file.fd_.get(), 2 * kSlotBytes) != 0) return make_errno_error(Reason::kInternal, path, errno);
  LG_TRY(file.read());
  return file;
}

Result<void> CursorFile::read() {
  for (std::uint64_t i = 0; i < 2; ++i) {
    Slot slot{};
    LG_ASSIGN(const std::size_t got, sys::read_at(fd_.get(), slot, i * kSlotBytes));
    if (got != kSlotBytes || !is_valid(slot) || get(slot, kGenerationAt, 8) < generation_) continue;
    generation_ = get(slot, kGenerationAt, 8);
    const auto* node = reinterpret_cast<const char*>(slot.data() + kNodeAt);
    cursor_ = Cursor{get(slot, kSeqAt, 8), std::string(node, ::strnlen(node, kNodeBytes))};
  }
  return {};
}

Result<void> CursorFile::write(Cursor cursor) {
  Slot slot{};
  std::memcpy(slot.data(), kMagic.data(), kMagic.size());
  const std::uint64_t generation = generation_ + 1;
  put(slot, kGenerationAt, generation, 8);
  put(slot, kSeqAt, cursor.seq, 8);
  std::memcpy(slot.data() + kNodeAt, cursor.node_id.data(), std::min(cursor.node_id.size(), kNodeBytes));
  put(slot, kCrcAt, crc_of(slot), 4);
  const ssize_t written =
      ::pwrite(fd_.get(), slot.data(), slot.size(), static_cast<off_t>((generation % 2) * kSlotBytes));
  if (written != static_cast<ssize_t>(slot.size())) {
    return make_errno_error(Reason::kInternal, "write " + path_, written < 0 ? errno : ENOSPC);
  }
  generation_ = generation;
  cursor_ = std::move(cursor);
  return {};
}

void CursorFile::sync() {
  // One that fails costs events that are sent again, nothing else.
  static_cast<void>(::fdatasync(fd_.get()));
}

}  // namespace liongate::observation
