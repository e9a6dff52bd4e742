#include "sandbox/privileges.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace liongate::sandbox {
namespace {

struct CapabilitySets {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};

  bool read() { return ::syscall(SYS_capget, &header, data) == 0; }
  bool write() { return ::syscall(SYS_capset, &header, data) == 0; }
};

constexpr std::uint32_t bit_of(int capability) {
  return 1U << (static_cast<unsigned>(capability) % 32U);
}
constexpr std::size_t word_of(int capability) {
  return static_cast<std::size_t>(capability) / 32U;
}

}  // namespace

bool has_capability(int capability) {
  CapabilitySets sets;
  return sets.read() && (sets.data[word_of(capability)].effective & bit_of(capability)) != 0;
}

bool drop_all_capabilities() {
  // The bounding set ends where the kernel's last capability ends: the first unknown number is EINVAL.
  int capability = 0;
  while (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) ++capability;
  if (errno != EINVAL || capability <= CAP_SETPCAP) return false;
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return false;
  constexpr unsigned long kLocked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kLocked, 0, 0, 0) != 0) return false;
  CapabilitySets none;
  return none.write();
}

bool keep_only(std::initializer_list<int> capabilities) {
  CapabilitySets sets;
  if (!sets.read()) return false;
  CapabilitySets kept;
  for (const int capability : capabilities) {
    kept.data[word_of(capability)].permitted |= sets.data[word_of(capability)].permitted & bit_of(capability);
  }
  for (auto& word : kept.data) word.effective = word.permitted;
  return kept.write();
}

bool set_no_new_privileges() {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

SpeculationControl disable_store_bypass() {
  const int state = ::prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
  if (state == PR_SPEC_NOT_AFFECTED) return SpeculationControl::kNotAffected;
  const bool is_off = state > 0 && (state & PR_SPEC_PRCTL) == 0 && (state & PR_SPEC_DISABLE) != 0;  // for all processes
  if (is_off || ::prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE, 0, 0) == 0) {
    return SpeculationControl::kDisabled;
  }
  return SpeculationControl::kMissing;
}

}  // namespace liongate::sandbox
