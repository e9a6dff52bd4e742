#include "kernel/supervision/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

#include "kernel/base/utf8.h"

namespace liongate::supervision {

std::vector<std::string> FileWatch::take() {
  std::vector<std::string> names;
  if (!valid()) return names;
  alignas(inotify_event) char bytes[16 * 1024];
  ssize_t got = 0;
  while ((got = ::read(inotify_.get(), bytes, sizeof bytes)) > 0) {
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, bytes + at, sizeof event);
      const char* const name = bytes + at + sizeof event;
      at += static_cast<ssize_t>(sizeof event + event.len);
      const auto folder = folders_.find(event.wd);
      if (folder == folders_.end() || event.len == 0) continue;
      names.push_back(to_utf8(folder->second + "/" + std::string(name, ::strnlen(name, event.len))));
    }
  }
  return names;
}

}  // namespace liongate::supervision
