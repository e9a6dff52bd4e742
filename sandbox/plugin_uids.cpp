#include "sandbox/plugin_uids.h"

#include <charconv>

#include "kernel/base/assert.h"

namespace liongate::sandbox {
namespace {

std::optional<uid_t> parse_uid(std::string_view text) {
  uid_t uid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), uid);
  if (error != std::errc() || end != text.data() + text.size() || uid == 0 || uid == static_cast<uid_t>(-1)) {
    return std::nullopt;
  }
  return uid;
}

}  // namespace

std::optional<UidRange> parse_uid_range(std::string_view text) {
  const std::size_t hyphen = text.find('-');
  if (hyphen == std::string_view::npos) return std::nullopt;
  const auto first = parse_uid(text.substr(0, hyphen));
  const auto last = parse_uid(text.substr(hyphen + 1));
  if (!first || !last || *first > *last || *last - *first >= kPluginUidsMax) return std::nullopt;
  return UidRange{*first, *last};
}

std::optional<uid_t> PluginUids::take() {
  for (std::size_t tried = 0; tried < taken_.size(); ++tried) {
    const std::size_t slot = next_;
    next_ = (next_ + 1) % taken_.size();
    if (taken_[slot]) continue;
    taken_[slot] = true;
    return range_.first + static_cast<uid_t>(slot);
  }
  return std::nullopt;
}

void PluginUids::give_back(uid_t uid) {
  LG_ASSERT(uid >= range_.first && uid <= range_.last && taken_[uid - range_.first]);
  taken_[uid - range_.first] = false;
}

}  // namespace liongate::sandbox
