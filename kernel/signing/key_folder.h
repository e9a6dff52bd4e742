// The keys of one log: made at the first start, opened at every other, handed over, replaced where they were lost.
//
// Files and their meaning: docs/event-log-format.md, "Keys". What makes or changes keys needs the log's folder to
// itself: the caller holds its lock.
//
// Ownership and thread: functions over a folder. Errors: kInvalidConfig with a remedy where the folder is not as it
// should be; what the system says otherwise. Nothing is changed by what fails, and nothing is ever deleted.
#pragma once

#include <string>

#include "kernel/base/result.h"
#include "kernel/signing/key_ring.h"

namespace liongate::signing {

// The public keys in `folder`; none where there is no such folder. Needs no private key.
Result<KeyRing> read_key_ring(const std::string& folder);

// What a log says of itself when it asks for its key.
struct SigningLog {
  std::string name;       // that its keys must have
  std::string last_note;  // the last checkpoint in it; empty: it has none
  // A log that holds nothing takes the name of the key that is there: its first life may have ended before it wrote.
  enum class Age : std::uint8_t { kNew, kContinued } age = Age::kContinued;
};

// The key that signs for `log` from now on. A folder without any key gets its first one, unless the log was signed
// before: a lost key is the operator's to replace.
Result<NoteSigner> open_log_key(const std::string& folder, const SigningLog& log);

// Makes the next key and has the one in force hand over to it. Returns the new one.
Result<NoteKey> rotate_log_key(const std::string& folder, const std::string& name, std::int64_t now_ns);

// Begins a key that nobody vouches for, where the private key is missing or unreadable; refuses where it is there. What
// is left of the old one is kept under another name.
Result<NoteKey> replace_lost_log_key(const std::string& folder, const std::string& name);

}  // namespace liongate::signing
