"""The programs that confine others, as Debian packages them: how each is told to start one static program."""

import json
import os
import shutil
from pathlib import Path

NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")
# What systemd or a container engine would set up is left out for all: no control groups, no image, no network.
PROGRAM = "/bench_first_byte"
CALLS = """read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe sched_yield mremap msync mincore madvise dup dup2 pause
nanosleep getitimer alarm setitimer getpid sendfile socket connect accept sendto recvfrom sendmsg recvmsg shutdown bind
listen getsockname getpeername socketpair setsockopt getsockopt clone fork vfork execve exit wait4 kill uname fcntl
flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink symlink
readlink chmod fchmod statfs fstatfs getdents64 exit_group waitid arch_prctl prctl getrandom futex rseq
set_robust_list prlimit64
newfstatat openat set_tid_address readlinkat capget capset seccomp sigaltstack gettid tgkill epoll_create1 epoll_ctl
epoll_pwait pipe2 dup3 setgroups setuid setgid setresuid setresgid faccessat2 close_range""".split()


def oci_bundle(folder, root):
    """A bundle of the OCI runtime specification around `root`, without control groups."""
    folder = Path(folder)
    folder.mkdir()
    config = {
        "ociVersion": "1.0.2",
        "root": {"path": str(root), "readonly": True},
        "process": {"args": [PROGRAM], "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True, "env": [],
                    "capabilities": {}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                   {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}],
        "linux": {"namespaces": [{"type": name} for name in NAMESPACES],
                  "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
                              "syscalls": [{"names": CALLS, "action": "SCMP_ACT_ALLOW"}]}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# crun 1.8 refuses a hybrid cgroup tree even with --cgroup-manager=disabled: it is shown the v2 part alone.
UNIFIED = Path("/sys/fs/cgroup/unified")
WITHOUT_HYBRID = ["unshare", "--mount", "sh", "-c",
                  f'mount --make-rprivate / && mount --bind {UNIFIED} {UNIFIED.parent} && exec "$@"', "sh"]


def commands(scratch, root, program):
    """Returns {name: (prefix, command)} of the peers; `prefix` goes before the whole measurement.

    `root` holds a copy of `program`, which firejail starts from its own place: it has no root of its own.
    """
    state = Path(scratch) / "runtimes"
    state.mkdir(exist_ok=True)
    bundle = oci_bundle(state / "bundle", root)
    return {
        "crun": (WITHOUT_HYBRID if UNIFIED.is_dir() else [],
                 ["crun", "--root", str(state / "crun"), "--cgroup-manager=disabled", "run", "--bundle", str(bundle),
                  "bench-{n}"]),
        "firejail": ([], ["firejail", "--quiet", "--noprofile", "--net=none", "--private-dev", "--caps.drop=all",
                          "--nonewprivs", "--seccomp", str(program)]),
        "runc": ([], ["runc", "--root", str(state / "runc"), "run", "--bundle", str(bundle), "bench-{n}"]),
    }


def missing(name):
    """Why a peer cannot be measured here; empty when it can."""
    if not shutil.which(name):
        return "it is not installed"
    return "it needs root" if name != "firejail" and os.geteuid() != 0 else ""
