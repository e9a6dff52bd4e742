#include "daemon/last_words.h"

#include <sys/prctl.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace liongate::daemon {
namespace {

void say_and_die() {
  constexpr int kThreadNameBytes = 16;
  char thread[kThreadNameBytes] = "";
  (void)::prctl(PR_GET_NAME, thread);
  const char* what = "no exception";
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    what = exception.what();
  } catch (...) {
    what = "an exception of an unknown kind";
  }
  // Not through the logger, whose lock this thread may hold.
  std::fprintf(stderr,
               "liongated: thread %s: nobody expected: %s; this is a defect of liongated. What was acknowledged is in "
               "the log; start it again\n",
               thread, what);
  std::abort();
}

}  // namespace

void promise_last_words() {
  std::set_terminate(say_and_die);
}

}  // namespace liongate::daemon
