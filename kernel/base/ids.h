// Distinct types for the identifiers that would otherwise all be strings and integers, and the maker of UUIDs.
//
// Ownership and thread: plain values. `new_uuid` may be called from any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace liongate {

// Returns a random (version 4) UUID as 36 lower-case characters. Aborts if the kernel gives no randomness.
std::string new_uuid();

// True if `text` has the form of a UUID: 36 characters, hyphens in their places, hexadecimal digits, either case.
bool is_uuid(std::string_view text);

template <typename Tag>
class StringId {
 public:
  StringId() = default;
  explicit StringId(std::string text) : text_(std::move(text)) {}

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const StringId&) const = default;

  static StringId make() { return StringId(new_uuid()); }

 private:
  std::string text_;
};

using PluginId = StringId<struct PluginIdTag>;        // lasts from load to unload
using InstanceId = StringId<struct InstanceIdTag>;    // one start of a plugin
using ExecutionId = StringId<struct ExecutionIdTag>;  // one call

// Position of an event in a node's log: 1 for the first, then gapless. 0 means "none" or "before the first".
using EventSeq = std::uint64_t;

}  // namespace liongate

template <typename Tag>
struct std::hash<liongate::StringId<Tag>> {
  std::size_t operator()(const liongate::StringId<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.str());
  }
};
