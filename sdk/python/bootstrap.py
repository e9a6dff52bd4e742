"""Starts a Python plugin: `python3 -I -B bootstrap.py [--observer PACKAGE MODULE CLASS] ENTRY.py [ARGUMENT...]`, as the
daemon does.

Puts the liongate package and then the plugin's own folder in front of the interpreter's paths, and runs the plugin's
file as __main__. A file that declares a Plugin and ends without calling run() is served all the same, and so is the
one class derived from PluginBase that a file defines.

With --observer the class is imported instead, as the entry of plugins.yaml names it. PACKAGE is the package that the
plugin's folder is; "" where the folder only holds the module.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

EXIT_FAILURE = 1


def import_observer(package: str, module: str, path: str) -> object:
    """The module, whose file is `path`; its package is made of the folder, whatever that is called here."""
    import importlib
    import importlib.util

    if not package:
        sys.path.insert(1, os.path.dirname(path))
        return importlib.import_module(module)
    root = os.path.dirname(path) if os.path.basename(path) == "__init__.py" else os.path.splitext(path)[0]
    for _ in module.split(".")[1:]:
        root = os.path.dirname(root)
    init = os.path.join(root, "__init__.py")
    if os.path.exists(init):
        spec = importlib.util.spec_from_file_location(package, init, submodule_search_locations=[root])
        assert spec is not None and spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[package] = made
        spec.loader.exec_module(made)
    else:
        made = type(sys)(package)
        made.__path__ = [root]
        sys.modules[package] = made
    return importlib.import_module(module)


def run_observer(package: str, module: str, symbol: str, path: str) -> int:
    from liongate.observer import PluginBase
    from liongate.observing import check_class, refuse, serve

    name = f"{module}.{symbol}"
    try:
        found = import_observer(package, module, path)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            return refuse("MODULE_NOT_FOUND", f"module {module} is not there: {error}")
        return refuse("LOAD_FAILURE", f"module {module} cannot be imported: {error}")
    except (Exception, SystemExit) as error:
        import traceback

        traceback.print_exc(file=sys.stderr)
        return refuse("LOAD_FAILURE", f"module {module} cannot be imported: {type(error).__name__}: {error}")
    if not hasattr(found, symbol):
        there = [key for key, value in vars(found).items()
                 if isinstance(value, type) and issubclass(value, PluginBase) and value is not PluginBase]
        return refuse("SYMBOL_NOT_FOUND", f"module {module} has no {symbol}; the observers in it: "
                      + (", ".join(sorted(there)) or "none"))
    fault = check_class(getattr(found, symbol), name)
    if fault:
        return refuse("NOT_A_PLUGIN", fault)
    return serve(getattr(found, symbol))


def main(arguments: list[str]) -> int:
    observer = arguments[1:4] if len(arguments) > 4 and arguments[0] == "--observer" else []
    arguments = arguments[4:] if observer else arguments
    if not arguments:
        print("bootstrap.py: names no plugin file", file=sys.stderr)
        return EXIT_FAILURE
    path = os.path.abspath(arguments[0])
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    # Imported before the plugin's folder is on the path: a file named like a module of the library, which is easily
    # done, cannot take its place here.
    import liongate

    sys.argv = [path, *arguments[1:]]
    # Printed lines belong to the plugin's log: they appear one by one, not when a buffer is full.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    if observer:
        return run_observer(observer[0], observer[1], observer[2], path)
    sys.path.insert(1, os.path.dirname(path))
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
    observers = sys.modules.get("liongate.observer")  # absent: the file does not know of them
    if observers is not None:
        base = observers.PluginBase
        classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, base)
                   and value is not base and value.__module__ == "__main__"]
        if len(classes) == 1 and not base._ran:
            from liongate.observing import serve

            return serve(classes[0])
        if classes and base._ran:
            return 0
    return liongate.Plugin.run_declared()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
