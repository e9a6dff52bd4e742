// What the daemon and liongate-launcher say to each other, and how it is spelled on a SOCK_SEQPACKET socket.
//
// One message a packet, at most limits::kLaunchMessageBytesMax bytes; descriptors travel beside it by SCM_RIGHTS. A
// packet is: u32 kind, then the fields of that kind in the order of the structs below; integers little-endian, strings
// and lists as u32 count followed by their elements. A packet that does not decode exactly (short, long, a count beyond
// what is left) is refused whole: the launcher exits, because its only peer is the daemon it was started by.
//
// The daemon asks, the launcher answers when it can and reports the end of each launch exactly once:
//
//   Launch{launch_id}  ->  Started{launch_id}   the program was exec'ed; its posture and step times
//                      ->  Exited{launch_id}    always, and last: how it ended, or which step of the set-up failed.
//                                               Sent after pid 1 of the sandbox was reaped, so nothing of it is left.
//                      ->  Denied{launch_id}    any number, before Exited: calls that the filter refused
//                      ->  DoorOpened{launch_id}  any number, before Exited
//   DenialRecorded{launch_id, denial_id}        the program that waits after such a Denied now gets its errno
//   Kill{launch_id}                             SIGKILL to the sandbox's pid 1; unknown ids are ignored (it just ended)
//   Open{request_id}   ->  Opened{request_id}   a file or folder opened read-only with the launcher's rights
//   CheckHost          ->  HostReport
//
// Ownership and thread: plain values; encoding and decoding are pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kernel/base/result.h"

namespace liongate::sandbox {

enum class Access : std::uint8_t { kReadOnly, kReadWrite };
enum class Presence : std::uint8_t { kRequired, kOptional };  // optional: skipped where the host has no such path

// A host path made visible at `target` (an absolute path inside). Never setuid, never device files; a read-write bind
// is never executable. The source is pinned when the launch begins: no symlink in it is followed.
struct BindMount {
  std::string source;
  std::string target;
  Access access = Access::kReadOnly;
  Presence presence = Presence::kRequired;
  bool executable = false;
};

// A symbolic link inside the sandbox's root, e.g. /bin -> usr/bin.
struct SymbolicLink {
  std::string target;
  std::string link_path;
};

// A small read-only file made inside the sandbox's root, e.g. /etc/passwd.
struct SyntheticFile {
  std::string path;
  std::string contents;
};

// A secret, made a read-only file /run/secrets/NAME in memory that is never swapped. Its value is not here but in a
// memory file beside the message, behind the program's descriptors, in the order of the list.
struct SecretFile {
  std::string name;  // one component of a path
};

// A port of the sandbox's own network on which the gate listens, by TCP and by UDP; 1 to 65535.
struct GatePort {
  std::uint32_t port = 0;
};

// 0 means the launcher's default (sandbox/rlimits.h), and of cpu_percent_max and io_bytes_per_second_max none.
struct ResourceLimits {
  std::uint64_t memory_bytes_max = 0;
  std::uint64_t cpu_time_s_max = 0;
  std::uint64_t file_size_bytes_max = 0;
  std::uint32_t processes_max = 0;
  std::uint32_t open_files_max = 0;
  std::uint64_t tmp_bytes_max = 0;  // of /tmp and of /dev/shm each, as the next
  std::uint32_t tmp_files_max = 0;
  std::uint32_t cpu_percent_max = 0;          // of one CPU, all processes together; needs a control group
  std::uint64_t io_bytes_per_second_max = 0;  // reading and writing each, on every disk; needs a control group
  bool is_background = false;  // gets the CPU when nobody else wants it much: an observer, which nobody waits for
};

// One start of one plugin in a sandbox of its own.
struct LaunchRequest {
  std::uint64_t launch_id = 0;           // chosen by the daemon, never reused
  std::string name;                      // becomes the host name inside
  std::string executable;                // absolute path inside; opened after the root is in place
  std::vector<std::string> arguments;    // argv, argv[0] included
  std::vector<std::string> environment;  // NAME=value, complete
  std::string working_directory = "/";   // inside
  std::vector<BindMount> binds;          // in order: later ones may lie within earlier ones
  std::vector<SymbolicLink> links;
  std::vector<SyntheticFile> files;
  std::vector<SecretFile> secrets;  // limits::kPermissionsMax at most, no name twice
  ResourceLimits limits;
  bool allow_processes = false;      // permission `process`: fork, exec, wait
  bool allow_jit = false;            // permission `jit`: writable memory may become executable
  bool allow_network = false;        // permission `network`: sockets that lead to the gate (sandbox/gate_sockets.h)
  bool allow_any_port = false;       // some permission names no port: more of them may be come to (sandbox/doorbell.h)
  bool is_trial = false;             // all is set up, then it ends: the program, which is opened, is not executed
  bool watch_paths = false;          // learn mode: what it looks for in vain is told (sandbox/path_watch.h)
  std::vector<GatePort> gate_ports;  // where the gate listens; limits::kGatePortsMax at most
  std::uint32_t descriptor_count = 5;  // so many of those beside it become 0..count-1 of the program (5 or 3)
};

struct KillRequest {
  std::uint64_t launch_id = 0;
};

// The event of a Denied is in the log: whoever was denied may see it. Ids that ended are ignored.
struct DenialRecordedRequest {
  std::uint64_t launch_id = 0;
  std::uint64_t denial_id = 0;
};

enum class OpenKind : std::uint8_t { kFile, kFolder };

// Opens read-only, O_NOFOLLOW on the last component; the descriptor travels beside Opened.
struct OpenRequest {
  std::uint64_t request_id = 0;
  std::string path;
  OpenKind kind = OpenKind::kFile;
};

struct CheckHostRequest {};

using Request = std::variant<LaunchRequest, KillRequest, OpenRequest, CheckHostRequest, DenialRecordedRequest>;

// One confinement mechanism of a running sandbox: "active", "absent" or "not_applicable".
struct Mechanism {
  std::string name;
  std::string state;
  std::string detail;
};

struct StepTime {
  std::string step;
  std::uint32_t duration_us = 0;
};

// A folder granted for writing, or one below it, in which new names are seen by the inotify descriptor beside Started.
struct WatchedFolder {
  std::int32_t watch = 0;  // its watch descriptor
  std::string path;        // inside
};

struct Started {
  std::uint64_t launch_id = 0;
  std::int32_t pid = 0;  // of the program, as the launcher's pid namespace sees it
  std::vector<Mechanism> posture;
  std::vector<StepTime> steps;
  std::vector<WatchedFolder> watched;  // empty: no descriptor beside the message
  std::uint32_t gate_sockets = 0;      // so many descriptors beside the message, the last ones, are the gate's
};

// A limit of the control group that was met. Where there is none the kernel tells only the program (an errno).
struct LimitHit {
  std::string limit;  // by its name in manifests
  std::uint64_t limit_value = 0;
  std::uint64_t used = 0;  // for what was refused: how often
  bool killed = false;     // the kernel ended the sandbox for it; else it refused
};

enum class EndKind : std::uint8_t { kExited, kSignalled, kSetupFailed };

struct Exited {
  std::uint64_t launch_id = 0;
  EndKind kind = EndKind::kExited;
  std::int32_t exit_code = 0;           // kExited
  std::int32_t signal = 0;              // kSignalled
  std::string step;                     // kSetupFailed: the step in words, e.g. "mount the plugin's root"
  std::int32_t step_errno = 0;          // kSetupFailed
  std::string argument;                 // kSetupFailed: what it was done to, e.g. a path
  bool host_refuses = false;            // kSetupFailed: a mandatory mechanism is missing (SANDBOX_UNAVAILABLE)
  std::uint64_t cpu_time_us = 0;        // of all processes in it, without the set-up once the program ran
  std::uint64_t memory_peak_bytes = 0;  // of all together with a control group, else of the largest of them
  // How long some process in it waited for what was short (PSI); 0 without a control group or where the kernel does not
  // count it.
  std::uint64_t cpu_wait_us = 0;
  std::uint64_t memory_wait_us = 0;
  std::uint64_t io_wait_us = 0;
  std::vector<LimitHit> limit_hits;
};

// System calls that the filter of a sandbox refused.
struct Denied {
  std::uint64_t launch_id = 0;
  std::uint64_t denial_id = 0;  // not 0: the caller waits until DenialRecorded
  std::string system_call;      // "execve"; empty when the sandbox was killed for what `rule` says
  std::string arguments;        // those that decide, e.g. "arg0=0x2"; never a pointer's target, but in learn mode
  std::string rule;             // what the call does, of the table
  // That would allow it: "process", "jit", "network"; in learn mode one with its argument. Empty: none does.
  std::string permission;
  std::int32_t answer_errno = 0;  // what the program sees
  std::uint64_t count = 1;        // calls this report stands for; more than 1 for those that were not reported singly
};

// A port more of a sandbox's network gate: its listening and its datagram socket are beside the message.
struct DoorOpened {
  std::uint64_t launch_id = 0;
  std::uint32_t port = 0;
};

struct Opened {
  std::uint64_t request_id = 0;
  std::int32_t open_errno = 0;  // 0: the descriptor is beside the message
};

struct HostMechanism {
  std::string name;
  bool available = false;
  bool mandatory = false;
  std::string reason;
  std::string remedy;
};

struct HostReport {
  bool rootless = true;
  std::vector<HostMechanism> mechanisms;
};

using Report = std::variant<Started, Exited, Opened, HostReport, Denied, DoorOpened>;

// Spells a message. Fails (kInvalidArgument) when it would be longer than limits::kLaunchMessageBytesMax.
Result<std::vector<std::byte>> encode(const Request& request);
Result<std::vector<std::byte>> encode(const Report& report);

// Reads a packet back. Any byte too few or too many, and any unknown kind, is kInvalidArgument.
Result<Request> decode_request(std::span<const std::byte> packet);
Result<Report> decode_report(std::span<const std::byte> packet);

}  // namespace liongate::sandbox
