// A disk in memory that does everything a real one may do to a log: it keeps a page cache and what is really on disk
// apart, and loses, tears, reorders and refuses by the history's seed.
//
// What it models (docs/event-log.md, "How it is proved"):
//   - Data reaches the disk by pages of 4096 bytes, whenever the kernel likes and in any order; a power cut keeps any
//     subset of the pages that were not synced, and of a page any subset of its sectors of 512 bytes.
//   - Names (made, renamed, removed) reach the disk by sync_dir; before, a power cut keeps any subset of the changes.
//   - The length of a file reaches the disk by sync, or on its own.
//   - A sync that fails has dropped pages: they are marked clean, a second sync reports success, and the page cache
//     goes on showing what is not on disk, until it drops that too. Each handle is told once of a failure, as on Linux.
//   - kill -9 ends a life within any operation and keeps the page cache; a power cut does not.
//   - Want of space begins at any moment and ends again; a write that fails may have written any part of its bytes.
//
// Ownership and thread: FaultyDisk is one history's disk; a Mount is one life's view of it and is told which faults to
// expect. All run within one Fibers. Errors: as Storage promises; after its crash a Mount refuses everything.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/event_log/storage.h"
#include "tests/event_log/simulation/fibers.h"

namespace liongate::simulation {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kSectorBytes = 512;

// What goes wrong in one life, by the number of the operation on its Mount; 0 is never.
struct FaultPlan {
  enum class Crash : std::uint8_t { kKill, kPowerCut };
  Crash crash = Crash::kPowerCut;
  std::uint64_t crash_at = 0;            // within this operation
  std::uint64_t write_error_at = 0;      // EIO from the next write
  std::uint64_t sync_error_at = 0;       // EIO from the next sync, once, with pages lost
  std::uint64_t sync_no_space_at = 0;    // the same with ENOSPC, as file systems do that allocate late
  std::uint64_t writeback_error_at = 0;  // a page is lost in the background; the next sync tells
  std::uint64_t read_error_at = 0;       // EIO from the next read
  std::uint64_t no_space_from = 0;
  std::uint64_t no_space_until = 0;
  bool no_space_in_place = false;      // copy-on-write: even bytes that are there cannot be overwritten
  std::uint64_t slow_sync_chance = 0;  // one in so many syncs takes very long; 0: none
};

// Which lie a Mount tells: bugs planted for the proof that the simulator notices (simulation_test.cpp).
enum class Lie : std::uint8_t {
  kNone,
  kSyncDoesNothing,
  kSyncForgetsOnePage,
  kSyncDirDoesNothing,
  kFailedSyncIsRepeated,
  kShortWriteIsSuccess,
  kRenameIsSyncedLate,
  kWriteGoesToWrongSector,
  kReadsStaleZeroes,
  kSyncReturnsEarly,
};

struct Inode {
  std::string current;              // as the page cache shows it
  std::string durable;              // as it is on disk; may be longer than its length says
  std::uint64_t durable_bytes = 0;  // its length on disk
  std::vector<bool> dirty;          // pages
  std::uint64_t errors = 0;         // failed write-backs so far
  bool error_told = true;           // somebody heard of the last one

  void touch(std::uint64_t begin, std::uint64_t end);
  void persist_page(std::uint64_t page);
};
using InodePtr = std::shared_ptr<Inode>;

struct DirectoryChange {
  enum class Kind : std::uint8_t { kMade, kRenamed, kRemoved };
  Kind kind;
  std::string name;
  std::string to;
  InodePtr inode;
};

// What a history did and when, as one number: two runs are the same if and only if (but for chance in 2^64) it is.
class Trace {
 public:
  explicit Trace(bool print) : print_(print) {}
  void add(const std::string& line);
  std::uint64_t digest() const { return digest_; }
  std::uint64_t lines() const { return lines_; }

 private:
  const bool print_;
  std::uint64_t digest_ = 0xCBF29CE484222325ULL;
  std::uint64_t lines_ = 0;
};

struct FaultyDisk {
  explicit FaultyDisk(Trace& log) : trace(log) {}

  // Keeps what a power cut keeps. Every handle and Mount of before is dead.
  void power_cut(Random& random);
  // The kernel writes something back on its own.
  void write_back(Random& random);

  std::map<std::string, InodePtr> names;
  std::map<std::string, InodePtr> durable_names;
  std::vector<DirectoryChange> changes;  // not synced
  bool lost_pages = false;               // a write-back failed: what was written may vanish even without a power cut
  std::uint64_t power_cuts = 0;
  Trace& trace;
};

class Mount final : public event_log::Storage, public std::enable_shared_from_this<Mount> {
 public:
  Mount(std::shared_ptr<FaultyDisk> disk, FaultPlan plan, Lie lie = Lie::kNone)
      : disk_(std::move(disk)), plan_(plan), lie_(lie) {}

  Result<std::shared_ptr<event_log::File>> open(const std::string& name, event_log::Access access) override;
  Result<std::vector<std::string>> list() override;
  Result<void> remove(const std::string& name) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> sync_dir() override;
  Result<std::uint64_t> free_space_bytes() override;
  const std::string& location() const override { return location_; }

  // The end of this life, now.
  void crash(FaultPlan::Crash kind);
  bool dead() const { return dead_; }
  // A fault has struck that the log may answer by giving up.
  bool fatal_fault() const { return dead_ || fatal_fault_; }
  bool had_no_space() const { return had_no_space_; }
  std::uint64_t operations() const { return operations_; }

 private:
  friend class FaultyFile;

  struct Handle;
  Result<void> begin(const char* operation, const std::string& name);
  bool ends_here() const { return plan_.crash_at != 0 && operations_ >= plan_.crash_at; }
  bool due(std::uint64_t& at);
  bool no_space();
  Error dead_error() const;
  Result<void> write(Handle& handle, std::uint64_t offset, std::span<const std::byte> bytes);
  Result<void> sync(Handle& handle);
  Result<void> fail_sync(Handle& handle, int code);
  Result<std::size_t> read(Handle& handle, std::uint64_t offset, std::span<std::byte> bytes);
  Result<void> resize(Handle& handle, std::uint64_t bytes);
  Result<void> flush(Handle& handle);

  std::shared_ptr<FaultyDisk> disk_;
  FaultPlan plan_;
  const Lie lie_;
  const std::string location_ = "the simulated disk";
  std::uint64_t operations_ = 0;
  bool dead_ = false;
  bool fatal_fault_ = false;
  bool had_no_space_ = false;
};

}  // namespace liongate::simulation
