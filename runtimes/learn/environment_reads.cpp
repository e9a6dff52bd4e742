// Learn mode, in the sandbox: makes the names of environment variables that a program asks for visible to the launcher.
//
// Preloaded by the dynamic loader. getenv and secure_getenv answer as the C library's do; for a name that is not set
// they ask the kernel for a path that stands for it (sandbox/path_watch.h), which is never there. What a program takes
// from `environ` itself, or asks without the dynamic C library (static programs, Go), is not seen.
//
// Ownership and thread: no state; any thread, and as safe in signal handlers as the C library's own. errno is kept.
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace {

constexpr char kFolder[] = "/liongate/environment/";
constexpr std::size_t kNameBytesMax = 255;

void show(const char* name) {
  const std::size_t length = std::strlen(name);
  if (length == 0 || length > kNameBytesMax) return;
  char path[sizeof kFolder + kNameBytesMax];
  std::memcpy(path, kFolder, sizeof kFolder - 1);
  std::memcpy(path + sizeof kFolder - 1, name, length + 1);
  const int kept = errno;
  ::syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
  errno = kept;
}

char* find(const char* name) {
  const std::size_t length = std::strlen(name);
  if (environ == nullptr || length == 0) return nullptr;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
  }
  return nullptr;
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] char* getenv(const char* name) {
  char* const value = find(name);
  if (value == nullptr) show(name);
  return value;
}

[[gnu::visibility("default")]] char* secure_getenv(const char* name) {
  return ::getauxval(AT_SECURE) != 0 ? nullptr : getenv(name);
}

}  // extern "C"
