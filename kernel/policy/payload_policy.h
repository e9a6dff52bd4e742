// What of a call's input and output goes into events: how much of it, and what of it not.
//
// Larger than the bound: length and digest instead of the content. With paths to redact, content that is JSON is stored
// with what is at these paths replaced by "[redacted]", and content that is not (or is nested too deeply to say) by its
// length and digest alone: what cannot be looked into may hold what must not be stored. The plugin and its callers
// always get what was said.
//
// Ownership and thread: pure functions, any thread. No errors: what is not understood is left out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "liongate/v1/event.pb.h"
#include "liongate/v1/frame.pb.h"
#include "liongate/v1/manifest.pb.h"

namespace liongate::policy {

// JSON nested deeper than this is not looked into.
inline constexpr int kRedactedJsonDepthMax = 64;

struct PayloadRule {
  std::size_t bytes_max = 0;
  const google::protobuf::RepeatedPtrField<std::string>* redact = nullptr;  // JSON pointers; valid while the rule is
};

// The operator's bound, or the plugin's own where that is lower.
PayloadRule payload_rule(const v1::ManifestLog& log, std::size_t bytes_max);

void store(const v1::Payload& payload, const PayloadRule& rule, v1::Content& content);

}  // namespace liongate::policy
