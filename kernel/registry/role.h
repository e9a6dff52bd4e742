// Which of the two roles a plugin has: it takes calls, or it is shown the log's events.
//
// Ownership and thread: a pure function.
#pragma once

#include "liongate/v1/manifest.pb.h"

namespace liongate::registry {

inline bool is_observer(const v1::Manifest& manifest) {
  return manifest.role() == "observer";
}

}  // namespace liongate::registry
