// Makes a damaged log one that a daemon starts over: keeps everything up to the first damage, moves the rest aside.
//
// Nothing is ever deleted. What is taken out of the log lies, as it was, in FOLDER/quarantine-N: the damaged segment,
// every segment behind it, and a report. In the log remains a copy of what is whole of the damaged segment, ended by
// a seal that says so (SealReason::kRepaired).
//
// It may be stopped at any moment and run again: originals are linked into quarantine before anything takes their
// place, segments leave newest first, and the last step is one rename. Over a log that is not damaged it changes
// nothing; a torn tail is no damage, the daemon cuts it off by itself.
//
// Ownership and thread: one call, one thread; holds the folder's lock meanwhile. Errors: as FolderLock::take where a
// daemon holds the folder, kInvalidConfig for a newer format, else what the file system returns.
#pragma once

#include <string>
#include <vector>

#include "kernel/event_log/event_log.h"

namespace liongate::event_log {

struct Repair {
  std::vector<Damage> damages;  // what the log was cut at; empty: nothing was done
  EventSeq first_seq = 0;       // kept
  EventSeq last_seq = 0;
  std::uint64_t events = 0;
  std::string quarantine;          // the folder that holds the rest
  std::string shortened;           // the segment that was kept in part
  std::uint64_t shortened_at = 0;  // up to this offset
  std::vector<std::string> moved;  // segments that were taken out whole, oldest first
};
Result<Repair> repair(const std::string& folder);

}  // namespace liongate::event_log
