#include "kernel/event_log/event_fields.h"

#include <google/protobuf/descriptor.h>

namespace liongate::event_log {
namespace wire {
namespace {

constexpr unsigned kVarintBytesMax = 10;

}  // namespace

bool FieldWalk::long_varint(std::uint64_t& value) {
  value = 0;
  for (unsigned i = 0; i < kVarintBytesMax && at_ != end_; ++i) {
    const auto byte = static_cast<unsigned char>(*at_++);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << (7 * i);
    if ((byte & 0x80U) == 0) return true;
  }
  return false;
}

bool FieldWalk::skip_number() {
  std::uint64_t value = 0;
  switch (kind_) {
    case Kind::kVarint:
      return varint(value);
    case Kind::kFixed64:
      return skip(8);
    case Kind::kFixed32:
      return skip(4);
    case Kind::kBytes:
      break;
  }
  return false;
}

bool is_textless(int payload_field, int field) {
  using v1::Event;
  switch (payload_field) {
    case Event::kPluginInvokedFieldNumber:
      return field == v1::PluginInvoked::kExecutionIdFieldNumber;
    case Event::kPluginResultFieldNumber:
      return field == v1::PluginResult::kExecutionIdFieldNumber || field == v1::PluginResult::kFiguresFieldNumber;
    case Event::kPluginErrorFieldNumber:
      return field == v1::PluginError::kExecutionIdFieldNumber || field == v1::PluginError::kFiguresFieldNumber;
    case Event::kPluginLogFieldNumber:
      return field == v1::PluginLog::kExecutionIdFieldNumber;
    default:
      return false;
  }
}

}  // namespace wire

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr int kPayloadFieldMin = 100;  // event.proto numbers payloads from here

bool has_text(const Message& message, const std::string& text, int payload_field);

bool field_has_text(const Message& message, const FieldDescriptor& field, const std::string& text) {
  const auto& reflection = *message.GetReflection();
  const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  std::string scratch;
  for (int i = 0; i < count; ++i) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      const std::string& value = field.is_repeated()
                                     ? reflection.GetRepeatedStringReference(message, &field, i, &scratch)
                                     : reflection.GetStringReference(message, &field, &scratch);
      if (value.find(text) != std::string::npos) return true;
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const Message& nested = field.is_repeated() ? reflection.GetRepeatedMessage(message, &field, i)
                                                  : reflection.GetMessage(message, &field);
      if (has_text(nested, text, 0)) return true;
    }
  }
  return false;
}

bool has_text(const Message& message, const std::string& text, int payload_field) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (!wire::is_textless(payload_field, field->number()) && field_has_text(message, *field, text)) return true;
  }
  return false;
}

}  // namespace

bool read_fields(std::string_view event, EventFields& fields) {
  using v1::Event;
  fields = {};
  wire::FieldWalk walk(event);
  while (walk.next()) {
    if (!walk.is_bytes()) {
      fields.from_observer = fields.from_observer || walk.field() == Event::kFromObserverFieldNumber;
      continue;
    }
    switch (walk.field()) {
      case Event::kTypeFieldNumber:
        fields.type = walk.bytes();
        break;
      case Event::kPluginIdFieldNumber:
        fields.plugin_id = walk.bytes();
        break;
      case Event::kCorrelationIdFieldNumber:
        fields.correlation_id = walk.bytes();
        break;
      case Event::kActorFieldNumber:
        fields.actor = walk.bytes();
        break;
      case Event::kPluginNameFieldNumber:
        fields.plugin_name = walk.bytes();
        break;
      default:
        if (walk.field() < kPayloadFieldMin) break;
        fields.payload = walk.bytes();
        fields.payload_field = walk.field();
    }
  }
  return !walk.broken();
}

bool payload_has_text(const v1::Event& event, const std::string& text) {
  const FieldDescriptor* field =
      event.GetReflection()->GetOneofFieldDescriptor(event, v1::Event::descriptor()->FindOneofByName("payload"));
  return field != nullptr && has_text(event.GetReflection()->GetMessage(event, field), text, field->number());
}

}  // namespace liongate::event_log
