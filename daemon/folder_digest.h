// One SHA-256 over everything in a plugin's folder: names, kinds, executable bits and contents, in a fixed order.
//
// Two folders have the same digest exactly when a plugin could not tell them apart: times and owners are not in it.
// Bounds: limits::kDigestFilesMax files (more is kUnsafeFolder). Beyond limits::kDigestBytesMax of contents, a file's
// size and time of change stand for what is in it. Symbolic links count by their text and are not followed; sockets,
// devices and FIFOs count by their kind. Ownership and thread: a function; may wait for a disk.
#pragma once

#include <string>

#include "daemon/digest_cache.h"
#include "daemon/file_opener.h"
#include "kernel/base/result.h"

namespace liongate::daemon {

Result<std::string> digest_folder(FileOpener& opener, DigestCache& cache, const std::string& folder);

// Of a single file: its name does not count, what is beside it neither.
Result<std::string> digest_file(FileOpener& opener, DigestCache& cache, const std::string& path);

}  // namespace liongate::daemon
