"""What a number was measured on: without it a number says nothing."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path


def _first_line(command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        return result.stdout.strip().splitlines()[0] if result.stdout.strip() else ""
    except OSError:
        return ""


def _file_system_of(folder):
    return " ".join(_first_line(["findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", "-T", str(folder)]).split())


def describe(root, scratch):
    """Returns the machine, the versions and the commit as a dictionary of texts and numbers."""
    processor = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())
    memory_kb = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    release = next((line.split("=", 1)[1].strip('"') for line in Path("/etc/os-release").read_text().splitlines()
                    if line.startswith("PRETTY_NAME=")), "")
    return {
        "kind": "machine",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _first_line(["git", "-c", f"safe.directory={root}", "-C", str(root), "describe", "--always",
                               "--dirty"]),
        "processor": processor,
        "processors": os.cpu_count(),
        "memory_gib": round(memory_kb / 2**20, 1),
        "kernel": platform.release(),
        "system": release,
        "compiler": _first_line(["g++", "--version"]),
        "grpc": _first_line(["pkg-config", "--modversion", "grpc++"]),
        "disk": _file_system_of(scratch),
        "uid": os.geteuid(),
        "load_average": os.getloadavg()[0],
    }


def json_line(machine):
    return json.dumps(machine) + "\n"


def in_words(machine):
    return (f"{machine['processors']} x {machine['processor']}, {machine['memory_gib']} GiB, "
            f"Linux {machine['kernel']}, {machine['system']}, {machine['disk'].split(' ')[0]}, "
            f"gRPC {machine['grpc']}, uid {machine['uid']}, load {machine['load_average']:.2f}, "
            f"commit {machine['commit']}")
