// What a learning run has shown so far, as permissions: which to grant in the next round, which belong into the
// manifest at the end, and what is left to a person.
//
// Folding. Of files with one folder, kFilesPerFolderMax are named singly (fewer where else there were more permissions
// than a manifest has); with more the folder is granted instead, unless many other things lie there too (a home, /etc).
// A grant that another one covers is left out. A host that was asked for by its name gets the ports that the program
// came to. Never granted by itself, because the program runs with what it was granted a moment ago: what is known to be
// a secret (keys, passwords, tokens); a folder that is a home, or that has such a thing in it or one below; and what is
// no permission at all. It is told instead.
//
// Ownership and thread: a plain value, used by the verb's thread. At most limits::kPermissionsMax in a manifest.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "liongate/v1/event.pb.h"

namespace liongate::cli {

inline constexpr std::size_t kFilesPerFolderMax = 8;

class LearnedPermissions {
 public:
  // `asked`: what the manifest asks for already; it is never folded and never withheld.
  explicit LearnedPermissions(std::vector<std::string> asked) : asked_(std::move(asked)) {}

  // What is granted in the trial of that correlation id: a host refused in it all the same is withheld. What was
  // counted of a trial before may be told only now.
  void begin_trial(const std::vector<std::string>& granted, std::string correlation_id) {
    granted_ = {granted.begin(), granted.end()};
    correlation_id_ = std::move(correlation_id);
  }
  // Takes what an event shows: PermissionDenied, NetworkFlowOpened, NetworkFlowClosed; others are ignored.
  void take(const v1::Event& event);
  // The daemon refuses it: it is told, and not tried again.
  void withhold(const std::string& permission, const std::string& why);

  // For the next round: `asked` and all that was learned.
  std::vector<std::string> for_trial() const;
  // For the manifest: the same, hosts with their ports, without what the trial alone needs.
  struct Line {
    std::string permission;
    std::string why;  // the call that showed it; empty for what was asked for already
  };
  std::vector<Line> for_manifest() const;

  // What was asked for and is not granted, with the reason.
  const std::map<std::string, std::string>& withheld() const { return withheld_; }
  // Refused whatever is granted: system calls by name, with what they do.
  const std::map<std::string, std::string>& never_granted() const { return never_granted_; }

 private:
  void take_denial(const v1::PermissionDenied& denial, bool is_of_this_trial);
  void learn(const std::string& permission, const std::string& why);
  bool is_asked(const std::string& permission) const;
  // Why it is for a person to grant; empty where it is not.
  std::string reason_to_withhold(const std::string& permission) const;
  std::map<std::string, std::string> folded() const;

  std::vector<std::string> asked_;
  std::set<std::string> granted_;
  std::string correlation_id_;
  std::map<std::string, std::string> learned_;  // and what showed it
  std::map<std::string, std::string> withheld_;
  std::map<std::string, std::string> never_granted_;
  std::map<std::string, std::set<std::uint32_t>> ports_;  // of hosts, as the program came to them
  bool wants_network_ = false;
};

}  // namespace liongate::cli
