"""Entry of the checks inside the virtual machine: installs what the second disk brought, runs all, reports.

Started at boot by liongate-checks.service, as root. Results are JSON lines on the virtio port liongate.results; the
last line says that the checks came to their end. The exit code tells nothing: the host judges by the results.
"""

import json
import os
import shutil
import subprocess
import sys

import harness
import host_checks  # noqa: F401  (they register themselves, in this order)
import package_checks  # noqa: F401
import unit_checks  # noqa: F401
import story_checks  # noqa: F401
import limit_checks  # noqa: F401
import failure_checks  # noqa: F401
import rootless_checks  # noqa: F401

DISK = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = "/dev/virtio-ports/liongate.results"


def install():
    """What `make install DESTDIR=` made, as a package would unpack it, and the steps of its maintainer scripts."""
    subprocess.run(["cp", "--archive", "--no-preserve=ownership", f"{DISK}/root/.", "/"], check=True)
    shutil.copytree(f"{DISK}/test-plugins", "/opt/liongate-test-plugins")
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"], ["systemctl", "daemon-reload"]):
        subprocess.run(command, check=True)


def main():
    with open(RESULTS, "w", encoding="utf-8", buffering=1) as results:
        def report(result):
            results.write(json.dumps(result) + "\n")
            print(f"{result['state']} {result['id']} {result['check']}: {result['seen']}", file=sys.stderr, flush=True)

        facts = {"kernel": harness.KERNEL, "systemd": harness.run("systemctl", "--version").out.splitlines()[0],
                 "processors": os.cpu_count(),
                 "memory": harness.read("/proc/meminfo").splitlines()[0].split(None, 1)[1],
                 "cgroup": harness.run("stat", "--file-system", "--format=%T", "/sys/fs/cgroup").text,
                 "lsm": harness.read("/sys/kernel/security/lsm") if os.path.exists("/sys/kernel/security/lsm") else "?"}
        results.write(json.dumps({"facts": facts}) + "\n")
        install()
        harness.run_all(report)
        journal = harness.run("journalctl", "--no-pager", "--unit=liongate*").out
        results.write(json.dumps({"journal": journal, "check_host": harness.ctl("check-host").out}) + "\n")
        results.write(json.dumps({"end": True}) + "\n")


main()
