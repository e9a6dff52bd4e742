// The durable event log of one node: append, group commit on a writer thread, recovery, reading, following, verifying.
//
// The format on disk is prose in docs/event-log-format.md and code in kernel/event_log/format.h.
//
// Threads: `append` belongs to the kernel thread alone. Every other method may be called from any thread. The handlers
// given at open are called on the writer thread and must only post. The writer thread is owned here and joined by
// `close` or the destructor.
//
// Promise (architecture.md, law 2): when `on_durable(n)` was called, every event up to n survives kill -9 and a power
// cut. The writer commits whenever it is idle and something asks for it; there is no timer but for SyncClass::kBatch.
// A failed write for want of space makes the log read-only (reason LOG_READ_ONLY for new work; a reserve remains for
// terminal records). A failed fdatasync is fatal: `on_fatal` is called once and nothing is acknowledged after it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/clock.h"
#include "kernel/base/error.h"
#include "kernel/base/ids.h"
#include "kernel/base/limits.h"
#include "kernel/base/result.h"
#include "kernel/event_log/retention.h"
#include "kernel/signing/key_folder.h"
#include "liongate/v1/event.pb.h"

namespace liongate::event_log {

class FolderLock;
class Storage;

// How soon an event must be on disk.
enum class SyncClass : std::uint8_t {
  kNow,         // the next commit, as soon as the writer is idle
  kBatch,       // within limits::kLogBatchDelayMs
  kEventually,  // written with the next commit, at the latest after limits::kLogBatchDelayMs; synced with the next
                // commit that somebody waits for, at the latest at seal
};

// Whether an event may use the reserve of a full disk: those that end something that had begun may.
enum class RecordUse : std::uint8_t { kNewWork, kTerminal };

struct Options {
  std::string folder;  // made with mode 0700 when missing
  std::uint64_t segment_bytes = limits::kLogSegmentBytes;
  // For a log that nobody builds a state from: it removes by itself what is over this bound. 0: whoever keeps snapshots
  // decides (`removable`, `remove_through`).
  std::uint64_t retention_bytes_max = 0;
  // Asked once at open for the key that signs checkpoints. Its error is that of open. Without it nothing is signed.
  std::function<Result<signing::NoteSigner>(const signing::SigningLog&)> open_key = {};
  std::chrono::milliseconds checkpoint_interval{limits::kLogCheckpointIntervalMsDefault};
};

struct Handlers {
  std::function<void(EventSeq durable_seq)> on_durable;               // non-decreasing
  std::function<void(bool read_only, std::string why)> on_read_only;  // on every change
  std::function<void(Error)> on_fatal;
  std::function<void()> on_segment_begun;  // another one is sealed: time to think of retention
};

// What recovery found when the log was opened.
struct Recovery {
  EventSeq last_seq = 0;
  bool torn_tail = false;  // bytes after the last commit were cut off
  std::string segment;     // of the torn tail
  std::uint64_t offset = 0;
  std::uint64_t bytes_dropped = 0;
  bool clean = false;  // the last life sealed the log
};

struct EventFields;

// All that are set must match.
struct Filter {
  EventSeq after_seq = 0;
  std::string plugin;  // id or name
  std::vector<std::string> types;
  std::string correlation_id;
  std::string actor;
  std::string text;  // occurs in the payload: an input, an output, a message ... (kernel/event_log/event_fields.h)
  std::optional<std::int64_t> since_ns;
  std::optional<std::int64_t> until_ns;

  // Whether an event with these fields matches. Of the text it says only that it may be there.
  bool matches(EventSeq seq, std::int64_t time_ns, const EventFields& fields) const;
};

enum class DamageKind : std::uint8_t {
  kTornTail,
  kNonZeroPadding,
  kBadCrc,
  kBrokenChain,
  kBadHeader,
  kMissingSegment,
  kSequenceGap,
  kBadCheckpoint,     // not what is in front of it, or not signed by a key of this log
  kUnvouchedKey,      // signed by a key that the trusted one did not hand over to
  kHistoryRewritten,  // not what a checkpoint kept elsewhere says
  kLogTruncated,      // shorter than a checkpoint kept elsewhere says
};
std::string_view name_of(DamageKind kind);  // "torn_tail", "nonzero_padding", "bad_crc", ...

struct Damage {
  DamageKind kind = DamageKind::kBadCrc;
  std::string segment;  // file name
  std::uint64_t offset = 0;
  EventSeq last_good_seq = 0;
  std::string message;  // one line
};

// What became of a checkpoint that was handed in.
enum class CheckpointVerdict : std::uint8_t {
  kNone,          // there was none
  kExtends,       // the log begins with exactly what it covers
  kContradicted,  // the log does not: see the damages
  kNotProvable,   // retention removed what it covers
};
std::string_view name_of(CheckpointVerdict verdict);  // "", "extends", "contradicted", "not_provable"

// What a log is held against besides itself.
struct Evidence {
  signing::KeyRing keys;                    // public keys of the log; none: signatures are not checked
  std::optional<signing::NoteKey> trusted;  // kept elsewhere; else the first of `keys`
  std::string checkpoint;                   // a note kept elsewhere; empty: none
};

struct Verification {
  std::uint64_t segments = 0;
  std::uint64_t events = 0;
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::vector<Damage> damages;             // empty: intact
  std::vector<std::string> foreign_files;  // in the folder, not ours, left alone; no damage
  bool in_use = false;                     // somebody writes the log: what follows the last commit was not judged
  std::uint64_t checkpoints = 0;           // in the log
  EventSeq signed_seq = 0;                 // the last event that one of them covers
  std::vector<std::string> notes;          // what the checkpoints could not prove; no damage
  CheckpointVerdict verdict = CheckpointVerdict::kNone;
};

// Counts over all events of a log that match a filter; L31.
struct Summary {
  std::uint64_t total = 0;
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::map<std::string, std::uint64_t> counts_by_type;
};

class EventReader;
class EventQuery;

// A log as whoever rebuilds a state from it needs it, living or at rest.
struct LogView {
  std::string node_id;
  EventSeq first_seq = 0;  // of the oldest event there is; 0 while there is none
  EventSeq last_seq = 0;
  std::function<Result<std::unique_ptr<EventReader>>(EventSeq after_seq)> read;
};

class EventLog {
 public:
  // Opens or creates the log, truncates a torn tail, refuses damage before it (kLogCorrupt, with segment and offset in
  // the message and the metadata) and a newer format (kInvalidConfig). The clock must outlive the log.
  static Result<std::unique_ptr<EventLog>> open(Options options, Handlers handlers, const Clock& clock);
  // The same on any storage (kernel/event_log/storage.h), without making or locking a folder: for tests of faults.
  static Result<std::unique_ptr<EventLog>> open_on(std::shared_ptr<Storage> storage, Options options, Handlers handlers,
                                                   const Clock& clock);
  ~EventLog();

  const Recovery& recovery() const;
  const std::string& node_id() const;

  // Gives `event` its sequence number and time and queues it for the writer. The number is final: numbers are given in
  // the order of the calls, without gaps. Fails with kLogReadOnly (no space, kNewWork), kQueueFull (the writer is too
  // far behind, kNewWork), kInputTooLarge (over limits::kLogRecordBytesMax); then no number was given.
  Result<EventSeq> append(v1::Event& event, SyncClass sync, RecordUse use);

  EventSeq first_seq() const;    // of the oldest event that may be read; 0 while there is none
  EventSeq last_seq() const;     // given out
  EventSeq durable_seq() const;  // on disk
  bool read_only() const;

  // Makes what was appended durable as soon as the writer is idle, whatever its SyncClass was.
  void sync_soon();

  // What `rule` takes now. Changes nothing: whoever asks records it first, then removes.
  std::optional<Removal> removable(const RetentionRule& rule) const;
  // Removes the sealed segments whose last event is at or before `last_seq`, soon and on the writer thread. What cannot
  // be removed stays on disk, out of sight, and is tried again at the next start.
  void remove_through(EventSeq last_seq);

  LogView view() const;

  // A reader over durable events, oldest first. It sees what becomes durable while it reads. Where retention removed
  // what comes next, it goes on with the oldest event that is left; the numbers show the gap. It may outlive the log.
  Result<std::unique_ptr<EventReader>> read(EventSeq after_seq) const;

  // A query (kernel/event_log/query.h) over what matches. kInvalidArgument where `filter` cannot be meant. What was
  // appended before this call and waits for no disk is synced first, for at most limits::kReadBarrierMs.
  Result<std::unique_ptr<EventQuery>> query(Filter filter) const;
  // The same for who follows the log: nothing is synced for it, and a cursor behind the end waits until it is reached.
  Result<std::unique_ptr<EventQuery>> follow(Filter filter) const;

  // Calls `listener` on the writer thread after each sync, with the last durable number; it must only post.
  // Returns a token for remove_commit_listener, which returns only when the listener is no longer running.
  std::uint64_t add_commit_listener(std::function<void(EventSeq committed_seq)> listener);
  void remove_commit_listener(std::uint64_t token);

  // A signed note (docs/event-log-format.md, "Checkpoint") that covers every event committed before the call; waits for
  // the disk. kInvalidArgument where the log has no key.
  Result<std::string> checkpoint();

  // Commits and syncs what is queued, seals the segment and stops the writer. Idempotent. append must not follow.
  Result<void> close();

 private:
  class Impl;
  explicit EventLog(std::unique_ptr<Impl> impl);
  static Result<std::unique_ptr<EventLog>> begin(std::optional<FolderLock> lock, std::shared_ptr<Storage> storage,
                                                 const Options& options, Handlers handlers, const Clock& clock);
  std::unique_ptr<Impl> impl_;
};

// Walks committed events in order. Used by one thread at a time.
class EventReader {
 public:
  virtual ~EventReader() = default;
  // Reads the next event into `event`. Returns false at the end of what is committed now; a later call may return more.
  virtual Result<bool> next(v1::Event& event) = 0;
  // The same, without decoding: the serialised event, valid until the next call.
  virtual Result<bool> next_bytes(EventSeq& seq, std::string_view& bytes) = 0;
  // The last sequence number that was read (or skipped by after_seq).
  virtual EventSeq position() const = 0;
};

// A reader over a log that no daemon has open.
Result<std::unique_ptr<EventReader>> read_offline(const std::string& folder, EventSeq after_seq);

// How far a verification is: asked between segments and now and then within; false ends it with kCancelled.
using VerifyProgress = std::function<bool(std::uint64_t bytes_done, std::uint64_t bytes_total)>;

// The same as EventLog::view of a log that no daemon has open.
Result<LogView> view_offline(const std::string& folder);

// Reads the whole log in `folder` and reports every damage it can locate. Only reads. Fails only where nothing can be
// read at all (no such folder, no permission), and with kInvalidArgument for a checkpoint that proves nothing: no
// checkpoint, of another node, of an unknown key, with a wrong signature.
Result<Verification> verify(const std::string& folder, const Evidence& evidence = {},
                            const VerifyProgress& progress = {});

// The last checkpoint that a log at rest holds. kInvalidArgument where a daemon writes it, or it holds none.
Result<std::string> last_checkpoint(const std::string& folder);

// The name under which the log in `folder` signs; kInvalidArgument where it holds no segment yet.
Result<std::string> signing_name(const std::string& folder);

}  // namespace liongate::event_log
