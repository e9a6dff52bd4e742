#include "daemon/digest_cache.h"

#include "kernel/base/limits.h"

namespace liongate::daemon {

DigestCache::Key DigestCache::key_of(const struct stat& info) {
  constexpr std::int64_t kNsPerSecond = 1'000'000'000;
  return {info.st_dev, info.st_ino, info.st_size, info.st_ctim.tv_sec * kNsPerSecond + info.st_ctim.tv_nsec,
          info.st_mtim.tv_sec * kNsPerSecond + info.st_mtim.tv_nsec};
}

std::optional<std::string> DigestCache::find(const struct stat& info) const {
  const auto found = digests_.find(key_of(info));
  if (found == digests_.end()) return std::nullopt;
  return found->second;
}

void DigestCache::remember(const struct stat& info, std::int64_t wall_seconds, std::string sha256_hex) {
  if (info.st_ctim.tv_sec + kSettledSeconds > wall_seconds) return;
  const Key key = key_of(info);
  if (!digests_.emplace(key, std::move(sha256_hex)).second) return;
  order_.push_back(key);
  if (order_.size() > limits::kDigestCacheFilesMax) {
    digests_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace liongate::daemon
