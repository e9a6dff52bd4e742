"""The rules of Buf's STANDARD set that matter here, for our own .proto files; Buf itself is not packaged in Debian."""

import re

from findings import Finding

UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
TITLE_CASE = re.compile(r"[A-Z][A-Za-z0-9]*")
RPC = re.compile(r"^\s*rpc\s+(\w+)\s*\(\s*(?:stream\s+)?([\w.]+)\s*\)\s*returns\s*\(\s*(?:stream\s+)?([\w.]+)\s*\)")
FIELD = re.compile(r"^\s*(?:repeated\s+|optional\s+)?(?:map\s*<[^>]*>|[\w.]+)\s+(\w+)\s*=\s*(\d+)\s*[;\[]")
ENUM_VALUE = re.compile(r"^\s*(\w+)\s*=\s*(-?\d+)\s*[;\[]")


def _snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _check_file(source, report):
    text = "\n".join(source.lines)
    package = re.search(r"^package\s+([\w.]+);", text, re.MULTILINE)
    if not source.lines or not source.lines[0].startswith("//"):
        report(1, "a .proto file opens with a comment")
    if 'syntax = "proto3";' not in text:
        report(1, 'syntax = "proto3" is missing')
    if not package:
        report(1, "the package is missing")
        return
    if not re.search(r"\.v\d+(?:(?:alpha|beta)\d+)?$", package.group(1)):
        report(1, f"package {package.group(1)} has no version suffix")
    folder = source.path.split("proto/", 1)[-1].rsplit("/", 1)[0]
    if package.group(1).replace(".", "/") != folder:
        report(1, f"package {package.group(1)} does not match the folder {folder}")
    if not LOWER_SNAKE.fullmatch(source.name.rsplit(".", 1)[0]):
        report(1, "file names are lower_snake_case")


def _check_enum_value(name, line, number, first, report):
    value, tag = line.group(1), int(line.group(2))
    prefix = _snake(name).upper() + "_"
    if not UPPER_SNAKE.fullmatch(value) or not value.startswith(prefix):
        report(number, f"value {value} of {name} is not {prefix}...")
    if first and (tag != 0 or value != prefix + "UNSPECIFIED"):
        report(number, f"the first value of {name} is {prefix}UNSPECIFIED = 0")


def _check_rpc(match, number, used, report):
    name, request, response = match.groups()
    if not TITLE_CASE.fullmatch(name):
        report(number, f"rpc {name} is not TitleCase")
    if request != name + "Request":
        report(number, f"rpc {name} takes {name}Request, not {request}")
    if response != name + "Response":
        report(number, f"rpc {name} returns {name}Response, not {response}")
    for message in (request, response):
        if message in used:
            report(number, f"{message} serves two methods")
        used.add(message)


def check_proto(sources):
    """Returns the findings for proto/liongate; google/rpc is a wire format of others and stays as it is."""
    findings = []
    for source in sources:
        if source.suffix != ".proto" or "/liongate/" not in "/" + source.path or source.path.startswith("tests/"):
            continue

        def report(number, message, path=source.path):
            findings.append(Finding(path, number, message))

        _check_file(source, report)
        _check_declarations(source, report)
    return findings


def _check_declarations(source, report):
    services, used, scopes = [], set(), []
    for number, raw in enumerate(source.lines, 1):
        line = raw.split("//", 1)[0]
        opened = re.match(r"^\s*(message|enum|service|oneof)\s+(\w+)\s*\{", line)
        if opened:
            kind, name = opened.groups()
            if kind != "oneof" and not TITLE_CASE.fullmatch(name):
                report(number, f"{kind} {name} is not TitleCase")
            if kind == "oneof" and not LOWER_SNAKE.fullmatch(name):
                report(number, f"oneof {name} is not lower_snake_case")
            if kind == "service":
                services.append(name)
                if not name.endswith("Service"):
                    report(number, f"service {name} does not end in Service")
                if len(services) > 1:
                    report(number, "one service a file")
            if "}" not in line:
                scopes.append([kind, name, True, set()])
            continue
        kind = scopes[-1][0] if scopes else None
        if kind == "enum" and ENUM_VALUE.match(line):
            _check_enum_value(scopes[-1][1], ENUM_VALUE.match(line), number, scopes[-1][2], report)
            scopes[-1][2] = False
        elif kind in ("message", "oneof") and FIELD.match(line):
            name = FIELD.match(line).group(1)
            if not LOWER_SNAKE.fullmatch(name):
                report(number, f"field {name} is not lower_snake_case")
        elif kind == "service" and RPC.match(line):
            _check_rpc(RPC.match(line), number, used, report)
        if "}" in line and scopes and not RPC.match(line):
            scopes.pop()
