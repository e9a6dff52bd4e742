#include "cli/json_output.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <ostream>

namespace liongate::cli {

std::string json_of(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : "{}";
}

void print_json(Context& context, const google::protobuf::Message& message) {
  context.out << json_of(message) << '\n' << std::flush;
}

}  // namespace liongate::cli
