// Landlock, the kernel's second opinion: what was mounted says which files there are, this says what may be done to
// them, however they are reached, and shuts TCP and signals to strangers besides.
//
// A wall of its own behind the mounts: it holds where a read-only mount does not (a FIFO opened for writing), and it
// goes on holding if a mount turned out to be wrong. What it cannot do: tell two mounts of one folder apart (their
// rights add up), and stop a program from mapping a file it may read.
//
// A kernel offers it as an ABI number; each one brings more (kAbi*), and all that it has is used. 0 means none.
//
// Ownership and thread: made by the sandbox's pid 1 while it mounts, put in force by pid 2, which got a copy by fork.
// errno tells a failure.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/base/unique_fd.h"

namespace liongate::sandbox {

inline constexpr int kLandlockAbiRefer = 2;     // files may be moved between folders that are both writable
inline constexpr int kLandlockAbiTruncate = 3;  // truncating is a right of its own
inline constexpr int kLandlockAbiTcp = 4;       // bind and connect
inline constexpr int kLandlockAbiIoctl = 5;     // ioctl of devices
inline constexpr int kLandlockAbiScopes = 6;    // abstract UNIX sockets, signals

// What this kernel has; 0 where there is no Landlock, it is off, or a container's filter hides it.
int landlock_abi();

// Which of the above are missing at `abi`, in words; empty when none is.
std::string missing_at_landlock_abi(int abi);

// What may be done below a place.
enum class Reach : std::uint8_t {
  kList,  // folders only: names, not contents
  kRead,
  kReadExecute,
  kDevice,     // read and write what is there; no ioctl
  kReadWrite,  // make, write, move and remove files, folders and links; never execute, never FIFOs, sockets, devices
};

// Binds the calling process and what it will start to the rules of `descriptor`, for good. It must have no_new_privs.
bool restrict_by_landlock(int descriptor);

// Whether TCP is refused here too; a sandbox with a way to the gate has a network of its own in its place.
enum class LandlockTcp : std::uint8_t { kRefused, kLeftAlone };

class LandlockRules {
 public:
  // Nothing is allowed until allow() says so. With abi 0 every call succeeds and does nothing.
  explicit LandlockRules(int abi) : abi_(abi) {}

  bool create(LandlockTcp tcp = LandlockTcp::kRefused);

  // `place` is any descriptor of a file or folder (O_PATH will do), borrowed.
  bool allow(int place, Reach reach);

  // -1 where there is none.
  int descriptor() const { return ruleset_.get(); }

 private:
  int abi_;
  UniqueFd ruleset_;
};

}  // namespace liongate::sandbox
