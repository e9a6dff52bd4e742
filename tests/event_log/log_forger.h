// Rewrites history as somebody would who can write the log's folder and knows its format: one event is changed, and
// every checksum, hash, seal and header behind it is made right again.
//
// Ownership and thread: functions over a folder that nobody else uses. Errors: std::runtime_error, with what is wrong.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "kernel/base/ids.h"
#include "kernel/signing/note_key.h"
#include "liongate/v1/event.pb.h"

namespace liongate::event_log {

// What becomes of the checkpoints in the log.
enum class ForgedCheckpoints : std::uint8_t {
  kLeave,    // as they are: they say what was there before
  kRestate,  // their tree is computed again, the signature stays
  kResign,   // the same, signed with another key
  kDrop,     // removed
};

struct Forgery {
  EventSeq seq = 0;  // of the event to change
  std::function<void(v1::Event&)> change;
  ForgedCheckpoints checkpoints = ForgedCheckpoints::kRestate;
  const signing::NoteSigner* signer = nullptr;  // for kResign
};

void forge(const std::string& log_folder, const Forgery& forgery);

}  // namespace liongate::event_log
