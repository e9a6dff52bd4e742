"""The dependency law: which room may include what (docs/DESIGN.md). CMake holds it for linking, this for headers."""

import posixpath
import re
from dataclasses import dataclass

from findings import Finding

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
GENERATED = re.compile(r"^(liongate/v1|google/rpc)/[a-z_]+(\.grpc)?\.pb\.h$")

GRPC = r"grpc\w*/.*|.*\.grpc\.pb\.h"
YAML = r"yaml-cpp/.*"
TOML = r"toml\+\+/.*|toml\.hpp"
HTTP = r"boost/beast.*|curl/.*|httplib\.h"
SECCOMP = r"seccomp\.h"
COMMAND_LINE = r"CLI/.*"
PROTOBUF = r"google/protobuf/.*"


@dataclass(frozen=True)
class Room:
    """A folder: which of our folders it may include, which generated headers, and which libraries it must not see."""

    ours: tuple
    wire: str
    unseen: tuple


# The longest matching folder holds. Tests, bench and fuzz look at everything and stand in no room.
ROOMS = {
    "kernel/base": Room(("kernel/base",), "", (GRPC, YAML, TOML, HTTP, SECCOMP, COMMAND_LINE, PROTOBUF, "boost/.*")),
    "kernel": Room(("kernel",), r"liongate/v1/(event|frame|manifest|plugin|snapshot)\.pb\.h",
                   (GRPC, YAML, TOML, HTTP, SECCOMP, COMMAND_LINE)),
    "kernel/policy": Room(("kernel/policy", "kernel/base"), r"liongate/v1/(event|frame|manifest|plugin)\.pb\.h",
                          (GRPC, YAML, TOML, HTTP, SECCOMP, COMMAND_LINE, "boost/.*")),
    "sandbox": Room(("sandbox", "kernel/base"), "", (GRPC, YAML, TOML, HTTP, COMMAND_LINE, PROTOBUF, "boost/.*")),
    "config": Room(("config", "kernel/base"), "", (GRPC, HTTP, SECCOMP, COMMAND_LINE, PROTOBUF)),
    "netgate": Room(("netgate", "kernel/base", "sandbox"), r"liongate/v1/netgate\.pb\.h",
                    (GRPC, YAML, TOML, HTTP, COMMAND_LINE)),
    "daemon": Room(("daemon", "kernel", "sandbox", "config", "netgate"), ".*", ()),
    "cli": Room(("cli", "kernel/base", "kernel/policy", "config"), ".*", (SECCOMP,)),
    "sdk/cpp": Room(("sdk/cpp",), r"liongate/v1/frame\.pb\.h",
                    (GRPC, YAML, TOML, HTTP, SECCOMP, COMMAND_LINE, "boost/.*")),
    "runtimes": Room(("runtimes", "kernel/base", "sdk/cpp"), ".*", (GRPC,)),
    "plugins": Room(("plugins", "sdk/cpp"), r"liongate/v1/frame\.pb\.h", (GRPC,)),
}
OUR_FOLDERS = ("kernel", "sandbox", "netgate", "config", "daemon", "cli", "sdk", "runtimes", "plugins", "tests",
               "bench", "fuzz")


def _room_of(path):
    names = [name for name in ROOMS if path.startswith(name + "/")]
    return max(names, key=len) if names else None


def _is_below(path, folders):
    return any(path.startswith(folder + "/") for folder in folders)


def check_dependency_law(sources):
    """Returns a finding for each include that the including file's room does not allow."""
    known = {source.path for source in sources}
    findings = []
    for source in sources:
        room_name = _room_of(source.path)
        if room_name is None or source.suffix not in (".h", ".cpp", ".c"):
            continue
        room = ROOMS[room_name]
        for number, line in enumerate(source.lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, target = match.group(1) == '"', match.group(2)
            if quoted:
                beside = posixpath.normpath(posixpath.join(posixpath.dirname(source.path), target))
                target = beside if beside in known else target
            if GENERATED.match(target):
                if not re.fullmatch(room.wire or "(?!)", target):
                    findings.append(Finding(source.path, number, f"{room_name}/ must not know {target}"))
            elif _is_below(target, OUR_FOLDERS) and (quoted or target in known):
                if not _is_below(target, room.ours):
                    findings.append(Finding(source.path, number, f"{room_name}/ must not know {target}"))
            elif any(re.fullmatch(pattern, target) for pattern in room.unseen):
                findings.append(Finding(source.path, number, f"{room_name}/ must not see {target}"))
    return findings


def check_proto_imports(sources):
    """The wire knows nothing of ours but itself; frames import nothing at all."""
    findings = []
    for source in sources:
        if source.suffix != ".proto":
            continue
        for number, line in enumerate(source.lines, 1):
            match = re.match(r'^import\s+(?:public\s+)?"([^"]+)"', line)
            if match and source.name == "frame.proto":
                findings.append(Finding(source.path, number, "frame.proto imports nothing: plugins link it as lite"))
            elif match and not match.group(1).startswith(("liongate/v1/", "google/protobuf/", "google/rpc/")):
                findings.append(Finding(source.path, number, f"the wire must not know {match.group(1)}"))
    return findings
