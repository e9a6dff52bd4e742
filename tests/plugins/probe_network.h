// The part of probe that looks for a way out over sockets.
//
// Ownership and thread: pure functions of the process's own rights; any thread.
#pragma once

#include <string>

namespace liongate::tests {

// The name of an errno: "EPERM".
std::string error_name(int error);

// One line an attempt: "tcp 127.0.0.1:22: ECONNREFUSED". The argument, where given, is one more ADDRESS:PORT to try.
std::string probe_network(const std::string& argument);

}  // namespace liongate::tests
