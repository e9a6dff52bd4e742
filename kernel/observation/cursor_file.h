// How far one observer is, on disk: a file of two slots that are written in turn.
//
// Format: two slots of 128 bytes. Each: "LGCURSOR", generation (8), sequence number (8), node id (36 characters),
// zeroes, and in the last four bytes the CRC32C of the 124 in front of them; numbers little-endian. The valid slot with
// the higher generation is the cursor; a slot that is torn or was never written is none. The file has its whole length
// from the beginning, so a write changes no metadata but a time.
//
// Durability: what was written survives the end of the daemon in any way. It is synced only by sync(): a power cut may
// leave an older cursor, and the observer then gets again what it has had. Never a newer one: only what is durable in
// the log is sent.
//
// Ownership and thread: owns its descriptor; one thread at a time. Errors: kInternal with the system's words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernel/base/ids.h"
#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::observation {

struct Cursor {
  EventSeq seq = 0;
  std::string node_id;  // whose log it is a place in
};

class CursorFile {
 public:
  // Opens or makes the file with mode 0600.
  static Result<CursorFile> open(const std::string& path);

  const std::optional<Cursor>& cursor() const { return cursor_; }  // nothing: never written, or both slots are broken
  Result<void> write(Cursor cursor);
  void sync();

 private:
  explicit CursorFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<void> read();

  UniqueFd fd_;
  std::string path_;
  std::uint64_t generation_ = 0;
  std::optional<Cursor> cursor_;
};

}  // namespace liongate::observation
