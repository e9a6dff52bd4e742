#include "sandbox/syscall_policy.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>

#include "sandbox/path_watch.h"
#include "sandbox/syscall_arguments.h"

namespace liongate::sandbox {
namespace {

#define LG_CALL(name, call_class, reason) \
  { SYS_##name, #name, CallClass::call_class, reason }

// One line a call, by number. A class says what happens, a reason why.
// clang-format off
constexpr auto kTable = std::to_array<CallTraits>({
    LG_CALL(read, kAllowed, "reads and writes open files"),
    LG_CALL(write, kAllowed, "reads and writes open files"),
    LG_CALL(open, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(close, kAllowed, "closes and copies descriptors"),
    LG_CALL(stat, kAllowed, "looks at files"),
    LG_CALL(fstat, kAllowed, "looks at files"),
    LG_CALL(lstat, kAllowed, "looks at files"),
    LG_CALL(poll, kAllowed, "waits for events"),
    LG_CALL(lseek, kAllowed, "reads and writes open files"),
    LG_CALL(mmap, kChecked, "writable and executable at once only with `jit`; no huge pages"),
    LG_CALL(mprotect, kChecked, "writable and executable at once only with `jit`"),
    LG_CALL(munmap, kAllowed, "manages its memory"),
    LG_CALL(brk, kAllowed, "manages its memory"),
    LG_CALL(rt_sigaction, kAllowed, "signals within the process"),
    LG_CALL(rt_sigprocmask, kAllowed, "signals within the process"),
    LG_CALL(rt_sigreturn, kAllowed, "signals within the process"),
    LG_CALL(ioctl, kChecked, "a short list; drivers answer the rest"),
    LG_CALL(pread64, kAllowed, "reads and writes open files"),
    LG_CALL(pwrite64, kAllowed, "reads and writes open files"),
    LG_CALL(readv, kAllowed, "reads and writes open files"),
    LG_CALL(writev, kAllowed, "reads and writes open files"),
    LG_CALL(access, kAllowed, "looks at files"),
    LG_CALL(pipe, kAllowed, "pipes of its own"),
    LG_CALL(select, kAllowed, "waits for events"),
    LG_CALL(sched_yield, kAllowed, "threads and their locks"),
    LG_CALL(mremap, kAllowed, "manages its memory"),
    LG_CALL(msync, kAllowed, "manages its memory"),
    LG_CALL(mincore, kAllowed, "manages its memory"),
    LG_CALL(madvise, kAllowed, "manages its memory"),
    LG_CALL(shmget, kAbsent, "outside of every memory limit"),
    LG_CALL(shmat, kAbsent, "outside of every memory limit"),
    LG_CALL(shmctl, kAbsent, "outside of every memory limit"),
    LG_CALL(dup, kAllowed, "closes and copies descriptors"),
    LG_CALL(dup2, kAllowed, "closes and copies descriptors"),
    LG_CALL(pause, kAllowed, "reads clocks, sleeps"),
    LG_CALL(nanosleep, kAllowed, "reads clocks, sleeps"),
    LG_CALL(getitimer, kAllowed, "timers of its own"),
    LG_CALL(alarm, kAllowed, "timers of its own"),
    LG_CALL(setitimer, kAllowed, "timers of its own"),
    LG_CALL(getpid, kAllowed, "who and what it is"),
    LG_CALL(sendfile, kAllowed, "reads and writes open files"),
    LG_CALL(socket, kChecked, "sockets of the internet with `network`, no others"),
    LG_CALL(connect, kNetwork, "talks to other hosts"),
    LG_CALL(accept, kNetwork, "talks to other hosts"),
    LG_CALL(sendto, kChecked, "talks on the sockets it was given, in band"),
    LG_CALL(recvfrom, kAllowed, "talks on the sockets it was given"),
    LG_CALL(sendmsg, kChecked, "talks on the sockets it was given, in band"),
    LG_CALL(recvmsg, kAllowed, "talks on the sockets it was given"),
    LG_CALL(shutdown, kAllowed, "talks on the sockets it was given"),
    LG_CALL(bind, kNetwork, "talks to other hosts"),
    LG_CALL(listen, kNetwork, "talks to other hosts"),
    LG_CALL(getsockname, kAllowed, "talks on the sockets it was given"),
    LG_CALL(getpeername, kAllowed, "talks on the sockets it was given"),
    LG_CALL(socketpair, kChecked, "a pair of UNIX stream or packet sockets"),
    LG_CALL(setsockopt, kChecked, "options that time and name a socket"),
    LG_CALL(getsockopt, kAllowed, "talks on the sockets it was given"),
    LG_CALL(clone, kChecked, "threads; processes with `process`; never namespaces"),
    LG_CALL(fork, kProcess, "makes processes, below the cap"),
    LG_CALL(vfork, kProcess, "makes processes, below the cap"),
    LG_CALL(execve, kProcess, "runs programs that are mounted executable"),
    LG_CALL(exit, kAllowed, "ends the process"),
    LG_CALL(wait4, kProcess, "waits for its children"),
    LG_CALL(kill, kProcess, "signals its own processes; there are no others"),
    LG_CALL(uname, kAllowed, "who and what it is"),
    LG_CALL(semget, kAbsent, "outside of every memory limit"),
    LG_CALL(semop, kAbsent, "outside of every memory limit"),
    LG_CALL(semctl, kAbsent, "outside of every memory limit"),
    LG_CALL(shmdt, kAbsent, "outside of every memory limit"),
    LG_CALL(msgget, kAbsent, "outside of every memory limit"),
    LG_CALL(msgsnd, kAbsent, "outside of every memory limit"),
    LG_CALL(msgrcv, kAbsent, "outside of every memory limit"),
    LG_CALL(msgctl, kAbsent, "outside of every memory limit"),
    LG_CALL(fcntl, kChecked, "all but leases and notifications, which would make the host wait"),
    LG_CALL(flock, kAllowed, "closes and copies descriptors"),
    LG_CALL(fsync, kAllowed, "makes its own writes durable"),
    LG_CALL(fdatasync, kAllowed, "makes its own writes durable"),
    LG_CALL(truncate, kAllowed, "changes files below what is mounted"),
    LG_CALL(ftruncate, kAllowed, "changes files below what is mounted"),
    LG_CALL(getdents, kAllowed, "looks at files"),
    LG_CALL(getcwd, kAllowed, "its place in the tree"),
    LG_CALL(chdir, kAllowed, "its place in the tree"),
    LG_CALL(fchdir, kAllowed, "its place in the tree"),
    LG_CALL(rename, kAllowed, "changes names below what is mounted"),
    LG_CALL(mkdir, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(rmdir, kAllowed, "changes names below what is mounted"),
    LG_CALL(creat, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(link, kAllowed, "changes names below what is mounted"),
    LG_CALL(unlink, kAllowed, "changes names below what is mounted"),
    LG_CALL(symlink, kAllowed, "changes names below what is mounted"),
    LG_CALL(readlink, kAllowed, "looks at files"),
    LG_CALL(chmod, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(fchmod, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(chown, kAllowed, "changes files below what is mounted"),
    LG_CALL(fchown, kAllowed, "changes files below what is mounted"),
    LG_CALL(lchown, kAllowed, "changes files below what is mounted"),
    LG_CALL(umask, kAllowed, "changes files below what is mounted"),
    LG_CALL(gettimeofday, kAllowed, "reads clocks, sleeps"),
    LG_CALL(getrlimit, kAllowed, "who and what it is"),
    LG_CALL(getrusage, kAllowed, "who and what it is"),
    LG_CALL(sysinfo, kAllowed, "who and what it is"),
    LG_CALL(times, kAllowed, "who and what it is"),
    LG_CALL(ptrace, kRefused, "looks into other processes"),
    LG_CALL(getuid, kAllowed, "who and what it is"),
    LG_CALL(syslog, kRefused, "watches the kernel or other processes"),
    LG_CALL(getgid, kAllowed, "who and what it is"),
    LG_CALL(setuid, kRefused, "changes who it is"),
    LG_CALL(setgid, kRefused, "changes who it is"),
    LG_CALL(geteuid, kAllowed, "who and what it is"),
    LG_CALL(getegid, kAllowed, "who and what it is"),
    LG_CALL(setpgid, kProcess, "sessions and groups of its own processes"),
    LG_CALL(getppid, kAllowed, "who and what it is"),
    LG_CALL(getpgrp, kAllowed, "who and what it is"),
    LG_CALL(setsid, kProcess, "sessions and groups of its own processes"),
    LG_CALL(setreuid, kRefused, "changes who it is"),
    LG_CALL(setregid, kRefused, "changes who it is"),
    LG_CALL(getgroups, kAllowed, "who and what it is"),
    LG_CALL(setgroups, kRefused, "changes who it is"),
    LG_CALL(setresuid, kRefused, "changes who it is"),
    LG_CALL(getresuid, kAllowed, "who and what it is"),
    LG_CALL(setresgid, kRefused, "changes who it is"),
    LG_CALL(getresgid, kAllowed, "who and what it is"),
    LG_CALL(getpgid, kAllowed, "who and what it is"),
    LG_CALL(setfsuid, kRefused, "changes who it is"),
    LG_CALL(setfsgid, kRefused, "changes who it is"),
    LG_CALL(getsid, kAllowed, "who and what it is"),
    LG_CALL(capget, kAllowed, "who and what it is"),
    LG_CALL(capset, kRefused, "changes who it is"),
    LG_CALL(rt_sigpending, kAllowed, "signals within the process"),
    LG_CALL(rt_sigtimedwait, kAllowed, "signals within the process"),
    LG_CALL(rt_sigqueueinfo, kProcess, "signals its own processes; there are no others"),
    LG_CALL(rt_sigsuspend, kAllowed, "signals within the process"),
    LG_CALL(sigaltstack, kAllowed, "signals within the process"),
    LG_CALL(utime, kAllowed, "changes files below what is mounted"),
    LG_CALL(mknod, kRefused, "makes device files"),
    LG_CALL(personality, kChecked, "queries the execution domain"),
    LG_CALL(statfs, kAllowed, "looks at files"),
    LG_CALL(fstatfs, kAllowed, "looks at files"),
    LG_CALL(getpriority, kAllowed, "its scheduling, read"),
    LG_CALL(setpriority, kChecked, "its own nice value"),
    LG_CALL(sched_setparam, kRefused, "raises its share of the machine"),
    LG_CALL(sched_getparam, kAllowed, "its scheduling, read"),
    LG_CALL(sched_setscheduler, kChecked, "ordinary policies only"),
    LG_CALL(sched_getscheduler, kAllowed, "its scheduling, read"),
    LG_CALL(sched_get_priority_max, kAllowed, "its scheduling, read"),
    LG_CALL(sched_get_priority_min, kAllowed, "its scheduling, read"),
    LG_CALL(sched_rr_get_interval, kAllowed, "its scheduling, read"),
    LG_CALL(mlock, kAllowed, "manages its memory"),
    LG_CALL(munlock, kAllowed, "manages its memory"),
    LG_CALL(mlockall, kAllowed, "manages its memory"),
    LG_CALL(munlockall, kAllowed, "manages its memory"),
    LG_CALL(vhangup, kRefused, "controls the host"),
    LG_CALL(modify_ldt, kRefused, "controls the host"),
    LG_CALL(pivot_root, kRefused, "changes what is mounted"),
    LG_CALL(prctl, kChecked, "a short list; no option that weakens or strengthens the walls"),
    LG_CALL(arch_prctl, kChecked, "thread-local storage and its query"),
    LG_CALL(adjtimex, kRefused, "sets the clock"),
    LG_CALL(setrlimit, kChecked, "its own, but not the core size"),
    LG_CALL(chroot, kRefused, "changes what is mounted"),
    LG_CALL(sync, kRefused, "writes back everybody's data"),
    LG_CALL(acct, kRefused, "controls the host"),
    LG_CALL(settimeofday, kRefused, "sets the clock"),
    LG_CALL(mount, kRefused, "changes what is mounted"),
    LG_CALL(umount2, kRefused, "changes what is mounted"),
    LG_CALL(swapon, kRefused, "controls the host"),
    LG_CALL(swapoff, kRefused, "controls the host"),
    LG_CALL(reboot, kRefused, "controls the host"),
    LG_CALL(sethostname, kRefused, "controls the host"),
    LG_CALL(setdomainname, kRefused, "controls the host"),
    LG_CALL(iopl, kRefused, "controls the host"),
    LG_CALL(ioperm, kRefused, "controls the host"),
    LG_CALL(create_module, kRefused, "loads code into the kernel"),
    LG_CALL(init_module, kRefused, "loads code into the kernel"),
    LG_CALL(delete_module, kRefused, "loads code into the kernel"),
    LG_CALL(quotactl, kRefused, "controls the host"),
    LG_CALL(gettid, kAllowed, "threads and their locks"),
    LG_CALL(readahead, kAllowed, "hints about its own files"),
    LG_CALL(setxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(lsetxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(fsetxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(getxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(lgetxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(fgetxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(listxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(llistxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(flistxattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(removexattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(lremovexattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(fremovexattr, kAllowed, "extended attributes; the kernel checks each"),
    LG_CALL(tkill, kAllowed, "signals within the process"),
    LG_CALL(time, kAllowed, "reads clocks, sleeps"),
    LG_CALL(futex, kChecked, "threads and their locks"),
    LG_CALL(sched_setaffinity, kAllowed, "its scheduling, within what limits allow"),
    LG_CALL(sched_getaffinity, kAllowed, "its scheduling, read"),
    LG_CALL(io_setup, kAbsent, "a second way into every call"),
    LG_CALL(io_destroy, kAbsent, "a second way into every call"),
    LG_CALL(io_getevents, kAbsent, "a second way into every call"),
    LG_CALL(io_submit, kAbsent, "a second way into every call"),
    LG_CALL(io_cancel, kAbsent, "a second way into every call"),
    LG_CALL(lookup_dcookie, kRefused, "watches the kernel or other processes"),
    LG_CALL(epoll_create, kAllowed, "waits for events"),
    LG_CALL(remap_file_pages, kAbsent, "memory that cannot be accounted or seen"),
    LG_CALL(getdents64, kAllowed, "looks at files"),
    LG_CALL(set_tid_address, kAllowed, "threads and their locks"),
    LG_CALL(restart_syscall, kAllowed, "signals within the process"),
    LG_CALL(semtimedop, kAbsent, "outside of every memory limit"),
    LG_CALL(fadvise64, kAllowed, "hints about its own files"),
    LG_CALL(timer_create, kAllowed, "timers of its own"),
    LG_CALL(timer_settime, kAllowed, "timers of its own"),
    LG_CALL(timer_gettime, kAllowed, "timers of its own"),
    LG_CALL(timer_getoverrun, kAllowed, "timers of its own"),
    LG_CALL(timer_delete, kAllowed, "timers of its own"),
    LG_CALL(clock_settime, kRefused, "sets the clock"),
    LG_CALL(clock_gettime, kAllowed, "reads clocks, sleeps"),
    LG_CALL(clock_getres, kAllowed, "reads clocks, sleeps"),
    LG_CALL(clock_nanosleep, kAllowed, "reads clocks, sleeps"),
    LG_CALL(exit_group, kAllowed, "ends the process"),
    LG_CALL(epoll_wait, kAllowed, "waits for events"),
    LG_CALL(epoll_ctl, kAllowed, "waits for events"),
    LG_CALL(tgkill, kAllowed, "signals within the process"),
    LG_CALL(utimes, kAllowed, "changes files below what is mounted"),
    LG_CALL(mbind, kRefused, "raises its share of the machine"),
    LG_CALL(set_mempolicy, kRefused, "raises its share of the machine"),
    LG_CALL(get_mempolicy, kAllowed, "its scheduling, read"),
    LG_CALL(mq_open, kAbsent, "outside of every memory limit"),
    LG_CALL(mq_unlink, kAbsent, "outside of every memory limit"),
    LG_CALL(mq_timedsend, kAbsent, "outside of every memory limit"),
    LG_CALL(mq_timedreceive, kAbsent, "outside of every memory limit"),
    LG_CALL(mq_notify, kAbsent, "outside of every memory limit"),
    LG_CALL(mq_getsetattr, kAbsent, "outside of every memory limit"),
    LG_CALL(kexec_load, kRefused, "loads code into the kernel"),
    LG_CALL(waitid, kProcess, "waits for its children"),
    LG_CALL(add_key, kRefused, "keys outlive the sandbox"),
    LG_CALL(request_key, kRefused, "keys outlive the sandbox"),
    LG_CALL(keyctl, kRefused, "keys outlive the sandbox"),
    LG_CALL(ioprio_set, kRefused, "raises its share of the machine"),
    LG_CALL(ioprio_get, kAllowed, "its scheduling, read"),
    LG_CALL(inotify_init, kAllowed, "waits for events"),
    LG_CALL(inotify_add_watch, kAllowed, "waits for events"),
    LG_CALL(inotify_rm_watch, kAllowed, "waits for events"),
    LG_CALL(migrate_pages, kRefused, "raises its share of the machine"),
    LG_CALL(openat, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(mkdirat, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(mknodat, kRefused, "makes device files"),
    LG_CALL(fchownat, kAllowed, "changes files below what is mounted"),
    LG_CALL(futimesat, kAllowed, "changes files below what is mounted"),
    LG_CALL(newfstatat, kAllowed, "looks at files"),
    LG_CALL(unlinkat, kAllowed, "changes names below what is mounted"),
    LG_CALL(renameat, kAllowed, "changes names below what is mounted"),
    LG_CALL(linkat, kAllowed, "changes names below what is mounted"),
    LG_CALL(symlinkat, kAllowed, "changes names below what is mounted"),
    LG_CALL(readlinkat, kAllowed, "looks at files"),
    LG_CALL(fchmodat, kChecked, "no set-user-id or set-group-id bit"),
    LG_CALL(faccessat, kAllowed, "looks at files"),
    LG_CALL(pselect6, kAllowed, "waits for events"),
    LG_CALL(ppoll, kAllowed, "waits for events"),
    LG_CALL(unshare, kRefused, "enters or makes namespaces"),
    LG_CALL(set_robust_list, kAllowed, "threads and their locks"),
    LG_CALL(get_robust_list, kAllowed, "threads and their locks"),
    LG_CALL(splice, kAllowed, "reads and writes open files"),
    LG_CALL(tee, kAllowed, "reads and writes open files"),
    LG_CALL(sync_file_range, kAllowed, "makes its own writes durable"),
    LG_CALL(vmsplice, kAbsent, "memory that cannot be accounted or seen"),
    LG_CALL(move_pages, kRefused, "raises its share of the machine"),
    LG_CALL(utimensat, kAllowed, "changes files below what is mounted"),
    LG_CALL(epoll_pwait, kAllowed, "waits for events"),
    LG_CALL(signalfd, kAllowed, "waits for events"),
    LG_CALL(timerfd_create, kAllowed, "timers of its own"),
    LG_CALL(eventfd, kAllowed, "waits for events"),
    LG_CALL(fallocate, kChecked, "makes room in files, not beyond their end"),
    LG_CALL(timerfd_settime, kAllowed, "timers of its own"),
    LG_CALL(timerfd_gettime, kAllowed, "timers of its own"),
    LG_CALL(accept4, kNetwork, "talks to other hosts"),
    LG_CALL(signalfd4, kAllowed, "waits for events"),
    LG_CALL(eventfd2, kAllowed, "waits for events"),
    LG_CALL(epoll_create1, kAllowed, "waits for events"),
    LG_CALL(dup3, kAllowed, "closes and copies descriptors"),
    LG_CALL(pipe2, kChecked, "pipes of its own, not of notifications"),
    LG_CALL(inotify_init1, kAllowed, "waits for events"),
    LG_CALL(preadv, kAllowed, "reads and writes open files"),
    LG_CALL(pwritev, kAllowed, "reads and writes open files"),
    LG_CALL(rt_tgsigqueueinfo, kAllowed, "signals within the process"),
    LG_CALL(perf_event_open, kRefused, "watches the kernel or other processes"),
    LG_CALL(recvmmsg, kAllowed, "talks on the sockets it was given"),
    LG_CALL(fanotify_init, kRefused, "watches the kernel or other processes"),
    LG_CALL(fanotify_mark, kRefused, "watches the kernel or other processes"),
    LG_CALL(prlimit64, kChecked, "its own, but not the core size"),
    LG_CALL(name_to_handle_at, kRefused, "opens files by number, past every mount"),
    LG_CALL(open_by_handle_at, kRefused, "opens files by number, past every mount"),
    LG_CALL(clock_adjtime, kRefused, "sets the clock"),
    LG_CALL(syncfs, kRefused, "writes back everybody's data"),
    LG_CALL(sendmmsg, kChecked, "talks on the sockets it was given, in band"),
    LG_CALL(setns, kRefused, "enters or makes namespaces"),
    LG_CALL(getcpu, kAllowed, "its scheduling, read"),
    LG_CALL(process_vm_readv, kAbsent, "reads and writes other processes"),
    LG_CALL(process_vm_writev, kAbsent, "reads and writes other processes"),
    LG_CALL(kcmp, kRefused, "looks into other processes"),
    LG_CALL(finit_module, kRefused, "loads code into the kernel"),
    LG_CALL(sched_setattr, kAbsent, "takes its flags in memory, where they cannot be checked"),
    LG_CALL(sched_getattr, kAbsent, "takes its flags in memory, where they cannot be checked"),
    LG_CALL(renameat2, kChecked, "changes names below what is mounted; leaves no device"),
    LG_CALL(seccomp, kRefused, "filters are ours; a notifying one would outrank ours"),
    LG_CALL(getrandom, kAllowed, "who and what it is"),
    LG_CALL(memfd_create, kJit, "memory that may be executed under another address"),
    LG_CALL(kexec_file_load, kRefused, "loads code into the kernel"),
    LG_CALL(bpf, kRefused, "programs the kernel"),
    LG_CALL(execveat, kChecked, "the first exec is ours, later ones need `process`"),
    LG_CALL(userfaultfd, kAbsent, "stops the kernel in the middle of a copy"),
    LG_CALL(membarrier, kAllowed, "threads and their locks"),
    LG_CALL(mlock2, kAllowed, "manages its memory"),
    LG_CALL(copy_file_range, kAllowed, "reads and writes open files"),
    LG_CALL(preadv2, kAllowed, "reads and writes open files"),
    LG_CALL(pwritev2, kAllowed, "reads and writes open files"),
    LG_CALL(pkey_mprotect, kJit, "memory protection keys of code generators"),
    LG_CALL(pkey_alloc, kJit, "memory protection keys of code generators"),
    LG_CALL(pkey_free, kJit, "memory protection keys of code generators"),
    LG_CALL(statx, kAllowed, "looks at files"),
    LG_CALL(rseq, kAllowed, "threads and their locks"),
    LG_CALL(pidfd_send_signal, kProcess, "signals its own processes; there are no others"),
    LG_CALL(io_uring_setup, kAbsent, "a second way into every call"),
    LG_CALL(io_uring_enter, kAbsent, "a second way into every call"),
    LG_CALL(io_uring_register, kAbsent, "a second way into every call"),
    LG_CALL(open_tree, kRefused, "changes what is mounted"),
    LG_CALL(move_mount, kRefused, "changes what is mounted"),
    LG_CALL(fsopen, kRefused, "changes what is mounted"),
    LG_CALL(fsconfig, kRefused, "changes what is mounted"),
    LG_CALL(fsmount, kRefused, "changes what is mounted"),
    LG_CALL(fspick, kRefused, "changes what is mounted"),
    LG_CALL(pidfd_open, kProcess, "waits for its children"),
    LG_CALL(clone3, kAbsent, "takes its flags in memory, where they cannot be checked"),
    LG_CALL(close_range, kAllowed, "closes and copies descriptors"),
    LG_CALL(openat2, kAbsent, "takes its flags in memory, where they cannot be checked"),
    LG_CALL(pidfd_getfd, kRefused, "looks into other processes"),
    LG_CALL(faccessat2, kAllowed, "looks at files"),
    LG_CALL(process_madvise, kAbsent, "reads and writes other processes"),
    LG_CALL(epoll_pwait2, kAllowed, "waits for events"),
    LG_CALL(mount_setattr, kRefused, "changes what is mounted"),
    LG_CALL(quotactl_fd, kRefused, "controls the host"),
    LG_CALL(memfd_secret, kAbsent, "memory that cannot be accounted or seen"),
    LG_CALL(process_mrelease, kAbsent, "reads and writes other processes"),});
// clang-format on
#undef LG_CALL

constexpr bool sorted_by_number() {
  for (std::size_t index = 1; index < kTable.size(); ++index) {
    if (kTable[index - 1].number >= kTable[index].number) return false;
  }
  return true;
}
static_assert(sorted_by_number());

constexpr std::uint32_t kAbsentAnswer = SECCOMP_RET_ERRNO | ENOSYS;

bool rings_doorbell(std::uint32_t number) {
  return number == SYS_connect;
}

SyscallRule rule_for(const CallTraits& call, Permissions permissions) {
  const bool process = permissions.process == Grantable::kGranted;
  const bool jit = permissions.jit == Grantable::kGranted;
  const bool network = permissions.network == Grantable::kGranted;
  if (permissions.paths == Paths::kShown && names_path(call.number)) return {call.number, kShowsPath, {}};
  SyscallRule rule{call.number, denied_with(EPERM), {}};
  switch (call.call_class) {
    case CallClass::kAllowed:
      rule.alternatives = {{}};
      break;
    case CallClass::kProcess:
      if (process) rule.alternatives = {{}};
      break;
    case CallClass::kJit:
      rule.otherwise = denied_with(ENOSYS);
      if (jit) rule.alternatives = {{}};
      break;
    case CallClass::kChecked: {
      Checked checked = checked_call(call.number, permissions);
      rule.otherwise = checked.otherwise;
      rule.alternatives = std::move(checked.alternatives);
      break;
    }
    case CallClass::kNetwork:
      if (network) rule.alternatives = {{}};
      if (network && rings_doorbell(call.number)) rule = {call.number, kRingsDoorbell, {}};
      break;
    case CallClass::kRefused:
      break;
    case CallClass::kAbsent:
      rule.otherwise = kAbsentAnswer;
      break;
  }
  return rule;
}

}  // namespace

std::span<const CallTraits> syscall_table() {
  return kTable;
}

const CallTraits* find_call(std::uint32_t number) {
  const auto* const found = std::ranges::lower_bound(kTable, number, {}, &CallTraits::number);
  return found != kTable.end() && found->number == number ? found : nullptr;
}

std::vector<SyscallRule> rules_for(Permissions permissions) {
  std::vector<SyscallRule> rules;
  for (const CallTraits& call : kTable) rules.push_back(rule_for(call, permissions));
  return rules;
}

}  // namespace liongate::sandbox
