#include "kernel/policy/secrets.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

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

// How `value` is spelled between the quotes of a JSON text.
std::string json_spelling(const std::string& value) {
  const std::string quoted = nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

Result<void> Secrets::learn(const v1::Manifest& manifest) {
  for (const std::string& name : manifest.log().secrets()) {
    const std::optional<std::string> value = environment_ ? environment_(name) : std::nullopt;
    if (!value || value->empty()) continue;
    if (value->size() < kSecretBytesMin) {
      return make_error(Reason::kInvalidManifest, "plugin " + manifest.name() + ": the value of the secret " + name +
                                                      " is shorter than " + std::to_string(kSecretBytesMin) +
                                                      " bytes: it cannot be told from other text in the log")
          .with_hint("give " + name + " a longer value in the daemon's environment");
    }
    for (const std::string& spelling : {*value, json_spelling(*value)}) {
      if (std::find(values_.begin(), values_.end(), spelling) == values_.end()) values_.push_back(spelling);
    }
  }
  std::sort(values_.begin(), values_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  return {};
}

std::string Secrets::hidden(std::string text) const {
  for (const std::string& value : values_) {
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
