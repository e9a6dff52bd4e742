// A plugin's manifest as a value: what config/ parses, what the kernel keeps and what the daemon turns into a message.
//
// Ownership and thread: a plain value. It has passed validation when config/ made it; see config/manifest_parser.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace liongate {

enum class Runtime : std::uint8_t { kNative, kPython, kNode, kWasm, kCommand, kService, kContainer };
enum class Role : std::uint8_t { kCallable, kObserver };

// 0 means "not asked for": the host's default holds.
struct ManifestLimits {
  std::uint64_t memory_bytes_max = 0;
  std::uint64_t cpu_time_ms_max = 0;   // of one call
  std::uint64_t wall_time_ms_max = 0;  // of one call
  std::uint32_t processes_max = 0;
  std::uint32_t open_files_max = 0;
  std::uint32_t cpu_percent_max = 0;  // of one CPU
  std::uint64_t file_size_bytes_max = 0;
  std::uint64_t tmp_bytes_max = 0;  // of /tmp and of /dev/shm, each, as the next
  std::uint32_t tmp_files_max = 0;
  std::uint64_t io_bytes_per_second_max = 0;
  std::uint64_t output_bytes_max = 0;  // of one call
};

// What of the plugin's calls is stored in events.
struct ManifestLog {
  std::vector<std::string> redact;                 // JSON pointers into inputs and outputs
  std::optional<std::uint64_t> payload_bytes_max;  // absent: the daemon's own bound
  std::vector<std::string> secrets;                // environment variables whose values are never stored
};

enum class PermissionKind : std::uint8_t {
  kFsRead,
  kFsWrite,
  kNetwork,
  kEnv,
  kProcess,
  kJit,
  kKv,
  kPublish,
  kSubscribe,
  kInvoke,
  kSecret,
  kForbidden,  // never granted; seed 000 names it to test refusal
};

// One entry of `permissions`: KIND[:ARGUMENT]. `text` is as written, `argument` normalised (paths: as written, not
// resolved).
struct Permission {
  PermissionKind kind = PermissionKind::kForbidden;
  std::string argument;
  std::string text;
};

// What an observer is shown and how it is fed; unset members mean the default.
struct ObserverOptions {
  std::vector<std::string> types;  // of events, any of them; none: all
  std::string plugin;              // id or name; empty: all
  std::string correlation_id;      // empty: all
  std::string start;               // "beginning", "now" or a sequence number; empty: now
  std::uint32_t ack_timeout_ms = 0;
  std::uint32_t retries = 0;  // of an event that the observer fails at
  std::string on_error;       // "continue" or "stop"; empty: continue

  bool operator==(const ObserverOptions&) const = default;
};

struct Manifest {
  std::string name;
  std::string version;
  std::string entry_point;
  std::string entry_symbol;  // what a runtime with symbols calls in it; empty: its own default
  std::vector<std::string> args;
  std::vector<Permission> permissions;
  Runtime runtime = Runtime::kNative;
  Role role = Role::kCallable;
  std::string title;  // seed 001's free-text `name` beside an `id`; empty: the name is all there is
  std::string description;
  std::string author;
  std::vector<std::string> tags;
  ManifestLimits limits;
  ManifestLog log;
  ObserverOptions observer;  // of role observer
  std::map<std::string, std::string> dependencies;
  std::string configuration_schema_json;  // empty: the plugin declares none
  std::vector<std::string> warnings;      // unknown keys and the like, worth telling but no reason to refuse
};

}  // namespace liongate
