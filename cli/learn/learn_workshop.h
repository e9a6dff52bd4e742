// A program as a plugin of its own: its manifest, and the folder that a learning run loads it from.
//
// A program of the system (below /usr) is run where it is; any other is copied into the folder, because nothing that is
// granted by a path can be executed inside. Words of its command line that name a file or folder that exists, and
// have a `/` or a `.` in them, are written out as absolute paths without symbolic links: inside, the working folder is
// the plugin's own.
//
// Ownership and thread: owns the folder unless it was named by the caller; used by the verb's thread.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "liongate/v1/manifest.pb.h"

namespace liongate::cli {

inline constexpr std::uint64_t kProgramCopyBytesMax = 512ULL * 1024 * 1024;

class LearnWorkshop {
 public:
  // `words`: the program and its arguments. `folder`: where the plugin is to stay, made if need be and refused if it
  // holds a manifest already; empty: a temporary one. Errors: kNotFound for a program that is not there,
  // kInvalidArgument, kAlreadyExists.
  static Result<LearnWorkshop> make(const std::vector<std::string>& words, const std::string& folder);

  ~LearnWorkshop();
  LearnWorkshop(LearnWorkshop&& other) noexcept;
  LearnWorkshop& operator=(LearnWorkshop&&) = delete;

  const v1::Manifest& manifest() const { return manifest_; }
  const std::string& folder() const { return folder_; }
  bool is_temporary() const { return is_temporary_; }
  // Words that were written out, as "data.json is written as /home/me/data.json".
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  LearnWorkshop() = default;

  v1::Manifest manifest_;
  std::string folder_;
  bool is_temporary_ = false;
  std::vector<std::string> notes_;
};

}  // namespace liongate::cli
