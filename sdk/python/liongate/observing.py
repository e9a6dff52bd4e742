"""An observer's conversation with the daemon, from Hello to the end.

The main thread calls the observer, all of it from its constructor to on_shutdown: what it opens at the start (a
database, a loop of its own) is used where it was opened. One other thread reads frames and answers pings, so that a
handler that takes its time is a healthy observer that is behind, not one that is gone. What is waiting between the two
is bounded by the daemon: it sends no more than 1024 events that are not acknowledged.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque

from liongate import frame_pb2
from liongate.event import Event
from liongate.frames import FRAME_BYTES_MAX, FrameReader, FrameWriter, ProtocolError
from liongate.observer import Gap, PluginBase
from liongate.outcome import Health, wire_text
from liongate.session import EXIT_FAILURE, EXIT_PROTOCOL, PROTOCOL_VERSION, SDK, report_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Union

    Shown = Union[Event, Gap]

INPUT_FD = 3
OUTPUT_FD = 4
EXIT_USAGE = 64
BATCH_EVENTS_MAX = 256  # acknowledged together
ACK_INTERVAL_S = 0.1  # or as many as were handled in it
RETRY_DELAY_S_MAX = 5.0
CALLED = ("on_startup", "on_event", "on_events", "on_gap", "on_shutdown", "health")
COROUTINE_FLAGS = 0x80 | 0x20 | 0x200  # CO_COROUTINE, CO_GENERATOR, CO_ASYNC_GENERATOR of `inspect`, slow to import
TRACEBACKS_MAX = 10  # of failing handlers, in the log; then at every power of two


def refuse(reason: str, message: str) -> int:
    """Tells the daemon why the plugin cannot start, in place of Ready; returns the exit code."""
    print(message, file=sys.stderr)
    frame = frame_pb2.Frame()
    frame.refusal.reason = reason
    frame.refusal.message = wire_text(message)
    writer = FrameWriter(OUTPUT_FD)
    writer.add(frame)
    writer.flush()
    return EXIT_FAILURE


def check_class(found: object, where: str) -> str:
    """What is wrong with what a module holds under a class's name; "" for nothing."""
    if not isinstance(found, type):
        return f"{where} is a {type(found).__name__}, not a class"
    if not issubclass(found, PluginBase):
        return f"{where} does not inherit from PluginBase"
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        others = ", ".join(sorted(name for name in vars(found) if name.startswith("on_") and name not in CALLED))
        return (f"{where} has no {', '.join(missing)}: an observer must have it" +
                (f"; it has {others}" if others else ""))
    for name in CALLED:
        code = getattr(getattr(found, name), "__code__", None)
        if code is not None and code.co_flags & COROUTINE_FLAGS:
            return (f"{name} of {where} is `async def` or holds `yield`, and would never run: observers are called, "
                    "not awaited; write a plain `def`, with asyncio.run() in it where needed")
    return ""


def serve(observer_class: type[PluginBase], reader: FrameReader | None = None,
          writer: FrameWriter | None = None) -> int:
    """Runs one observer to its end; returns the program's exit code."""
    if reader is None:
        try:
            os.fstat(INPUT_FD)
            os.fstat(OUTPUT_FD)
        except OSError:
            print(f"{observer_class.__name__}: this is a Liongate observer: name it in plugins.yaml, or try it on a "
                  "saved log with `python3 -m liongate.testing`", file=sys.stderr)
            return EXIT_USAGE
    fault = check_class(observer_class, f"class {getattr(observer_class, '__name__', observer_class)}")
    if fault:
        return refuse("NOT_A_PLUGIN", fault)
    session = ObserverSession(observer_class, reader or FrameReader(INPUT_FD), writer or FrameWriter(OUTPUT_FD))
    try:
        return session.run()
    except ProtocolError as error:
        print(f"{observer_class.__name__}: protocol error: {error}", file=sys.stderr)
        return EXIT_PROTOCOL


class _Unit:
    """One call of the observer: the method's name, what it is given, the last number in that, and how many events."""

    __slots__ = ("argument", "events", "name", "seq")

    def __init__(self, name: str, argument: Any, seq: int, events: int) -> None:
        self.name = name
        self.argument = argument
        self.seq = seq  # taken before the observer has it: what it does to its copy is its own matter
        self.events = events


class ObserverSession:
    def __init__(self, observer_class: type[PluginBase], reader: FrameReader, writer: FrameWriter) -> None:
        self._class = observer_class
        self._reader = reader
        self._writer = writer
        self._observer: PluginBase | None = None
        self._retries = 0
        self._stops_on_error = False
        self._startup_error = ""
        self._handled = 0
        self._failed = 0
        self._last_failure = ""
        self._guard = threading.Condition()
        self._waiting: deque[Shown] = deque()
        self._finishing = False
        self._reading_failure: BaseException | None = None
        self._exit_code = 0
        self._handled_seq = 0  # of the last event or gap that was handled, well or not
        self._acknowledged_seq = 0
        self._next_ack_s = 0.0
        self._together = observer_class.on_events is not PluginBase.on_events

    def run(self) -> int:
        frames = self._read()
        while not frames and not self._reader.ended:
            frames = self._read()
        if not frames:
            raise ProtocolError("the input ended before Hello")
        if frames[0].WhichOneof("kind") != "hello":
            raise ProtocolError("the first frame is not Hello")
        if not self._greet(frames.popleft().hello):
            return EXIT_FAILURE
        # Not waited for: where the observer ends by itself, it is in the middle of a read that may never return.
        threading.Thread(target=self._read_on, args=(frames,), name="frames", daemon=True).start()
        self._work()
        self._writer.flush()
        if self._reading_failure is not None:
            raise self._reading_failure
        return self._exit_code

    def _read(self) -> deque[frame_pb2.Frame]:
        return deque(self._reader.read())

    def _greet(self, hello: frame_pb2.Hello) -> bool:
        import json

        if not hello.protocol_version_min <= PROTOCOL_VERSION <= hello.protocol_version_max:
            raise ProtocolError(f"the daemon speaks versions {hello.protocol_version_min} to "
                                f"{hello.protocol_version_max}, this observer {PROTOCOL_VERSION}")
        if hello.limits.frame_bytes_max:
            self._reader.frame_bytes_max = min(hello.limits.frame_bytes_max, FRAME_BYTES_MAX)
        self._retries = hello.observer.retries
        self._stops_on_error = hello.observer.stop_on_error
        try:
            self._observer = self._class(plugin_id=hello.plugin_name, config=json.loads(hello.config_json or "{}"))
        except BaseException as error:
            report_exception()
            refuse("LOAD_FAILURE", f"{self._class.__name__}: the constructor raised {type(error).__name__}: {error}")
            return False
        # A subclass may have a constructor that does not call ours.
        if not hasattr(self._observer, "plugin_id"):
            self._observer.plugin_id = hello.plugin_name
        if not hasattr(self._observer, "config"):
            self._observer.config = json.loads(hello.config_json or "{}")
        self._observer.node_id = hello.observer.node_id
        try:
            self._observer.on_startup()
        except BaseException as error:
            report_exception()
            self._startup_error = f"on_startup: {type(error).__name__}: {error}"
            self._log(frame_pb2.LOG_LEVEL_ERROR, f"{hello.plugin_name}: {self._startup_error}")
        frame = frame_pb2.Frame()
        frame.ready.protocol_version = PROTOCOL_VERSION
        frame.ready.name = hello.plugin_name
        frame.ready.version = hello.plugin_version
        frame.ready.concurrency = 1
        frame.ready.sdk = SDK
        frame.ready.features.append("on_event")
        frame.ready.startup_error = wire_text(self._startup_error[:1024])
        self._send(frame)
        return True

    # --- the thread of the frames ---

    def _read_on(self, frames: deque[frame_pb2.Frame]) -> None:
        assert self._observer is not None
        try:
            while self._take(frames) and not self._reader.ended:
                frames = self._read()
        except BaseException as error:  # raised again by the main thread, when the observer has ended
            self._reading_failure = error
        self._observer._stopping.set()
        with self._guard:
            self._finishing = True
            self._guard.notify()

    def _take(self, frames: deque[frame_pb2.Frame]) -> bool:
        """False when the daemon said goodbye."""
        shown: list[Shown] = []
        goes_on = True
        for frame in frames:
            kind = frame.WhichOneof("kind")
            if kind == "event":
                shown.append(Event.from_bytes(frame.event.event))
            elif kind == "gap":
                shown.append(Gap(frame.gap.first_missing_seq, frame.gap.last_missing_seq, frame.gap.count))
            elif kind == "ping":
                self._answer_ping(frame.ping.nonce)
            elif kind == "shutdown":
                goes_on = False
                break
            elif kind not in ("pause", "resume", "config_changed"):
                raise ProtocolError(f"a frame of kind {kind or 'none'}, which an observer does not take")
        if shown:
            with self._guard:
                self._waiting.extend(shown)
                self._guard.notify()
        return goes_on

    # --- the main thread again ---

    def _work(self) -> None:
        while True:
            with self._guard:
                while not self._waiting and not self._finishing:
                    self._guard.wait()
                if self._finishing:
                    break  # what is waiting was not acknowledged: it comes again
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_EVENTS_MAX))]
            if not self._handle(batch):
                break
        assert self._observer is not None
        try:
            self._observer.on_shutdown()
        except BaseException as error:
            report_exception()
            self._log(frame_pb2.LOG_LEVEL_ERROR,
                      f"{self._observer.plugin_id}: on_shutdown: {type(error).__name__}: {error}")
            self._exit_code = EXIT_FAILURE

    def _handle(self, batch: list[Shown]) -> bool:
        """False when the observer is to end."""
        goes_on = True
        for unit in self._units(batch):
            goes_on = not self._finishing and self._handle_unit(unit)
            if not goes_on:
                break
            self._handled_seq = unit.seq
            # A slow handler is told by each event that it has done, a fast one by many.
            if time.monotonic() >= self._next_ack_s:
                self._acknowledge()
        self._acknowledge()
        return goes_on

    def _units(self, batch: list[Shown]) -> Iterator[_Unit]:
        """What is handled, and fails, as one."""
        group: list[Event] = []
        for one in batch:
            if isinstance(one, Event) and self._together:
                group.append(one)
                continue
            if group:
                yield _Unit("on_events", tuple(group), group[-1].seq, len(group))
                group = []
            if isinstance(one, Event):
                yield _Unit("on_event", one, one.seq, 1)
            else:
                yield _Unit("on_gap", one, one.last_missing_seq, 0)
        if group:
            yield _Unit("on_events", tuple(group), group[-1].seq, len(group))

    def _handle_unit(self, unit: _Unit) -> bool:
        assert self._observer is not None
        for attempt in range(self._retries + 1):
            if attempt > 0 and self._observer.wait(min(0.01 * 2**attempt, RETRY_DELAY_S_MAX)):
                return False
            if self._call(unit.name, unit.argument):
                self._handled += unit.events
                return True
            if self._observer.stopping:
                return False  # it gave up because it is asked to: not acknowledged, these come again
        self._failed += max(unit.events, 1)
        if not self._stops_on_error:
            return True
        self._exit_code = EXIT_FAILURE
        return False

    def _call(self, name: str, argument: Any) -> bool:
        try:
            getattr(self._observer, name)(argument)
            return True
        except BaseException as error:
            assert self._observer is not None
            self._last_failure = f"{name}: {type(error).__name__}: {error}"
            failures = self._failed + 1
            if failures <= TRACEBACKS_MAX or failures & (failures - 1) == 0:
                report_exception()
                self._log(frame_pb2.LOG_LEVEL_ERROR,
                          f"{self._observer.plugin_id}: {self._last_failure} ({argument!r:.200})")
            return False

    def _acknowledge(self) -> None:
        """Everything that was handled so far."""
        self._next_ack_s = time.monotonic() + ACK_INTERVAL_S
        if self._handled_seq <= self._acknowledged_seq:
            return
        self._acknowledged_seq = self._handled_seq
        frame = frame_pb2.Frame()
        frame.ack.seq = self._handled_seq
        self._send(frame)

    # --- either thread ---

    def _answer_ping(self, nonce: int) -> None:
        assert self._observer is not None
        try:
            said: object = self._observer.health()
        except BaseException as error:
            report_exception()
            said = Health(False, f"{type(error).__name__}: {error}")
        if said is None:
            said = self._own_health()
        elif isinstance(said, str):
            said = Health(not said, said)
        elif not isinstance(said, Health):
            said = Health(bool(said))
        if self._startup_error:
            said = Health(False, self._startup_error + ("; " + said.detail if said.detail else ""))
        frame = frame_pb2.Frame()
        frame.pong.nonce = nonce
        frame.pong.healthy = said.healthy
        frame.pong.detail = wire_text(said.detail)
        self._send(frame)

    def _own_health(self) -> Health:
        handled, failed = self._handled, self._failed
        if failed == 0:
            return Health(True, f"{handled} events handled")
        return Health(False, f"{failed} of {handled + failed} events failed; last: {self._last_failure}")

    def _log(self, level: int, line: str) -> None:
        frame = frame_pb2.Frame()
        frame.log.level = level  # type: ignore[assignment]
        frame.log.message = wire_text(line[:8192])
        self._send(frame)

    def _send(self, frame: frame_pb2.Frame) -> None:
        self._writer.add(frame)
        self._writer.flush()
