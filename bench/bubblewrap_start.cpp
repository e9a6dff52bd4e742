// Starts a static program in bubblewrap with every namespace and a seccomp filter: the peer of a plugin's load.
//
// Usage: bench_bubblewrap PROGRAM ROOT COUNT
// ROOT is a folder that becomes the sandbox's root and holds a copy of PROGRAM. Measured from the spawn of bwrap until
// the program's first byte arrives, which is what a plugin's Ready frame is to us (our RPC and event come on top).

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <vector>

#include "bench/first_byte.h"

namespace liongate::bench {
namespace {

constexpr int kFilterFd = 9;

// What a program of this kind needs and much more: about a hundred calls, so that the filter is as long as a real one.
std::vector<sock_filter> allow_list() {
  std::vector<std::uint32_t> allowed;
  for (std::uint32_t number = 0; number < 80; ++number) {
    if (number != SYS_ptrace) allowed.push_back(number);
  }
  for (const std::uint32_t number :
       {SYS_exit_group, SYS_wait4, SYS_waitid, SYS_arch_prctl, SYS_prctl, SYS_getrandom, SYS_futex, SYS_rseq,
        SYS_set_robust_list, SYS_prlimit64, SYS_newfstatat, SYS_openat, SYS_set_tid_address, SYS_readlink,
        SYS_readlinkat, SYS_capset, SYS_seccomp}) {
    allowed.push_back(number);
  }
  const auto load = [](std::size_t offset) -> sock_filter {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  };
  std::vector<sock_filter> filter;
  filter.push_back(load(offsetof(seccomp_data, arch)));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  filter.push_back(load(offsetof(seccomp_data, nr)));
  for (const std::uint32_t number : allowed) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  return filter;
}

// A descriptor from which bwrap reads the filter; rewound before each start, because bwrap reads it to its end.
int filter_descriptor() {
  const std::vector<sock_filter> filter = allow_list();
  const int fd = ::memfd_create("filter", 0);
  const std::size_t size = filter.size() * sizeof(sock_filter);
  if (fd < 0 || ::write(fd, filter.data(), size) != static_cast<ssize_t>(size)) give_up("bench_bubblewrap: memfd");
  if (::dup2(fd, kFilterFd) != kFilterFd) give_up("bench_bubblewrap: dup2");
  return kFilterFd;
}

int run(int argc, char** argv) {
  if (argc != 4) give_up("usage: bench_bubblewrap PROGRAM ROOT COUNT");
  const std::string inside = "/" + std::string(argv[1]).substr(std::string(argv[1]).rfind('/') + 1);
  const std::string filter_text = std::to_string(filter_descriptor());
  std::vector<std::string> words = {
      "bwrap",  "--unshare-all", "--die-with-parent", "--ro-bind", argv[2],     "/",         "--dev", "/dev",
      "--proc", "/proc",         "--tmpfs",           "/tmp",      "--seccomp", filter_text, inside};
  Samples samples;
  for (int i = 0; i < std::atoi(argv[3]); ++i) {
    ::lseek(kFilterFd, 0, SEEK_SET);
    samples.add_ns(first_byte_ns(words));
  }
  print_durations(samples);
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
