#!/usr/bin/python3
"""Checks the rules of the house over the whole work tree: dependency law, form of sources, form of the wire.

Usage: tests/tidy/tidy.py [--verbose]     --verbose also lists what is near a limit
Exit codes: 0 every rule holds; 1 one does not, each place is named as path:line.
"""

import sys
from pathlib import Path

import dependency_law
import findings
import proto_lint
import source_rules

ROOT = Path(__file__).resolve().parent.parent.parent


def read_ratchet(path):
    """Reads "LINES PATH::FUNCTION" a line; '#' begins a comment."""
    ratchet = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            lines, key = line.split(maxsplit=1)
            ratchet[key.strip()] = int(lines)
    return ratchet


def check_readme(sources):
    """One sentence a folder stands in the README."""
    readme = next((source for source in sources if source.path == "README.md"), None)
    if readme is None:
        return []
    text = "\n".join(readme.lines)
    folders = sorted({source.path.split("/")[0] for source in sources if "/" in source.path and source.path[0] != "."})
    return [findings.Finding("README.md", 1, f"no sentence on {folder}/")
            for folder in folders if f"{folder}/" not in text]


def all_findings(sources, ratchet):
    return [
        *dependency_law.check_dependency_law(sources),
        *dependency_law.check_proto_imports(sources),
        *source_rules.check_words(sources),
        *source_rules.check_simulated_threads(sources),
        *source_rules.check_file_names(sources),
        *source_rules.check_line_lengths(sources),
        *source_rules.check_file_lengths(sources),
        *source_rules.check_header_openings(sources),
        *source_rules.check_script_openings(sources),
        *source_rules.check_function_lengths(sources, ratchet),
        *source_rules.check_room_sizes(sources),
        *proto_lint.check_proto(sources),
        *check_readme(sources),
    ]


def main():
    sources = findings.read_sources(ROOT)
    found = all_findings(sources, read_ratchet(ROOT / "tests/tidy/long_functions.txt"))
    for finding in found:
        print(finding)
    if "--verbose" in sys.argv[1:]:
        for source in source_rules.long_files(sources):
            print(f"note: {source.path} has {len(source.lines)} lines (soft limit {source_rules.FILE_LINES_SOFT})")
        for room, lines in source_rules.room_sizes(sources).items():
            print(f"note: {room} has {lines} lines of {source_rules.ROOM_LINES_MAX[room]}")
    print(f"tidy: {len(sources)} files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
