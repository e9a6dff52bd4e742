"""Try an observer on a saved log, without a daemon.

    python3 -m liongate.testing FILE.py:CLASS EVENTS [--config JSON] [--retries N]

EVENTS is what `liongatectl replay-log -o json` printed ("-" for stdin), or the folder of an event log, or a state
folder that has one. In a test of one's own:

    from liongate.testing import observe, saved_events

    def test_it_counts() -> None:
        outcome = observe(Tally, saved_events("saved.jsonl"))
        assert outcome.observer.count == 12 and not outcome.failures

The observer is called as the daemon's would be: constructor, on_startup, on_event for each event in order, on_shutdown;
what on_startup and on_event raise is kept, and the next event follows.

Exit codes: 0 every event was handled; 1 something was raised, each is printed; 2 usage, or a log that cannot be read.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import traceback

from liongate.event import Event
from liongate.observer import Gap, PluginBase
from liongate.v1 import event_pb2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Union

HEADER_BYTES = 4096
TRACEBACKS_MAX = 3
RECORD_HEADER_BYTES = 24
KIND_EVENT, KIND_COMMIT, KIND_SEAL = 1, 2, 3
MAGIC = b"LIONL\r\n\x1a"


class Failed:
    """What a handler raised: for which event, None for on_startup and on_shutdown."""

    def __init__(self, handler: str, event: Event | Gap | None, error: BaseException) -> None:
        self.handler = handler
        self.event = event
        self.error = error

    def __repr__(self) -> str:
        where = f" at {self.event!r}" if self.event is not None else ""
        return f"{self.handler}{where}: {type(self.error).__name__}: {self.error}"


class NotMade(ValueError):
    """The constructor raised; its own exception is the cause."""


class Outcome:
    def __init__(self, observer: PluginBase) -> None:
        self.observer: Any = observer
        self.handled = 0
        self.failures: list[Failed] = []


def observe(observer_class: type[PluginBase], events: Iterable[Union[Event, Gap]],
            config: Mapping[str, Any] | None = None, plugin_id: str = "tested", retries: int = 0) -> Outcome:
    """Shows `events` to a new observer. NotMade says what its constructor raised: it would not have been started."""
    try:
        observer = observer_class(plugin_id=plugin_id, config=dict(config or {}))
    except Exception as error:
        raise NotMade(f"the constructor raised {type(error).__name__}: {error}") from error
    outcome = Outcome(observer)
    together = observer_class.on_events is not PluginBase.on_events
    _call(outcome, "on_startup", None)
    batch: list[Event] = []

    def hand_over() -> None:
        if not batch:
            return
        for attempt in range(retries + 1):
            name, argument = ("on_events", tuple(batch)) if together else ("on_event", batch[0])
            try:
                getattr(observer, name)(argument)
                outcome.handled += len(batch)
                break
            except Exception as error:
                if attempt == retries:
                    outcome.failures.append(Failed(name, batch[0], error))
        batch.clear()

    for one in events:
        if isinstance(one, Gap):
            hand_over()
            _call(outcome, "on_gap", one)
            continue
        batch.append(one)
        if not together or len(batch) == 256:
            hand_over()
    hand_over()
    _call(outcome, "on_shutdown", None)
    return outcome


def _call(outcome: Outcome, name: str, argument: Gap | None) -> None:
    try:
        getattr(outcome.observer, name)(*([] if argument is None else [argument]))
    except Exception as error:
        outcome.failures.append(Failed(name, argument, error))


def saved_events(source: str) -> Iterator[Union[Event, Gap]]:
    """The events of a saved log, in its order. ValueError says what cannot be read, and where."""
    if source == "-":
        yield from _from_lines(sys.stdin, "stdin")
    elif os.path.isdir(source):
        yield from _from_folder(source)
    else:
        with open(source, encoding="utf-8") as lines:
            yield from _from_lines(lines, source)


def _from_lines(lines: Iterable[str], name: str) -> Iterator[Union[Event, Gap]]:
    from google.protobuf import json_format

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            spelled = json.loads(line)
            if "gap" in spelled:
                gap = spelled["gap"]
                yield Gap(int(gap["first_missing_seq"]), int(gap["last_missing_seq"]), int(gap["count"]))
            else:
                message = event_pb2.Event()
                json_format.ParseDict(spelled, message, ignore_unknown_fields=True)
                yield Event(message)
        except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
            raise ValueError(f"{name}:{number}: not an event as `liongatectl replay-log -o json` prints it: {error}"
                             ) from None


def _from_folder(folder: str) -> Iterator[Event]:
    """Segments as docs/event-log-format.md has them. What follows the last commit was never acknowledged and is left
    out; whether the log is whole, `liongated --verify-log` tells."""
    inner = os.path.join(folder, "log")
    folder = inner if os.path.isdir(inner) else folder
    segments = sorted(name for name in os.listdir(folder) if name.endswith(".lgl"))
    if not segments:
        raise ValueError(f"{folder}: holds no segment of an event log (*.lgl)")
    for name in segments:
        with open(os.path.join(folder, name), "rb") as file:
            yield from _from_segment(file.read(), os.path.join(folder, name))


def _from_segment(data: bytes, name: str) -> Iterator[Event]:
    if data[:8] != MAGIC or struct.unpack_from("<I", data, 8)[0] != 1:
        raise ValueError(f"{name}: not a segment of format 1")
    at = HEADER_BYTES
    batch: list[Event] = []
    while at + RECORD_HEADER_BYTES <= len(data):
        word = struct.unpack_from("<I", data, at + 4)[0]
        size, kind = word & 0xFFFFFF, word >> 24
        body = at + RECORD_HEADER_BYTES
        if kind == 0 or body + size > len(data):
            return
        if kind == KIND_EVENT:
            batch.append(Event.from_bytes(data[body : body + size]))
        elif kind in (KIND_COMMIT, KIND_SEAL):
            yield from batch
            batch.clear()
        at = body + (size + 7) // 8 * 8


def main(arguments: list[str]) -> int:
    import argparse

    from liongate.observing import check_class

    parser = argparse.ArgumentParser(prog="python3 -m liongate.testing", description="Try an observer on a saved log.")
    parser.add_argument("observer", metavar="FILE.py:CLASS")
    parser.add_argument("events", metavar="EVENTS", help="what replay-log -o json printed, or the folder of a log")
    parser.add_argument("--config", metavar="JSON", default="{}", help="its configuration")
    parser.add_argument("--retries", type=int, default=0, help="of an event that it fails at")
    words = parser.parse_args(arguments)
    path, _, symbol = words.observer.rpartition(":")
    try:
        if not path or not symbol:
            raise ValueError(f"`{words.observer}` is not FILE.py:CLASS, like my_app/tally.py:Tally")
        try:
            config = json.loads(words.config)
        except ValueError as error:
            raise ValueError(f"--config: not JSON: {error}") from None
        if not isinstance(config, dict):
            raise ValueError("--config: must be a JSON object, like '{\"file\": \"/tmp/out\"}'")
        namespace: dict[str, Any] = {"__name__": "observer_under_test", "__file__": path}
        sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec"), namespace)
        if symbol not in namespace:
            raise ValueError(f"{path} has no {symbol}")
        fault = check_class(namespace[symbol], words.observer)
        if fault:
            raise ValueError(fault)
        outcome = observe(namespace[symbol], saved_events(words.events), config, symbol, words.retries)
    except NotMade as refusal:
        print(f"{symbol}: {refusal}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"python3 -m liongate.testing: {error}", file=sys.stderr)
        return 2
    for number, failure in enumerate(outcome.failures):
        if number < TRACEBACKS_MAX:
            traceback.print_exception(failure.error)
        print(failure, file=sys.stderr)
    print(f"{outcome.handled} events handled, {len(outcome.failures)} failures")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
