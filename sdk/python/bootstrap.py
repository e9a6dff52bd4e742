"""Starts a Python plugin: `python3 -I -B bootstrap.py ENTRY.py [ARGUMENT...]`, as the daemon does.

Puts the liongate package and then the plugin's own folder in front of the interpreter's paths, and runs the plugin's
file as __main__. A file that declares a Plugin and ends without calling run() is served all the same.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

EXIT_FAILURE = 1


def main(arguments: list[str]) -> int:
    if not arguments:
        print("bootstrap.py: names no plugin file", file=sys.stderr)
        return EXIT_FAILURE
    path = os.path.abspath(arguments[0])
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    # Imported before the plugin's folder is on the path: a file named like a module of the library, which is easily
    # done, cannot take its place here.
    import liongate

    sys.path.insert(1, os.path.dirname(path))
    sys.argv = [path, *arguments[1:]]
    # Printed lines belong to the plugin's log: they appear one by one, not when a buffer is full.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"{path}: cannot read the plugin: {error.strerror}", file=sys.stderr)
        return EXIT_FAILURE
    module = type(sys)("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    exec(compile(source, path, "exec"), module.__dict__)
    return liongate.Plugin.run_declared()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
