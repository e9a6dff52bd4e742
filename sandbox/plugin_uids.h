// Host user ids for plugins, handed out so that no two living sandboxes share one.
//
// Ownership and thread: owned by the launcher's loop, one thread. An id goes back when its sandbox was reaped.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace liongate::sandbox {

// Above every range that distributions and systemd hand out (they end at 2147483647; systemd's own end at 1879048191).
inline constexpr uid_t kPluginUidFirst = 2'147'000'000;
inline constexpr uid_t kPluginUidLast = 2'147'065'535;
inline constexpr uid_t kPluginUidsMax = 1'000'000;

struct UidRange {
  uid_t first = kPluginUidFirst;
  uid_t last = kPluginUidLast;
};

// Reads "FIRST-LAST". Nothing when it is not that, is empty, contains 0, or is wider than kPluginUidsMax.
std::optional<UidRange> parse_uid_range(std::string_view text);

class PluginUids {
 public:
  explicit PluginUids(UidRange range) : range_(range), taken_(range.last - range.first + 1, false) {}

  // The next free id, going round, so that an id just returned is not the next one given. Nothing when all are taken.
  std::optional<uid_t> take();
  void give_back(uid_t uid);

 private:
  UidRange range_;
  std::vector<bool> taken_;
  std::size_t next_ = 0;
};

}  // namespace liongate::sandbox
