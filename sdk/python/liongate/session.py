"""The conversation with the daemon from Hello to the end; belongs to the main thread.

Order, answers and what is forbidden are those of frame.proto. The pool's threads use only run_call() and send().
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from types import GeneratorType

from liongate import frame_pb2
from liongate.call import Call
from liongate.frames import FRAME_BYTES_MAX, FrameReader, FrameWriter, ProtocolError
from liongate.outcome import Failure, Health, fill_failure, fill_result, wire_text
from liongate.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from liongate.plugin import Operation, Plugin

PROTOCOL_VERSION = 1
SDK = "liongate-python/0.1.0"
EXIT_FAILURE = 1
EXIT_PROTOCOL = 76
LOOK_INTERVAL_S = 0.001
DEFERRED_FRAMES_MAX = 1024  # beyond it the pipe itself holds the daemon back


class StartFailed(Exception):
    """on_start raised: there will be no Ready."""


def report_exception() -> None:
    """The traceback of the exception at hand, to the plugin's log."""
    import traceback

    traceback.print_exc(file=sys.stderr)


class Session:
    def __init__(self, plugin: Plugin, input_fd: int, output_fd: int) -> None:
        self._plugin = plugin
        self._reader = FrameReader(input_fd)
        self._writer = FrameWriter(output_fd)
        self._main_thread = threading.get_ident()
        self._live: dict[int, Call] = {}
        self._waiting: deque[frame_pb2.Frame] = deque()  # frames that have come and are not handled yet
        self._cancelled_early: set[int] = set()  # calls among the waiting frames that nobody waits for any more
        self._looked_at = 0.0
        self._pool: Pool | None = None
        self._config_json = "{}"
        self._config: tuple[str, dict[str, Any]] = ("{}", {})
        self._serving = False
        self._host_replied = threading.Condition()
        self._host_replies: dict[int, frame_pb2.HostReply | None] = {}  # of calls under way; None until it has come
        self._host_call_id = 0
        self._host_calls_ended = False
        self._output_bytes_max = 0
        self.plugin_name = plugin.name

    def run(self) -> int:
        code = 0
        try:
            self._serve()
        except ProtocolError as error:
            print(f"{self.plugin_name or sys.argv[0]}: protocol error: {error}", file=sys.stderr)
            code = EXIT_PROTOCOL
            for call in list(self._live.values()):
                call._cancelled = True
        except StartFailed:
            code = EXIT_FAILURE
        with self._host_replied:  # nothing is read any more: whoever waits for a reply waits in vain
            self._host_calls_ended = True
            self._host_replied.notify_all()
        if self._pool is not None:
            self._pool.finish()
        self._writer.flush()
        if code == 0 and not self._run_callback("on_shutdown"):
            code = EXIT_FAILURE
        return code

    def send(self, frame: frame_pb2.Frame) -> None:
        """Sends a frame at once, with whatever else was waiting. Any thread."""
        self._writer.add(frame)
        self._writer.flush()

    def look_at_input(self) -> None:
        """In a handler on the main thread: sees cancels and pings without waiting; the rest is handled afterwards."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_INTERVAL_S or threading.get_ident() != self._main_thread:
            return
        self._looked_at = now
        if not self._reader.ended and len(self._waiting) < DEFERRED_FRAMES_MAX and self._reader.readable():
            self._waiting.extend(self._reader.read())
        self._look_through_waiting()
        self._writer.flush()

    def host_call(self, call_id: int, method: str, request: bytes) -> bytes:
        """Asks the daemon and waits for the reply; a refusal is raised as a Failure.

        The main thread reads on meanwhile, as look_at_input() does; any other one waits for it to do so.
        """
        frame = frame_pb2.Frame()
        with self._host_replied:
            self._host_call_id += 1
            number = self._host_call_id
            self._host_replies[number] = None
        frame.host_call.host_call_id = number
        frame.host_call.call_id = call_id
        frame.host_call.method = method
        frame.host_call.request = request
        self.send(frame)
        if threading.get_ident() == self._main_thread:
            self._read_until_replied(number)
        with self._host_replied:
            if threading.get_ident() != self._main_thread:
                self._host_replied.wait_for(lambda: self._host_calls_ended or self._host_replies[number] is not None)
            reply = self._host_replies.pop(number)
        if reply is None:
            raise Failure("SHUTTING_DOWN", "the daemon went before it answered", retryable=True)
        if reply.error_reason:
            raise Failure(reply.error_reason, reply.error_message)
        return reply.reply

    def _read_until_replied(self, number: int) -> None:
        while True:
            self._look_through_waiting()
            if self._host_replies[number] is not None or self._reader.ended:
                return
            if len(self._waiting) >= DEFERRED_FRAMES_MAX:
                return
            self._writer.flush()
            self._waiting.extend(self._reader.read())

    def _take_host_reply(self, reply: frame_pb2.HostReply) -> None:
        with self._host_replied:
            if reply.host_call_id in self._host_replies:
                self._host_replies[reply.host_call_id] = reply
                self._host_replied.notify_all()

    def _look_through_waiting(self) -> None:
        """Handles what need not wait for the handler's end; the rest stays, in its order."""
        later: deque[frame_pb2.Frame] = deque()
        waiting_calls = set()
        for frame in self._waiting:
            kind = frame.WhichOneof("kind")
            if kind == "ping":
                self._answer_ping(frame.ping.nonce)
            elif kind == "host_reply":
                self._take_host_reply(frame.host_reply)
            elif kind == "cancel" and frame.cancel.call_id in waiting_calls:
                self._cancelled_early.add(frame.cancel.call_id)
            elif kind == "cancel":
                self._cancel(frame.cancel.call_id)
            else:
                if kind == "invoke":
                    waiting_calls.add(frame.invoke.call_id)
                later.append(frame)
        self._waiting = later

    def parsed_config(self, config_json: str) -> dict[str, Any]:
        """A configuration as a dict; the same object until it changes."""
        cached_json, cached = self._config
        if cached_json != config_json:
            import json

            cached = json.loads(config_json)
            self._config = (config_json, cached)
        return cached

    def check_size(self, payload: frame_pb2.Payload) -> None:
        size = payload.ByteSize()
        if size > self._output_bytes_max > 0:
            # The bound is on the output itself; the few bytes of its envelope do not count.
            size = len(payload.data) if payload.WhichOneof("kind") == "data" else len(payload.text.encode("utf-8"))
            if size > self._output_bytes_max:
                raise Failure(
                    "OUTPUT_TOO_LARGE",
                    f"the output has {size} bytes, the daemon takes at most {self._output_bytes_max}",
                )

    def run_call(self, call: Call, operation: Operation) -> None:
        """Runs one handler to its end and adds its Result."""
        frame = frame_pb2.Frame()
        result = frame.result
        result.call_id = call._invoke.call_id
        try:
            if call._cancelled:
                raise Failure("CANCELLED", "cancelled before it began")
            returned = operation.handler(call)
            if isinstance(returned, GeneratorType):
                returned = self._stream(call, returned)
            fill_result(result, returned)
            self.check_size(result.output)
            if frame.ByteSize() > self._reader.frame_bytes_max:
                raise Failure("OUTPUT_TOO_LARGE", f"the result has {frame.ByteSize()} bytes with its metadata")
        except Failure as failure:
            self._fail(result, call, failure)
        except (Exception, SystemExit) as error:
            report_exception()
            self._fail(result, call, Failure("PLUGIN_EXCEPTION", f"{type(error).__name__}: {error}"))
        del self._live[call._invoke.call_id]
        self._writer.add(frame)

    def flush(self) -> None:
        self._writer.flush()

    def _serve(self) -> None:
        while True:
            while self._waiting:
                if not self._handle(self._waiting.popleft()):
                    return
            self._writer.flush()
            if self._reader.ended:
                if not self._serving:
                    raise ProtocolError("the input ended before Hello")
                return
            self._waiting.extend(self._reader.read())

    def _handle(self, frame: frame_pb2.Frame) -> bool:
        """False when the daemon said goodbye."""
        kind = frame.WhichOneof("kind")
        if kind == "invoke" and self._serving:
            self._begin_call(frame.invoke)
        elif not self._serving:
            if kind != "hello":
                raise ProtocolError("the first frame is not Hello")
            self._greet(frame.hello)
        elif kind == "host_reply":
            self._take_host_reply(frame.host_reply)
        elif kind == "ping":
            self._answer_ping(frame.ping.nonce)
        elif kind == "cancel":
            self._cancel(frame.cancel.call_id)
        elif kind == "config_changed":
            self._config_json = frame.config_changed.config_json
            self._run_callback("on_config_changed", with_config=True)
        elif kind == "shutdown":
            return False
        elif kind not in ("pause", "resume"):  # the daemon holds calls back by itself
            raise ProtocolError(f"a frame of kind {kind or 'none'}, which a plugin does not take")
        return True

    def _greet(self, hello: frame_pb2.Hello) -> None:
        self.plugin_name = hello.plugin_name
        if not hello.protocol_version_min <= PROTOCOL_VERSION <= hello.protocol_version_max:
            raise ProtocolError(
                f"the daemon speaks versions {hello.protocol_version_min} to {hello.protocol_version_max}, "
                f"this plugin {PROTOCOL_VERSION}"
            )
        if hello.limits.frame_bytes_max:
            self._reader.frame_bytes_max = min(hello.limits.frame_bytes_max, FRAME_BYTES_MAX)
        self._output_bytes_max = hello.limits.output_bytes_max
        self._config_json = hello.config_json or "{}"
        if not self._run_callback("on_start", with_config=True):
            raise StartFailed
        concurrency = self._plugin.concurrency
        if hello.limits.concurrency_max:
            concurrency = min(concurrency, hello.limits.concurrency_max)
        frame = frame_pb2.Frame()
        ready = frame.ready
        ready.protocol_version = PROTOCOL_VERSION
        ready.name = self._plugin.name or hello.plugin_name
        ready.version = self._plugin.version or hello.plugin_version
        ready.operations.extend(sorted(self._plugin.operations))
        ready.concurrency = concurrency
        ready.sdk = SDK
        self._writer.add(frame)
        if concurrency > 1:
            self._pool = Pool(self, concurrency)
        self._serving = True

    def _begin_call(self, invoke: frame_pb2.Invoke) -> None:
        if invoke.call_id == 0:
            raise ProtocolError("an Invoke with call id 0")
        operation = self._plugin.operations.get(invoke.operation)
        if operation is None:
            self._refuse(invoke, "UNKNOWN_OPERATION", self._unknown_operation(invoke.operation))
            return
        call = Call(self, invoke, self._config_json)
        if invoke.call_id in self._cancelled_early:
            self._cancelled_early.discard(invoke.call_id)
            call._cancelled = True
        self._live[invoke.call_id] = call
        if operation.quick:
            self.run_call(call, operation)
        elif self._pool is not None:
            self._pool.submit(call, operation)
        else:
            # This handler may take its time: the answers of the calls before it must not wait for it.
            self._writer.flush()
            self.run_call(call, operation)

    def _stream(self, call: Call, parts: GeneratorType[Any, None, Any]) -> object:
        try:
            while True:
                call.output(next(parts))
        except StopIteration as end:
            return "" if end.value is None else end.value

    def _fail(self, result: frame_pb2.Result, call: Call, failure: Failure) -> None:
        result.Clear()
        result.call_id = call._invoke.call_id
        fill_failure(result, failure)

    def _refuse(self, invoke: frame_pb2.Invoke, code: str, message: str) -> None:
        frame = frame_pb2.Frame()
        frame.result.call_id = invoke.call_id
        fill_failure(frame.result, Failure(code, message))
        self._writer.add(frame)

    def _unknown_operation(self, name: str) -> str:
        known = ", ".join(f'"{operation}"' for operation in sorted(self._plugin.operations))
        return f'no operation "{name}"; there is {known or "none"}'

    def _cancel(self, call_id: int) -> None:
        call = self._live.get(call_id)
        if call is not None:  # otherwise it has just been answered
            call._cancelled = True

    def _answer_ping(self, nonce: int) -> None:
        frame = frame_pb2.Frame()
        frame.pong.nonce = nonce
        callback = self._plugin.callbacks.get("health")
        said: object = True
        if callback is not None:
            try:
                said = callback()
            except Exception as error:
                report_exception()
                said = Health(False, f"{type(error).__name__}: {error}")
        if isinstance(said, str):
            said = Health(not said, said)
        frame.pong.healthy = said.healthy if isinstance(said, Health) else bool(said)
        frame.pong.detail = wire_text(said.detail) if isinstance(said, Health) else ""
        self._writer.add(frame)

    def _run_callback(self, name: str, with_config: bool = False) -> bool:
        """False when the author's callback raised; its traceback is in the log then."""
        callback: Callable[..., Any] | None = self._plugin.callbacks.get(name)
        if callback is None:
            return True
        try:
            callback(*([self.parsed_config(self._config_json)] if with_config else []))
        except Exception as error:
            report_exception()
            frame = frame_pb2.Frame()
            frame.log.level = frame_pb2.LOG_LEVEL_ERROR
            frame.log.message = wire_text(f"{name}: {type(error).__name__}: {error}")
            self.send(frame)
            return False
        return True
