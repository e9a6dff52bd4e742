// The one reader there is: over a catalog that grows (a living log) or one that does not (a log at rest).
//
// Ownership and thread: shares storage and catalog; one thread at a time. Errors: kLogCorrupt where a committed record
// cannot be read.
#pragma once

#include "kernel/event_log/catalog.h"
#include "kernel/event_log/event_log.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

std::unique_ptr<EventReader> make_reader(std::shared_ptr<Storage> storage, std::shared_ptr<const Catalog> catalog,
                                         EventSeq after_seq);

}  // namespace liongate::event_log
