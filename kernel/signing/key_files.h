// The files in a keys folder: names, modes, owners, and writing that a crash cannot leave half done.
//
// Ownership and thread: owns the folder's descriptor; one thread at a time.
// Errors: kInvalidConfig where a folder or file is not as private as a key must be, kInternal for what the system says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "kernel/signing/secret.h"

namespace liongate::signing {

inline constexpr const char* kPrivateKeyName = "log-signing.key";

// Whose folder it may be. Root may look after the keys of the user that the daemon becomes.
enum class KeyOwner : std::uint8_t { kSelf, kSelfOrAnyForRoot };

class KeyFiles {
 public:
  // Nothing where there is no such folder. Only for reading public keys: neither owner nor mode matter.
  static Result<std::optional<KeyFiles>> open_public(const std::string& folder);
  // Makes the folder with mode 0700 where it is missing; refuses one that is another's or open to others.
  static Result<KeyFiles> open_private(const std::string& folder, KeyOwner owner);

  // Numbers of the files log-NNNN.SUFFIX, in order.
  Result<std::vector<unsigned>> numbers(const std::string& suffix) const;
  static std::string numbered(unsigned number, const std::string& suffix);
  std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

  Result<std::string> read_public(const std::string& name) const;
  // Nothing where there is no such file. Refuses a file that is another's, open to others, or no plain file.
  Result<std::optional<Secret>> read_private(const std::string& name) const;
  // Durable, and under its name as a whole, when this returns.
  Result<void> write(const std::string& name, std::span<const std::byte> bytes, mode_t mode) const;
  Result<void> rename(const std::string& from, const std::string& to) const;

 private:
  KeyFiles(UniqueFd fd, std::string folder, uid_t owner_uid)
      : fd_(std::move(fd)), folder_(std::move(folder)), owner_uid_(owner_uid) {}
  Error failed(const std::string& call) const;

  UniqueFd fd_;
  std::string folder_;
  uid_t owner_uid_;
};

}  // namespace liongate::signing
