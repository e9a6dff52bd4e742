// What the tests of checkpoints share: a log with a key, and the evidence to hold it against.
//
// Ownership and thread: as log_fixture.h.
#pragma once

#include "kernel/signing/key_folder.h"
#include "tests/event_log/log_fixture.h"

namespace liongate::event_log {

// A state folder: log and keys side by side.
struct StateFolder {
  TemporaryFolder folder{Medium::kMemory};
  std::string log = folder.path + "/log";
  std::string keys = folder.path + "/keys";

  Options options(std::uint64_t segment_bytes = limits::kLogSegmentBytes) const {
    return {.folder = log,
            .segment_bytes = segment_bytes,
            .open_key = [keys_folder = keys](const signing::SigningLog& asks) {
              return signing::open_log_key(keys_folder, asks);
            }};
  }
  Evidence evidence(const std::string& checkpoint = "") const {
    return {.keys = signing::read_key_ring(keys).value(), .trusted = {}, .checkpoint = checkpoint};
  }
  Verification verified(const std::string& checkpoint = "") const {
    auto result = verify(log, evidence(checkpoint));
    INFO((result ? std::string() : result.error().message));
    REQUIRE(result.has_value());
    return *result;
  }
};

// One life: `batches` commits of two events each.
inline void live(const Options& options, int batches) {
  LivingLog living(options);
  for (int i = 0; i < batches; ++i) living.append_durable(2);
  REQUIRE(living.log->close().has_value());
}

inline bool has_damage(const Verification& verification, DamageKind kind) {
  return std::any_of(verification.damages.begin(), verification.damages.end(),
                     [&](const Damage& damage) { return damage.kind == kind; });
}

inline std::string all_messages(const Verification& verification) {
  std::string text;
  for (const Damage& damage : verification.damages) text += damage.message + "\n";
  for (const std::string& note : verification.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace liongate::event_log
