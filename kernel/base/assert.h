// LG_ASSERT: an invariant of ours that must hold; always on. For programmer errors only, never for bad input.
//
// A daemon whose own state is broken must not go on writing a log that people trust: it says where and aborts;
// supervision (systemd) restarts it, and the log is replayed.
#pragma once

#include <cstdio>
#include <cstdlib>

#define LG_ASSERT(condition)                                                                            \
  do {                                                                                                  \
    if (!(condition)) {                                                                                 \
      std::fprintf(stderr, "liongate: broken invariant: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                                     \
    }                                                                                                   \
  } while (false)
