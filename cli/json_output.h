// Proto JSON as the contract wants it: proto field names, defaults printed, one object a line.
//
// Ownership and thread: pure functions, one thread for the stream.
#pragma once

#include <string>

#include "cli/context.h"

namespace google::protobuf {
class Message;
}

namespace liongate::cli {

std::string json_of(const google::protobuf::Message& message);

// One line on `out`, flushed, so that a reader of a stream sees it at once.
void print_json(Context& context, const google::protobuf::Message& message);

}  // namespace liongate::cli
