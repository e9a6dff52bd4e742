// Runs a program of the operator's whose standard output is a secret.
//
// No shell, an empty environment, the root folder as its working directory, /dev/null as its input and its stderr (what
// it says there may be more than it should), no descriptor of ours, a process group of its own. It is started by
// posix_spawn, which shares memory until the exec and needs no fork of a process with threads. Whatever is left of its
// group when it ended, or when its time is over, is killed.
//
// Ownership and thread: waits for the program: never on the kernel thread; any number of threads at once.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/secret_bytes.h"

namespace liongate::daemon {

// `cancel_fd` is borrowed: where it becomes readable, the program is killed and the answer is kShuttingDown.
// kInvalidConfig where the program cannot be started or writes more than limits::kSecretBytesMax (a newline at the end
// not counted: it is cut off); kLoadFailure where it failed, wrote nothing, or took longer than `timeout_ms`.
Result<SecretBytes> run_secret_command(const std::vector<std::string>& words, int timeout_ms, int cancel_fd);

}  // namespace liongate::daemon
