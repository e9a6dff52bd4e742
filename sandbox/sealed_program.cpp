#include "sandbox/sealed_program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "kernel/base/unique_fd.h"

namespace liongate::sandbox {
namespace {

constexpr const char* kOwnProgram = "/proc/self/exe";
constexpr const char* kTriedVariable = "LIONGATE_LAUNCHER_MOVED";
constexpr const char* kTried = "LIONGATE_LAUNCHER_MOVED=1";
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, Linux 6.3

UniqueFd make_memory_file() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd file(::memfd_create("liongate-launcher", kFlags | kExecutable));
  if (!file.valid() && errno == EINVAL) file.reset(::memfd_create("liongate-launcher", kFlags));
  return file;
}

UniqueFd sealed_copy_of(int program) {
  struct stat info {};
  UniqueFd copy = make_memory_file();
  if (!copy.valid() || ::fstat(program, &info) != 0) return UniqueFd();
  for (off_t copied = 0; copied < info.st_size;) {
    const ssize_t sent = ::sendfile(copy.get(), program, nullptr, static_cast<std::size_t>(info.st_size - copied));
    if (sent <= 0) return UniqueFd();
    copied += sent;
  }
  if (::fchmod(copy.get(), 0500) != 0 || ::fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) return UniqueFd();
  return copy;
}

}  // namespace

bool runs_from_sealed_memory() {
  const UniqueFd program(::open(kOwnProgram, O_RDONLY | O_CLOEXEC));
  const int seals = program.valid() ? ::fcntl(program.get(), F_GET_SEALS) : -1;
  return seals >= 0 && (seals & kSeals) == kSeals;
}

void move_to_sealed_memory(char* const* arguments) {
  if (std::getenv(kTriedVariable) != nullptr || runs_from_sealed_memory()) return;
  const UniqueFd program(::open(kOwnProgram, O_RDONLY | O_CLOEXEC));
  const UniqueFd copy = program.valid() ? sealed_copy_of(program.get()) : UniqueFd();
  if (!copy.valid()) return;
  char* const environment[] = {const_cast<char*>(kTried), nullptr};
  ::syscall(SYS_execveat, copy.get(), "", arguments, environment, AT_EMPTY_PATH);
}

}  // namespace liongate::sandbox
