#include "cli/cloud_event.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <cstdio>

#include "cli/json_output.h"

namespace liongate::cli {
namespace {

// Attributes in the order in which they are added; an empty one is left out, as the specification asks.
class Attributes {
 public:
  void add(const char* name, const std::string& value) {
    if (value.empty()) return;
    google::protobuf::Value text;
    text.set_string_value(value);
    text_ += (text_.empty() ? "" : ",") + ("\"" + std::string(name) + "\":") + json_of(text);
  }
  std::string with_data(const std::string& json) const { return "{" + text_ + ",\"data\":" + json + "}"; }

 private:
  std::string text_;
};

Attributes begin(const std::string& id, const std::string& node_id, const std::string& type) {
  Attributes attributes;
  attributes.add("specversion", "1.0");
  attributes.add("id", id);
  attributes.add("source", "/liongate/nodes/" + node_id);
  attributes.add("type", "liongate.v1." + type);
  return attributes;
}

// The sequence extension compares as text.
std::string sequence(std::uint64_t seq) {
  char text[24];
  std::snprintf(text, sizeof text, "%020llu", static_cast<unsigned long long>(seq));
  return text;
}

}  // namespace

std::string cloud_event(const v1::Event& event, const std::string& node_id) {
  Attributes attributes = begin(std::to_string(event.seq()), node_id, event.type());
  attributes.add("time", google::protobuf::util::TimeUtil::ToString(event.time()));
  attributes.add("subject", event.plugin_name().empty() ? event.plugin_id() : event.plugin_name());
  attributes.add("sequence", sequence(event.seq()));
  attributes.add("correlationid", event.correlation_id());
  attributes.add("actor", event.actor());
  attributes.add("pluginid", event.plugin_id());
  attributes.add("instanceid", event.instance_id());
  attributes.add("datacontenttype", "application/json");
  const auto* field =
      event.GetReflection()->GetOneofFieldDescriptor(event, v1::Event::descriptor()->FindOneofByName("payload"));
  return attributes.with_data(field == nullptr ? "{}" : json_of(event.GetReflection()->GetMessage(event, field)));
}

std::string cloud_event(const v1::EventGap& gap, const std::string& node_id) {
  const std::string id =
      "gap-" + std::to_string(gap.first_missing_seq()) + "-" + std::to_string(gap.last_missing_seq());
  Attributes attributes = begin(id, node_id, "EventGap");
  attributes.add("sequence", sequence(gap.last_missing_seq()));
  attributes.add("datacontenttype", "application/json");
  return attributes.with_data(json_of(gap));
}

}  // namespace liongate::cli
