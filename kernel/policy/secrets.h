// The values that must never be stored: of the environment variables that a manifest declares as secrets, and of the
// secrets that plugins were given. Wherever one appears in an event, "[secret]" stands instead.
//
// A value is hidden in the events of every plugin, what one plugin says may be another one's input: that of a variable
// from the moment a plugin that declares it is about to be loaded until the daemon ends; that of a secret from the
// moment before a plugin gets it, and as long as it is one of the last limits::kHiddenValuesPerSecretMax of its name
// and of the last limits::kHiddenValuesMax of all. Found are the bytes themselves, with and without the blanks around
// them, each of their lines that is long enough to be told from other text (kSecretLineBytesMin), and the spelling of
// these within a JSON text and as mended UTF-8; a value that a plugin encodes otherwise (base64, backwards), or of
// which it says a part, is not.
//
// What identifies and steers (ids, names, types, reasons) is left as it is, and PluginLoaded and PluginReloaded too:
// they hold what the manifest says, and a start needs it whole.
//
// Ownership and thread: owned by the orchestrator; kernel thread. Values are wiped when they are forgotten.
// Errors: a value that is too short to be told from other text is refused.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/limits.h"
#include "kernel/base/result.h"
#include "kernel/base/secret_bytes.h"
#include "liongate/v1/event.pb.h"

namespace liongate::policy {

inline constexpr std::size_t kSecretBytesMin = 6;
inline constexpr std::size_t kSecretLineBytesMin = 16;
// What is to be cut is hidden before, and so far beyond the cut: a secret that the cut went through would else be kept
// but for a byte. Twice the longest value, for its spelling in JSON.
inline constexpr std::size_t kHidingReachBytes = 2 * limits::kSecretBytesMax;

class Secrets {
 public:
  // What an environment variable of the daemon is, which is what a plugin with that grant gets.
  using Environment = std::function<std::optional<std::string>(const std::string& name)>;
  explicit Secrets(Environment environment) : environment_(std::move(environment)) {}

  // From now on hides what `manifest` declares. kInvalidManifest for a value shorter than kSecretBytesMin.
  Result<void> learn(const v1::Manifest& manifest);

  // From now on hides `value`, the secret `name` as it is now. kInvalidConfig where it is shorter than kSecretBytesMin
  // without the blanks around it.
  Result<void> learn_value(const std::string& name, std::string_view value);

  bool empty() const { return hidden_.empty(); }
  void hide(v1::Event& event) const;
  std::string hidden(std::string text) const;

 private:
  struct Known {
    std::string name;  // "env:NAME" for a variable
    SecretBytes value;
    std::vector<SecretBytes> spellings;
  };

  void hide_in(google::protobuf::Message& message) const;
  void remember(const std::string& name, std::string_view value);
  void forget_oldest(const std::string& name);
  void arrange();

  Environment environment_;
  std::deque<Known> known_;               // the oldest first
  std::vector<std::string_view> hidden_;  // spellings in known_, the longest first: one may be part of another
};

}  // namespace liongate::policy
