#include "kernel/supervision/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

#include "kernel/base/utf8.h"

namespace liongate::supervision {

CreatedFiles FileWatch::take() {
  CreatedFiles created;
  if (!valid()) return created;
  alignas(inotify_event) char bytes[16 * 1024];
  for (std::size_t read_bytes = 0; read_bytes < kLookBytesMax;) {
    const ssize_t got = ::read(inotify_.get(), bytes, sizeof bytes);
    if (got <= 0) break;
    read_bytes += static_cast<std::size_t>(got);
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, bytes + at, sizeof event);
      const char* const name = bytes + at + sizeof event;
      at += static_cast<ssize_t>(sizeof event + event.len);
      const auto folder = folders_.find(event.wd);
      if (folder == folders_.end() || event.len == 0) continue;
      if (created.names.size() >= kCreatedFilesMax) {
        ++created.left_out;
        continue;
      }
      created.names.push_back(to_utf8(folder->second + "/" + std::string(name, ::strnlen(name, event.len))));
    }
  }
  return created;
}

}  // namespace liongate::supervision
