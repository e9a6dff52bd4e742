"""One invocation, as its handler sees it."""

from __future__ import annotations

import time

from liongate import frame_pb2
from liongate.outcome import Failure, fill_payload, wire_text

TYPE_CHECKING = False  # typing itself is not imported at run time: it takes a third of a plugin's start
if TYPE_CHECKING:
    from typing import Any

    from liongate.outcome import Output
    from liongate.session import Session

LOG_LINE_CHARACTERS_MAX = 8 * 1024


class Logger:
    """Lines of the plugin's log, attributed to one call."""

    def __init__(self, session: Session, call_id: int) -> None:
        self._session = session
        self._call_id = call_id

    def debug(self, line: str) -> None:
        self._log(frame_pb2.LOG_LEVEL_DEBUG, line)

    def info(self, line: str) -> None:
        self._log(frame_pb2.LOG_LEVEL_INFO, line)

    def warning(self, line: str) -> None:
        self._log(frame_pb2.LOG_LEVEL_WARNING, line)

    def error(self, line: str) -> None:
        self._log(frame_pb2.LOG_LEVEL_ERROR, line)

    def _log(self, level: int, line: str) -> None:
        frame = frame_pb2.Frame()
        frame.log.level = level  # type: ignore[assignment]
        frame.log.message = wire_text(str(line)[:LOG_LINE_CHARACTERS_MAX])
        frame.log.call_id = self._call_id
        self._session.send(frame)


class Call:
    """Valid until its handler returns; its methods may be called from any thread."""

    def __init__(self, session: Session, invoke: frame_pb2.Invoke, config_json: str) -> None:
        self._session = session
        self._invoke = invoke
        self._config_json = config_json
        self._cancelled = False
        self._deadline = time.monotonic() + invoke.time_left_ms / 1000 if invoke.time_left_ms else None

    @property
    def input(self) -> str | bytes:
        """The input as it was sent: text as str, data as bytes."""
        payload = self._invoke.input
        return payload.data if payload.WhichOneof("kind") == "data" else payload.text

    @property
    def text(self) -> str:
        """The input as text; data that is not UTF-8 ends the call with the failure BAD_INPUT."""
        sent = self.input
        if isinstance(sent, str):
            return sent
        try:
            return sent.decode("utf-8")
        except UnicodeDecodeError:
            raise Failure("BAD_INPUT", "the input is not UTF-8 text") from None

    @property
    def data(self) -> bytes:
        """The input as bytes."""
        sent = self.input
        return sent if isinstance(sent, bytes) else sent.encode("utf-8")

    def json(self) -> Any:
        """The input parsed as JSON; anything else ends the call with the failure BAD_INPUT."""
        import json

        try:
            return json.loads(self.text)
        except ValueError as error:
            raise Failure("BAD_INPUT", f"the input is not JSON: {error}") from None

    @property
    def operation(self) -> str:
        return self._invoke.operation

    @property
    def execution_id(self) -> str:
        return self._invoke.execution_id

    @property
    def correlation_id(self) -> str:
        return self._invoke.correlation_id

    @property
    def traceparent(self) -> str:
        return self._invoke.traceparent

    @property
    def streaming(self) -> bool:
        """Does the caller take the parts of the output as they come?"""
        return self._invoke.stream

    @property
    def plugin_name(self) -> str:
        """As in the manifest."""
        return self._session.plugin_name

    @property
    def config(self) -> dict[str, Any]:
        """The plugin's configuration when the call began."""
        return self._session.parsed_config(self._config_json)

    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, on the clock of time.monotonic(); None when it set no deadline."""
        return self._deadline

    @property
    def cancelled(self) -> bool:
        """True once the caller no longer waits.

        With a concurrency of 1 this also looks for a cancel on the pipe and answers the daemon's pings, so a long
        handler should ask a few times a second.
        """
        self._session.look_at_input()
        return self._cancelled

    @property
    def log(self) -> Logger:
        return Logger(self._session, self._invoke.call_id)

    def secret(self, name: str) -> bytes:
        """The value of a secret as it is now; the plugin needs the permission secret:NAME.

        Waits for the daemon, which reads the value where it comes from, each time. Ask when it is needed and do not
        keep it: a value that was changed is then the next one used, and Python has no way to wipe a bytes object, so
        one that is kept stays in memory for as long as the plugin lives. A refusal is raised as a Failure:
        PERMISSION_DENIED, INVALID_CONFIG (nothing gives it a value), QUEUE_FULL (asked for too often), SHUTTING_DOWN.
        With a concurrency of 1 only the main thread may ask.
        """
        return self._session.host_call(self._invoke.call_id, "secret", name.encode("utf-8"))

    def output(self, part: Output) -> None:
        """Sends a part of the output ahead of the result, at once."""
        frame = frame_pb2.Frame()
        frame.output.call_id = self._invoke.call_id
        fill_payload(frame.output.part, part)
        self._session.check_size(frame.output.part)
        self._session.send(frame)
