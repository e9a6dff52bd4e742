// The values that must never be stored: of the environment variables that a manifest declares as secrets. Wherever one
// appears in an event, "[secret]" stands instead.
//
// A value is hidden in the events of every plugin, from the moment a plugin that declares it is about to be loaded
// until the daemon ends: what one plugin says may be another one's input. Found are the bytes themselves and their
// spelling within a JSON text; a value that a plugin encodes otherwise (base64, backwards) is not.
//
// What identifies and steers (ids, names, types, reasons) is left as it is, and PluginLoaded and PluginReloaded too:
// they hold what the manifest says, and a start needs it whole.
//
// Ownership and thread: owned by the orchestrator; kernel thread. Bounded by the daemon's own environment.
// Errors: learn() refuses a value that is too short to be told from other text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "liongate/v1/event.pb.h"

namespace liongate::policy {

inline constexpr std::size_t kSecretBytesMin = 6;

class Secrets {
 public:
  // What an environment variable of the daemon is, which is what a plugin with that grant gets.
  using Environment = std::function<std::optional<std::string>(const std::string& name)>;
  explicit Secrets(Environment environment) : environment_(std::move(environment)) {}

  // From now on hides what `manifest` declares. kInvalidManifest for a value shorter than kSecretBytesMin.
  Result<void> learn(const v1::Manifest& manifest);

  bool empty() const { return values_.empty(); }
  void hide(v1::Event& event) const;
  std::string hidden(std::string text) const;

 private:
  void hide_in(google::protobuf::Message& message) const;

  Environment environment_;
  std::vector<std::string> values_;  // the longest first: one may be part of another
};

}  // namespace liongate::policy
