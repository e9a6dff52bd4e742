// The few things the log asks of a file system, so that tests can stand in for one that loses, tears and refuses.
//
// Ownership and thread: a Storage is one folder, shared by the log and its readers; every method may be called from any
// thread. Two threads may use one File at once on ranges that do not overlap.
// Errors: Error with sys_errno set; `is_out_of_space` tells the one kind that is not fatal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernel/base/result.h"

namespace liongate::event_log {

class File {
 public:
  virtual ~File() = default;
  // Writes all of `bytes`; the file grows where needed. After a failure any part of them may have been written.
  virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  // Reads until `bytes` is full or the file ends; returns how much was read.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) = 0;
  // Returns when everything written before is durable. After a failure nothing is known about what was written.
  virtual Result<void> sync() = 0;
  virtual Result<std::uint64_t> size_bytes() = 0;
  virtual Result<void> resize(std::uint64_t bytes) = 0;
};

enum class Access : std::uint8_t {
  kRead,
  kWrite,   // must exist
  kCreate,  // made when missing, kept as it is otherwise
};

class Storage {
 public:
  virtual ~Storage() = default;
  virtual Result<std::shared_ptr<File>> open(const std::string& name, Access access) = 0;
  // Names of plain files in the folder, unordered.
  virtual Result<std::vector<std::string>> list() = 0;
  virtual Result<void> remove(const std::string& name) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  // Makes names that were made, removed or renamed durable.
  virtual Result<void> sync_dir() = 0;
  virtual Result<std::uint64_t> free_space_bytes() = 0;
  // The folder, for messages.
  virtual const std::string& location() const = 0;
};

// A full disk or an exhausted quota: the log waits for space instead of giving up.
bool is_out_of_space(const Error& error);

// Syncs `file`. A failure is never want of space, whatever its errno says (file systems that allocate late tell ENOSPC
// and EDQUOT here): pages are lost, and waiting for space would end in a second sync that reports success over the
// hole.
Result<void> sync_or_fail(File& file);

// The folder `folder` on disk, which must exist.
Result<std::shared_ptr<Storage>> open_disk_storage(const std::string& folder);

}  // namespace liongate::event_log
