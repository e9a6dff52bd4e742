#include "sandbox/reaper.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/privileges.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::sandbox {
namespace {

// Holds nothing that could be taken from it: the report socket, and nothing else.
bool keep_only_socket(SetupReporter& reporter) {
  constexpr int kSocketPlace = 0;
  if (reporter.socket() != kSocketPlace && ::dup2(reporter.socket(), kSocketPlace) < 0) return false;
  reporter.move_to(kSocketPlace);
  return ::syscall(SYS_close_range, kSocketPlace + 1, ~0U, 0) == 0;
}

}  // namespace

void reap_until_end_of(pid_t program, SetupReporter& reporter) {
  constexpr int kReaperFailed = 126;
  // The program waits for nothing here: it runs already. A reaper that cannot be confined ends the sandbox.
  reporter.program_started();
  const bool confined =
      drop_all_capabilities() && set_no_new_privileges() && keep_only_socket(reporter) && load_filter(reaper_filter());
  if (!confined) ::_exit(kReaperFailed);
  for (;;) {
    int wait_status = 0;
    const pid_t ended = ::wait4(-1, &wait_status, __WALL, nullptr);
    if (ended < 0 && errno == EINTR) continue;
    if (ended == program) reporter.program_ended(wait_status);
    if (ended == program || ended < 0) ::_exit(0);
  }
}

}  // namespace liongate::sandbox
