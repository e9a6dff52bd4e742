// Where the values of secrets come from: an interface of the kernel's, implemented by the daemon.
//
// Ownership and thread: called on the kernel thread; the work is done elsewhere (a file may be slow, a command takes
// its time) and `done` is called on the kernel thread, exactly once, never inside the call. The implementation outlives
// whoever asks. A value is limits::kSecretBytesMax bytes at most and at least one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/secret_bytes.h"

namespace liongate::policy {

struct SecretValue {
  std::string name;
  std::string source;  // "credential", "file" or "command": for the record
  SecretBytes value;
};

class SecretSource {
 public:
  using Done = std::function<void(Result<std::vector<SecretValue>>)>;

  virtual ~SecretSource() = default;

  // Reads the sources of `names` as they are now: all of them, in that order, or the first error. kInvalidConfig where
  // no source of that name is configured, or one that never gives a value as it is (a file that others may read);
  // kLoadFailure where it did not this time (a command that failed); kQueueFull where too many wait. No error holds a
  // value.
  virtual void fetch(std::vector<std::string> names, Done done) = 0;
};

}  // namespace liongate::policy
