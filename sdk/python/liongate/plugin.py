"""Plugin: what the author declares, and run() that serves it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from liongate.call import Call
    from liongate.outcome import Health

    Handler = Callable[[Call], Any]
    ConfigCallback = Callable[[dict[str, Any]], None]
    AnyHandler = TypeVar("AnyHandler", bound=Handler)
    AnyCallback = TypeVar("AnyCallback", bound=Callable[..., Any])

INPUT_FD = 3
OUTPUT_FD = 4
EXIT_USAGE = 64


class Operation:
    def __init__(self, handler: Handler, quick: bool) -> None:
        self.handler = handler
        self.quick = quick


class Plugin:
    """The operations of one plugin.

    With a concurrency of 1 (the default) every handler runs on the main thread, one after another. With more, quick
    operations still do and the others run on a pool of that many threads.
    """

    _declared: list[Plugin] = []

    def __init__(self, name: str = "", version: str = "", concurrency: int = 1) -> None:
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency is {concurrency!r}; it is a whole number of at least 1")
        self.name = name
        self.version = version
        self.concurrency = concurrency
        self.operations: dict[str, Operation] = {}
        self.callbacks: dict[str, Callable[..., Any]] = {}
        self._ran = False
        Plugin._declared.append(self)

    def operation(self, name: str = "", *, quick: bool = False) -> Callable[[AnyHandler], AnyHandler]:
        """Declares the handler of an operation; "" is the one called when the caller names none.

        The handler takes a Call and returns str, bytes, dict, list, Result or Failure. A generator's values are parts
        of the output, sent as they come; what it returns at the end, if anything, is the result. A quick handler
        never waits: it runs on the main thread even when others run on the pool.
        """
        if not isinstance(name, str):
            raise TypeError("an operation needs a name: write @plugin.operation(\"name\"), with the parentheses")

        def declare(handler: AnyHandler) -> AnyHandler:
            if not callable(handler):
                raise TypeError(f"the handler of operation {name!r} is a {type(handler).__name__}, not a function")
            if name in self.operations:
                raise ValueError(f"operation {name!r} is declared twice")
            self.operations[name] = Operation(handler, quick)
            return handler

        return declare

    def on_start(self, callback: ConfigCallback) -> ConfigCallback:
        """Runs with the configuration before the plugin says that it is ready; an exception fails the load."""
        return self._declare("on_start", callback)

    def health(self, callback: Callable[[], Health | bool | str]) -> Callable[[], Health | bool | str]:
        """Answers the daemon's question: Health, True or False, or a str that says what is wrong ("" for nothing)."""
        return self._declare("health", callback)

    def on_config_changed(self, callback: ConfigCallback) -> ConfigCallback:
        return self._declare("on_config_changed", callback)

    def on_shutdown(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Runs after the last call was answered."""
        return self._declare("on_shutdown", callback)

    def run(self) -> None:
        """Serves until the daemon says Shutdown or closes the pipe; leaves the program when that was a failure."""
        code = self.serve()
        if code != 0:
            sys.exit(code)

    def serve(self) -> int:
        """As run(), but returns the exit code."""
        self._ran = True
        try:
            os.fstat(INPUT_FD)
            os.fstat(OUTPUT_FD)
        except OSError:
            print(
                f"{self.name or sys.argv[0]}: this is a Liongate plugin: start it with "
                "`liongatectl run-plugin --manifest manifest.toml --input TEXT`",
                file=sys.stderr,
            )
            return EXIT_USAGE
        from liongate.session import Session

        return Session(self, INPUT_FD, OUTPUT_FD).run()

    @staticmethod
    def run_declared() -> int:
        """Serves the one Plugin that a finished program declared but did not run; for bootstrap.py."""
        waiting = [plugin for plugin in Plugin._declared if not plugin._ran]
        if len(Plugin._declared) == 1 and waiting:
            return waiting[0].serve()
        if not Plugin._declared:
            print(f"{sys.argv[0]}: declares no liongate.Plugin", file=sys.stderr)
            return EXIT_USAGE
        if len(waiting) == len(Plugin._declared):
            print(f"{sys.argv[0]}: declares {len(waiting)} Plugins; call run() of one of them", file=sys.stderr)
            return EXIT_USAGE
        return 0

    def _declare(self, what: str, callback: AnyCallback) -> AnyCallback:
        if not callable(callback):
            raise TypeError(f"{what} is a {type(callback).__name__}, not a function: write @plugin.{what}")
        if what in self.callbacks:
            raise ValueError(f"{what} is declared twice")
        self.callbacks[what] = callback
        return callback
