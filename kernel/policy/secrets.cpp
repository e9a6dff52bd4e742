#include "kernel/policy/secrets.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"

namespace liongate::policy {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

constexpr const char* kHidden = "[secret]";
// Fields that identify or steer, in whatever message: a replay depends on them.
constexpr std::array<std::string_view, 8> kKeptFields{"type",         "plugin_id", "plugin_name", "instance_id",
                                                      "execution_id", "reason",    "kind",        "durability"};

bool is_kept(const FieldDescriptor& field) {
  return std::find(kKeptFields.begin(), kKeptFields.end(), field.name()) != kKeptFields.end();
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks(" \t\r\n\0", 5);
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

void add_spelling(std::string_view text, std::vector<SecretBytes>& spellings) {
  const auto is_there = [text](const SecretBytes& one) { return one.text() == text; };
  if (std::none_of(spellings.begin(), spellings.end(), is_there)) spellings.emplace_back(text);
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// `text` itself, as it stands between the quotes of a JSON text, and as logs and messages mend it. JSON is spelled as
// most libraries do by themselves: Python writes only ASCII, PHP that and `\/`, Go no characters that HTML knows.
void add_spellings(std::string_view text, std::vector<SecretBytes>& spellings) {
  add_spelling(text, spellings);
  std::string mended = to_utf8(text);
  add_spelling(mended, spellings);
  nlohmann::json node(std::move(mended));
  for (const bool is_ascii : {false, true}) {
    std::string quoted = node.dump(-1, ' ', is_ascii, nlohmann::json::error_handler_t::replace);
    std::string slashed = replaced(quoted, "/", "\\/");
    std::string for_html = replaced(replaced(replaced(quoted, "&", "\\u0026"), "<", "\\u003c"), ">", "\\u003e");
    for (std::string* spelling : {&quoted, &slashed, &for_html}) {
      add_spelling(std::string_view(*spelling).substr(1, spelling->size() - 2), spellings);
      wipe(*spelling);
    }
  }
  wipe(node.get_ref<std::string&>());
}

std::vector<SecretBytes> spellings_of(std::string_view value) {
  std::vector<SecretBytes> spellings;
  add_spellings(value, spellings);
  add_spellings(without_blanks(value), spellings);
  // Logs are kept by line, and so are keys in files.
  for (std::string_view rest = value; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = without_blanks(rest.substr(0, end));
    if (line.size() >= kSecretLineBytesMin) add_spellings(line, spellings);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return spellings;
}

bool is_variable(const std::string& name) {
  return name.starts_with("env:");
}

std::string too_short(const std::string& name) {
  return "the value of the secret " + name + " is shorter than " + std::to_string(kSecretBytesMin) +
         " bytes: it cannot be told from other text in the log";
}

}  // namespace

Result<void> Secrets::learn(const v1::Manifest& manifest) {
  for (const std::string& name : manifest.log().secrets()) {
    const std::optional<std::string> value = environment_ ? environment_(name) : std::nullopt;
    if (!value || value->empty()) continue;
    if (value->size() < kSecretBytesMin) {
      return make_error(Reason::kInvalidManifest, "plugin " + manifest.name() + ": " + too_short(name))
          .with_hint("give " + name + " a longer value in the daemon's environment");
    }
    remember("env:" + name, *value);
  }
  return {};
}

Result<void> Secrets::learn_value(const std::string& name, std::string_view value) {
  if (without_blanks(value).size() < kSecretBytesMin) {
    return make_error(Reason::kInvalidConfig, too_short(name))
        .with_hint("give it a longer value where it comes from")
        .with("secret", name);
  }
  remember(name, value);
  return {};
}

void Secrets::remember(const std::string& name, std::string_view value) {
  const auto same = std::find_if(known_.begin(), known_.end(),
                                 [&](const Known& known) { return known.name == name && known.value.text() == value; });
  if (same != known_.end()) {  // in use: the last to be forgotten
    std::rotate(same, same + 1, known_.end());
    return;
  }
  const auto of_name = std::count_if(known_.begin(), known_.end(), [&](const Known& one) { return one.name == name; });
  if (static_cast<std::size_t>(of_name) >= limits::kHiddenValuesPerSecretMax) forget_oldest(name);
  if (known_.size() >= limits::kHiddenValuesMax) forget_oldest("");
  known_.push_back({name, SecretBytes(value), spellings_of(value)});
  arrange();
}

// Of that name; of any secret where there is none. A variable does not change while we live.
void Secrets::forget_oldest(const std::string& name) {
  const auto oldest = std::find_if(known_.begin(), known_.end(), [&](const Known& known) {
    return name.empty() ? !is_variable(known.name) : known.name == name;
  });
  if (oldest != known_.end()) known_.erase(oldest);
}

void Secrets::arrange() {
  hidden_.clear();
  for (const Known& known : known_) {
    for (const SecretBytes& spelling : known.spellings) hidden_.push_back(spelling.text());
  }
  std::stable_sort(hidden_.begin(), hidden_.end(),
                   [](std::string_view a, std::string_view b) { return a.size() > b.size(); });
}

std::string Secrets::hidden(std::string text) const {
  for (const std::string_view value : hidden_) {
    for (std::size_t at = text.find(value); at != std::string::npos; at = text.find(value, at)) {
      text.replace(at, value.size(), kHidden);
      at += std::string_view(kHidden).size();
    }
  }
  return text;
}

void Secrets::hide(v1::Event& event) const {
  if (event.has_plugin_loaded() || event.has_plugin_reloaded()) return;
  hide_in(event);
}

void Secrets::hide_in(Message& message) const {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (is_kept(*field)) continue;
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {  // the entries of a map too
        hide_in(field->is_repeated() ? *reflection.MutableRepeatedMessage(&message, field, i)
                                     : *reflection.MutableMessage(&message, field));
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && field->is_repeated()) {
        reflection.SetRepeatedString(&message, field, i, hidden(reflection.GetRepeatedString(message, field, i)));
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        reflection.SetString(&message, field, hidden(reflection.GetString(message, field)));
      }
    }
  }
}

}  // namespace liongate::policy
