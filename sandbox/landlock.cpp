#include "sandbox/landlock.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace liongate::sandbox {
namespace {

// Spelled here because Debian 12's headers end at ABI 2.
constexpr std::uint64_t kExecute = 1U << 0;
constexpr std::uint64_t kWriteFile = 1U << 1;
constexpr std::uint64_t kReadFile = 1U << 2;
constexpr std::uint64_t kReadFolder = 1U << 3;
constexpr std::uint64_t kRemoveFolder = 1U << 4;
constexpr std::uint64_t kRemoveFile = 1U << 5;
constexpr std::uint64_t kMakeFolder = 1U << 7;
constexpr std::uint64_t kMakeFile = 1U << 8;
constexpr std::uint64_t kMakeLink = 1U << 12;
constexpr std::uint64_t kAbi1 = (1U << 13) - 1;  // the above, and making devices, sockets and FIFOs
constexpr std::uint64_t kRefer = 1U << 13;
constexpr std::uint64_t kTruncate = 1U << 14;
constexpr std::uint64_t kDeviceIoctl = 1U << 15;
constexpr std::uint64_t kForFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceIoctl;

constexpr std::uint64_t kBindTcp = 1U << 0;
constexpr std::uint64_t kConnectTcp = 1U << 1;
constexpr std::uint64_t kAbstractSocket = 1U << 0;
constexpr std::uint64_t kSignal = 1U << 1;

constexpr unsigned kAskVersion = 1;
constexpr int kRulePathBeneath = 1;

// As the kernel lays them out; older ones take the longer structure as long as what they do not know is 0.
struct RulesetAttributes {
  std::uint64_t handled_files;
  std::uint64_t handled_network;
  std::uint64_t scopes;
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed;
  std::int32_t parent;
};

std::uint64_t files_at(int abi) {
  std::uint64_t rights = kAbi1;
  if (abi >= kLandlockAbiRefer) rights |= kRefer;
  if (abi >= kLandlockAbiTruncate) rights |= kTruncate;
  if (abi >= kLandlockAbiIoctl) rights |= kDeviceIoctl;
  return rights;
}

std::uint64_t rights_of(Reach reach) {
  switch (reach) {
    case Reach::kList:
      return kReadFolder;
    case Reach::kRead:
      return kReadFile | kReadFolder;
    case Reach::kReadExecute:
      return kReadFile | kReadFolder | kExecute;
    case Reach::kDevice:
      return kReadFile | kWriteFile;
    case Reach::kReadWrite:
      return kReadFile | kReadFolder | kWriteFile | kTruncate | kRefer | kRemoveFile | kRemoveFolder | kMakeFile |
             kMakeFolder | kMakeLink;
  }
  return 0;
}

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

std::string missing_at_landlock_abi(int abi) {
  std::string missing;
  const auto needs = [&](int wanted, const char* what) {
    if (abi < wanted)
      missing += (missing.empty() ? "" : ", ") + std::string(what) + " (ABI " + std::to_string(wanted) + ")";
  };
  needs(kLandlockAbiTruncate, "truncation");
  needs(kLandlockAbiTcp, "TCP");
  needs(kLandlockAbiIoctl, "device ioctls");
  needs(kLandlockAbiScopes, "abstract sockets and signals");
  return missing;
}

bool LandlockRules::create(LandlockTcp tcp) {
  if (abi_ == 0) return true;
  RulesetAttributes attributes{files_at(abi_), 0, 0};
  if (abi_ >= kLandlockAbiTcp && tcp == LandlockTcp::kRefused) attributes.handled_network = kBindTcp | kConnectTcp;
  if (abi_ >= kLandlockAbiScopes) attributes.scopes = kAbstractSocket | kSignal;
  ruleset_.reset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  return ruleset_.valid();
}

bool LandlockRules::allow(int place, Reach reach) {
  if (abi_ == 0) return true;
  struct stat info {};
  if (::fstat(place, &info) != 0) return false;
  PathBeneath rule{rights_of(reach) & files_at(abi_), place};
  if (!S_ISDIR(info.st_mode)) rule.allowed &= kForFiles;
  return ::syscall(SYS_landlock_add_rule, ruleset_.get(), kRulePathBeneath, &rule, 0) == 0;
}

bool restrict_by_landlock(int descriptor) {
  return ::syscall(SYS_landlock_restrict_self, descriptor, 0) == 0;
}

}  // namespace liongate::sandbox
