#include "kernel/policy/payload_policy.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernel/base/digest.h"

namespace liongate::policy {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kRedacted = "[redacted]";

// The next token of a JSON pointer (RFC 6901), whose "~1" and "~0" stand for "/" and "~".
std::string next_token(std::string_view& pointer) {
  pointer.remove_prefix(1);
  const std::size_t end = std::min(pointer.find('/'), pointer.size());
  std::string token;
  for (std::size_t i = 0; i < end; ++i) {
    const bool escaped = pointer[i] == '~' && i + 1 < end;
    token += escaped ? (pointer[++i] == '1' ? '/' : '~') : pointer[i];
  }
  pointer.remove_prefix(end);
  return token;
}

Json* child(Json& value, const std::string& token) {
  if (value.is_object()) {
    const auto found = value.find(token);
    return found == value.end() ? nullptr : &*found;
  }
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool is_index = value.is_array() && error == std::errc() && end == token.data() + token.size();
  return is_index && index < value.size() ? &value[index] : nullptr;
}

void redact_at(Json& root, std::string_view pointer) {
  Json* value = &root;
  while (!pointer.empty() && value != nullptr) value = child(*value, next_token(pointer));
  if (value != nullptr) *value = kRedacted;
}

// Nothing where it is no JSON that can be looked into.
std::optional<std::string> redacted(const std::string& text,
                                    const google::protobuf::RepeatedPtrField<std::string>& pointers) {
  bool too_deep = false;
  const auto bound = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kRedactedJsonDepthMax;
    return !too_deep;
  };
  Json root = Json::parse(text, bound, /*allow_exceptions=*/false);
  if (too_deep || root.is_discarded()) return std::nullopt;
  for (const std::string& pointer : pointers) redact_at(root, pointer);
  return root.dump();
}

void leave_out(const std::string& bytes, const char* why, v1::Content& content) {
  content.clear_kind();
  content.set_sha256(sha256_hex(bytes));
  content.set_left_out(why);
}

}  // namespace

PayloadRule payload_rule(const v1::ManifestLog& log, std::size_t bytes_max) {
  PayloadRule rule{bytes_max, &log.redact()};
  if (log.has_payload_bytes_max()) {
    rule.bytes_max = std::min<std::size_t>(bytes_max, static_cast<std::size_t>(log.payload_bytes_max()));
  }
  return rule;
}

void store(const v1::Payload& payload, const PayloadRule& rule, v1::Content& content) {
  const std::string& bytes = payload.has_data() ? payload.data() : payload.text();
  // Not cleared as a whole: events are reused, and their texts keep their memory.
  content.set_size_bytes(bytes.size());
  content.clear_sha256();
  content.clear_left_out();
  if (bytes.size() > rule.bytes_max) {
    leave_out(bytes, "size", content);
    return;
  }
  const bool redacts = rule.redact != nullptr && !rule.redact->empty() && !bytes.empty();
  if (redacts) {
    std::optional<std::string> text = redacted(bytes, *rule.redact);
    if (!text) {
      leave_out(bytes, "redaction", content);
      return;
    }
    content.set_left_out("redacted");
    content.set_text(*std::move(text));
  } else if (payload.has_data()) {
    content.set_data(bytes);
  } else {
    content.set_text(bytes);
  }
}

}  // namespace liongate::policy
