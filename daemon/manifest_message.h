// A manifest as config/ parsed it, as the message that events and replies carry, and the other way round.
//
// Ownership and thread: pure functions.
#pragma once

#include <string>

#include "config/manifest_parser.h"
#include "kernel/base/manifest.h"
#include "kernel/base/result.h"
#include "liongate/v1/manifest.pb.h"

namespace liongate::daemon {

v1::Manifest to_message(const Manifest& manifest);
v1::ObserverSettings to_message(const ObserverOptions& options);

// An inline manifest goes through the same parser as a file: it is spelled as JSON first.
Result<Manifest> from_message(const v1::Manifest& message, const config::HostCapacity& host = {});

// The configuration a plugin starts with: the defaults that its schema declares. "{}" when there are none.
std::string default_config_json(const std::string& schema_json);

}  // namespace liongate::daemon
