"""Rules on the form of sources: words, names, lengths of lines, files and functions, and the opening of headers."""

import ast
import re

from findings import Finding

CODE = (".h", ".cpp", ".c", ".py", ".proto", ".js", ".mjs", ".ts", ".sh")
LINE_LENGTH_MAX = 120
FILE_LINES_SOFT = 400
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

# Spelled apart, so that this file does not break its own rule.
BANNED_WORDS = re.compile(r"\b(?:FIX" r"ME|XX" r"X|TO" r"DO)\b")
REAL_THREADS = re.compile(
    r"std::(?:mutex|shared_mutex|condition_variable|thread|jthread|this_thread|async|random_device)\b|steady_clock\b|"
    r"\bgetrandom\(|\bnew_uuid\(")
VAGUE_NAME = re.compile(r"(?:^|_)(?:utils?|misc|helpers?|common|stuff|manager2?|new|old|tmp)$")

# Order of size to stay under, tests aside (law 0 of docs/DESIGN.md): a microkernel stays small.
# The event log is a room of its own within the kernel (docs/decisions/0004), and so are what it is condensed to (0007)
# what signs it (0008), what a plugin may (0019), and what feeds observers (0022); learn mode is one within the command
# line (0023). Secrets: 0021.
ROOM_LINES_MAX = {"kernel": 7300, "kernel/event_log": 5500, "kernel/observation": 700, "kernel/policy": 800,
                  "kernel/signing": 1000, "kernel/snapshot": 800, "sandbox": 6500, "netgate": 2000, "daemon": 6300,
                  "cli": 3300, "cli/learn": 700}


def is_code(source):
    return source.suffix in CODE or source.path.startswith("scripts/")


def is_test(source):
    return source.path.startswith(("tests/", "bench/", "fuzz/"))


def check_words(sources):
    """Work left undone is an issue, not a word in a file."""
    findings = []
    for source in sources:
        if not (is_code(source) or source.name in ("CMakeLists.txt", "Makefile") or source.suffix in (".cmake", ".md")):
            continue
        for number, line in enumerate(source.lines, 1):
            match = BANNED_WORDS.search(line)
            if match:
                findings.append(Finding(source.path, number, f"the word {match.group(0)}: do it, or open an issue"))
    return findings


def check_simulated_threads(sources):
    """The simulator exchanges kernel/event_log/runtime.h: a thread that does not come from there escapes its seed."""
    findings = []
    for source in sources:
        if not source.path.startswith("kernel/event_log/") or source.name == "runtime.h":
            continue
        for number, line in enumerate(source.lines, 1):
            match = REAL_THREADS.search(line)
            if match:
                findings.append(Finding(source.path, number, f"{match.group(0)}: take it from runtime.h"))
    return findings


def check_file_names(sources):
    """A file is named by what is in it; snake_case throughout."""
    findings = []
    for source in sources:
        if not is_code(source) or source.path.startswith("scripts/"):
            continue
        stem = source.name.rsplit(".", 1)[0]
        if VAGUE_NAME.search(stem):
            findings.append(Finding(source.path, 1, f"the name {stem} does not say what is in the file"))
        if source.suffix in (".h", ".cpp", ".proto") and not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
            findings.append(Finding(source.path, 1, "file names are snake_case"))
    return findings


def check_line_lengths(sources):
    findings = []
    for source in sources:
        if not (is_code(source) or source.name in ("CMakeLists.txt", "Makefile") or source.suffix == ".cmake"):
            continue
        for number, line in enumerate(source.lines, 1):
            if len(line) > LINE_LENGTH_MAX:
                findings.append(Finding(source.path, number, f"{len(line)} characters, at most {LINE_LENGTH_MAX}"))
    return findings


def check_file_lengths(sources):
    return [Finding(source.path, len(source.lines), f"{len(source.lines)} lines, at most {FILE_LINES_MAX}")
            for source in sources if is_code(source) and len(source.lines) > FILE_LINES_MAX]


def long_files(sources):
    """Files over the soft limit, longest first: no fault, but worth a look."""
    found = [source for source in sources if is_code(source) and len(source.lines) > FILE_LINES_SOFT]
    return sorted(found, key=lambda source: -len(source.lines))


def check_header_openings(sources):
    """A header opens with one sentence on what it is, and is included once."""
    findings = []
    for source in sources:
        if source.suffix != ".h":
            continue
        if not source.lines or not source.lines[0].startswith("// "):
            findings.append(Finding(source.path, 1, "a header opens with a comment: what it is, ownership, thread"))
        if not any(line.strip() == "#pragma once" for line in source.lines):
            findings.append(Finding(source.path, 1, "#pragma once is missing"))
    return findings


def check_script_openings(sources):
    """A script says what it does, how it is used and how it ends."""
    findings = []
    for source in sources:
        if not source.path.startswith("scripts/") or not source.lines or not source.lines[0].startswith("#!"):
            continue
        opening = "\n".join(source.lines[:25])
        for word in ("Usage:", "Exit codes:"):
            if word not in opening:
                findings.append(Finding(source.path, 1, f"the opening comment has no '{word}'"))
    return findings


def room_sizes(sources):
    """Lines of C++ in each bounded room, blank lines and lines of comment not counted: explaining is never too much."""
    def code_lines(source):
        return sum(1 for line in source.lines if line.strip() and not line.strip().startswith("//"))

    def room_of(source):
        rooms = [room for room in ROOM_LINES_MAX if source.path.startswith(room + "/")]
        return max(rooms, key=len, default=None)

    sizes = dict.fromkeys(ROOM_LINES_MAX, 0)
    for source in sources:
        if source.suffix in (".h", ".cpp") and room_of(source):
            sizes[room_of(source)] += code_lines(source)
    return sizes


def check_room_sizes(sources):
    return [Finding(room, 1, f"{lines} lines of code, to stay under {ROOM_LINES_MAX[room]}: what could live outside?")
            for room, lines in room_sizes(sources).items() if lines >= ROOM_LINES_MAX[room]]


def _without_comments_and_strings(text):
    """Blanks comments, strings and characters, keeping every line where it is."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
    # Digit separators (1'000) are no characters.
    text = re.sub(r"(?<=\d)'(?=\d)", "", text)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


CONTROL = re.compile(r"\b(?:if|for|while|switch|catch|do|else|try)\b")
TYPE_OR_SPACE = re.compile(r"\b(?:namespace|class|struct|enum|union|extern)\b")
NAME = re.compile(r"([~\w:]+(?:<[^<>]*>)?)\s*\($")


def cpp_functions(source):
    """Yields (name, first line, last line) of each outermost function body; a heuristic that knows formatted code."""
    text = _without_comments_and_strings("\n".join(source.lines))
    head, line, stack, function = "", 1, [], None
    for character in text:
        if character == "\n":
            line += 1
            # A preprocessor line is no part of a head.
            if head.lstrip().startswith("#") and not head.endswith("\\"):
                head = ""
                continue
            head += " "
        elif character == "{":
            stripped = head.strip()
            opens_function = (function is None and re.search(r"\(.*\)", stripped) and not CONTROL.match(stripped)
                              and not TYPE_OR_SPACE.match(stripped) and "=" not in stripped.split("(")[0])
            if opens_function:
                before = stripped[:stripped.index("(") + 1]
                match = NAME.search(before)
                function = (match.group(1) if match else before.rstrip("("), line, len(stack))
            stack.append(opens_function)
            head = ""
        elif character == "}":
            if stack:
                stack.pop()
            if function is not None and len(stack) == function[2]:
                yield function[0], function[1], line
                function = None
            head = ""
        elif character == ";":
            head = ""
        else:
            head += character


def python_functions(source):
    tree = ast.parse("\n".join(source.lines))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno


def check_function_lengths(sources, ratchet):
    """`ratchet` is {"path::function": lines}: functions that were too long already; they may only shrink."""
    findings = []
    seen = set()
    for source in sources:
        if is_test(source):
            continue
        if source.suffix in (".h", ".cpp"):
            functions = cpp_functions(source)
        elif source.suffix == ".py" or (source.lines and re.match(r"#!.*python", source.lines[0])):
            functions = python_functions(source)
        else:
            continue
        for name, first, last in functions:
            lines, key = last - first + 1, f"{source.path}::{name}"
            lines_max = ratchet.get(key, FUNCTION_LINES_MAX)
            if lines > FUNCTION_LINES_MAX:
                seen.add(key)
            if lines > lines_max:
                findings.append(Finding(source.path, first, f"{name} has {lines} lines, at most {lines_max}"))
    findings += [Finding("tests/tidy/long_functions.txt", 1, f"{key} is short enough now: take it off the list")
                 for key in sorted(set(ratchet) - seen)]
    return findings
