"""What a handler may return, and how it becomes a Result frame."""

from __future__ import annotations

from liongate import frame_pb2

TYPE_CHECKING = False  # typing itself is not imported at run time: it takes a third of a plugin's start
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Union

    # What a handler may return. A dict or a list travels as its JSON text.
    Output = Union[str, bytes, bytearray, memoryview, dict[str, Any], list[Any]]


class Failure(Exception):
    """The plugin says no: raise it or return it. The message is shown to the caller as it is."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable


class Result:
    """An output with warnings and metadata beside it."""

    def __init__(
        self, output: Output, warnings: Sequence[str] = (), metadata: Mapping[str, str] | None = None
    ) -> None:
        self.output = output
        self.warnings = warnings
        self.metadata = metadata if metadata is not None else {}


class Health:
    """What the plugin says of itself when the daemon asks."""

    def __init__(self, healthy: bool, detail: str = "") -> None:
        self.healthy = healthy
        self.detail = detail


def wire_text(text: str) -> str:
    """The same text without what UTF-8 cannot spell (half of a surrogate pair)."""
    return text.encode("utf-8", "replace").decode("utf-8")


def fill_payload(payload: frame_pb2.Payload, output: object) -> None:
    """Writes an output into a Payload; TypeError says which types there are."""
    if isinstance(output, str):
        payload.text = output
    elif isinstance(output, (bytes, bytearray, memoryview)):
        payload.data = bytes(output)
    elif isinstance(output, (dict, list)):
        import json

        payload.text = json.dumps(output, ensure_ascii=False, separators=(",", ":"))
    else:
        raise TypeError(
            f"a handler returned {type(output).__name__}; it may return str, bytes, dict, list, Result or Failure"
        )


def fill_failure(result: frame_pb2.Result, failure: Failure) -> None:
    result.failure.code = wire_text(str(failure.code))
    result.failure.message = wire_text(str(failure.message))
    result.failure.retryable = bool(failure.retryable)


def fill_result(result: frame_pb2.Result, returned: object) -> None:
    """Writes whatever a handler returned into a Result; TypeError when it is nothing that a handler may return."""
    if isinstance(returned, Failure):
        fill_failure(result, returned)
        return
    if not isinstance(returned, Result):
        fill_payload(result.output, returned)
        return
    fill_payload(result.output, returned.output)
    result.warnings.extend(wire_text(warning) for warning in returned.warnings)
    for key, value in returned.metadata.items():
        result.metadata[wire_text(key)] = wire_text(value)
