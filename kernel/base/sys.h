// Thin wrappers over system calls: EINTR retried, O_CLOEXEC implied, failures as Error with the call and its subject.
//
// Ownership and thread: descriptors are returned owned; every function may be called from any thread.
// The reason of an error is kInternal unless stated; callers that know better replace it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::sys {

// Opens `path` relative to `dir_fd` (AT_FDCWD for none); O_CLOEXEC is added to `flags`.
Result<UniqueFd> open(const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> open_at(int dir_fd, const std::string& path, int flags, mode_t mode = 0);

// A pipe, {read end, write end}, both O_CLOEXEC plus `flags` (e.g. O_NONBLOCK).
Result<std::pair<UniqueFd, UniqueFd>> pipe(int flags = 0);

// Writes all of `bytes`, however many calls it takes. On a non-blocking descriptor EAGAIN is an error.
Result<void> write_all(int fd, std::span<const std::byte> bytes);
Result<void> write_all(int fd, std::string_view text);

// Reads the whole of a file, at most `bytes_max`; a longer one is an error (kInvalidArgument).
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);
Result<std::string> read_fd(int fd, std::size_t bytes_max, std::string_view subject);

// Reads at `offset` until `bytes` is full or the file ends; returns how much was read.
Result<std::size_t> read_at(int fd, std::span<std::byte> bytes, std::uint64_t offset);

Result<void> set_nonblocking(int fd);

// Another descriptor of what `fd` stands for, O_CLOEXEC.
Result<UniqueFd> duplicate(int fd);

// What tools (ps -L, top, gdb) and last words call the calling thread; at most 15 bytes are shown.
void name_thread(const char* name);

// Makes `path` and what is missing above it with `mode`. What exists already stays as it is.
Result<void> make_directories(const std::string& path, mode_t mode);

// fsync of the folder itself, so that names made or renamed in it are durable.
Result<void> sync_directory(const std::string& path);

}  // namespace liongate::sys
