// Remembers the SHA-256 of files that have not changed, so that a start does not read a plugin's megabytes again.
//
// A file is the same while device, inode, size, times of change and modification are. The time of change cannot be set
// from user space, but it has the clock's grain: a file changed just now could change again within it. So only what was
// last changed kSettledSeconds before it was read is remembered.
// Ownership and thread: used by the inspector's thread alone. At most limits::kDigestCacheFilesMax files; the oldest
// go.
#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace liongate::daemon {

class DigestCache {
 public:
  static constexpr std::int64_t kSettledSeconds = 2;

  std::optional<std::string> find(const struct stat& info) const;

  // `info` was taken before the file was read, `wall_seconds` too.
  void remember(const struct stat& info, std::int64_t wall_seconds, std::string sha256_hex);

 private:
  struct Key {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t change_ns = 0;
    std::int64_t modification_ns = 0;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const struct stat& info);

  std::map<Key, std::string> digests_;
  std::deque<Key> order_;
};

}  // namespace liongate::daemon
