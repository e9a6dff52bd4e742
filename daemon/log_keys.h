// The state folder's keys and checkpoints as the programs use them: opening, handing over, replacing, exporting, and
// what a verification is held against.
//
// Ownership and thread: functions over a state folder; those that change keys hold the log folder's lock meanwhile.
// Errors: those of kernel/signing/key_folder.h; kInternal where a daemon uses the folder.
#pragma once

#include <string>

#include "kernel/event_log/event_log.h"

namespace liongate::daemon {

// Where the keys are within a state folder.
std::string keys_folder(const std::string& state_dir);

enum class KeyChange : std::uint8_t { kRotate, kReplaceLost };
// The new key, as text.
Result<std::string> change_log_key(const std::string& state_dir, KeyChange change);

// The public key in force, as text; kInvalidArgument where there is none yet.
Result<std::string> export_log_key(const std::string& state_dir);

// What people hand to verify-log, as paths; empty: not given. kInvalidArgument for files that cannot be read or are no
// key. `folder` is the state folder, or the log folder itself.
struct EvidenceFiles {
  std::string checkpoint;
  std::string key;
};
Result<event_log::Evidence> collect_evidence(const std::string& folder, const EvidenceFiles& files);

// The same from texts.
struct EvidenceTexts {
  std::string checkpoint;
  std::string key;
};
Result<event_log::Evidence> make_evidence(const std::string& keys_folder, const EvidenceTexts& texts);

// The log folder within `folder`, or `folder` where it is one itself.
std::string log_folder_in(const std::string& folder);

}  // namespace liongate::daemon
