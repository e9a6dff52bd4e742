"""The daemon over gRPC, with message classes made from the repository's own proto files, and errors as data."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, json_format

from . import paths

CALL_TIMEOUT_S = 60.0
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


def _compile() -> dict[str, ModuleType]:
    """protoc for each run: no generated code lies in the repository, and none can be out of date."""
    protos = paths.ROOT / "proto"
    generated = paths.SPACE / "wire"
    generated.mkdir()
    # proto/grpc would hide the grpc package itself; its few messages are written by hand where a test needs them.
    files = sorted(path.relative_to(protos) for path in protos.glob("**/*.proto")
                   if path.relative_to(protos).parts[0] != "grpc")
    subprocess.run(["protoc", f"--proto_path={protos}", f"--python_out={generated}", *map(str, files)], check=True,
                   timeout=60)
    sys.path.insert(0, str(generated))
    names = {path.stem: ".".join(path.with_suffix("").parts) + "_pb2" for path in files}
    return {stem: importlib.import_module(name) for stem, name in names.items()}


_modules = _compile()
plugin_service: Any = _modules["plugin_service"]
event_service: Any = _modules["event_service"]
system_service: Any = _modules["system_service"]
plugin_messages: Any = _modules["plugin"]
manifest_messages: Any = _modules["manifest"]
_status: Any = _modules["status"]
_error_details: Any = _modules["error_details"]

Event = Any
Plugin = Any


@dataclass
class Refusal(Exception):
    """What a failed call said: the gRPC status and the ErrorInfo in it."""

    code: str
    reason: str
    message: str
    metadata: dict[str, str]

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message} {self.metadata}"


def to_dict(message: Any) -> dict[str, Any]:
    """As liongatectl prints it: proto field names, defaults left out."""
    spelled: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return spelled


def refusal_of(error: grpc.RpcError) -> Refusal:
    refusal = Refusal(error.code().name, "", error.details() or "", {})
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = _status.Status.FromString(value)
        for detail in status.details:
            info = _error_details.ErrorInfo()
            if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == "liongate":
                refusal.reason = info.reason
                refusal.metadata = dict(info.metadata)
    return refusal


class PendingCall:
    """A call under way."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def result(self, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        try:
            return self._future.result(timeout=timeout_s)
        except grpc.FutureTimeoutError:
            raise AssertionError(f"no answer within {timeout_s} s") from None
        except grpc.FutureCancelledError:
            raise Refusal("CANCELLED", "", "cancelled here", {}) from None
        except grpc.RpcError as error:
            raise refusal_of(error) from None

    def outcome(self, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """The reply or the Refusal, without raising."""
        try:
            return self.result(timeout_s)
        except Refusal as refusal:
            return refusal

    def done(self) -> bool:
        return bool(self._future.done())

    def cancel(self) -> None:
        self._future.cancel()


class Service:
    """One gRPC service: its methods by name, each taking the fields of its request."""

    def __init__(self, channel: grpc.Channel, descriptor: Any) -> None:
        self._methods: dict[str, tuple[Any, Any, bool]] = {}
        self._kept: list[Any] = []
        for method in descriptor.methods:
            proto = descriptor_pb2.MethodDescriptorProto()
            method.CopyToProto(proto)
            make = channel.unary_stream if proto.server_streaming else channel.unary_unary
            call = make(f"/{descriptor.full_name}/{method.name}",
                        request_serializer=method.input_type._concrete_class.SerializeToString,
                        response_deserializer=method.output_type._concrete_class.FromString)
            self._methods[method.name] = (call, method.input_type._concrete_class, proto.server_streaming)

    def __getattr__(self, name: str) -> Any:
        call, request_class, streams = self._methods[name]

        def ask(timeout_s: float | None = CALL_TIMEOUT_S, **fields: Any) -> Any:
            request = request_class(**fields)
            if streams:
                return _raising(call(request, timeout=timeout_s))
            try:
                return call(request, timeout=timeout_s)
            except grpc.RpcError as error:
                raise refusal_of(error) from None

        return ask

    def later(self, name: str, timeout_s: float | None = CALL_TIMEOUT_S, **fields: Any) -> PendingCall:
        call, request_class, _ = self._methods[name]
        future = call.future(request_class(**fields), timeout=timeout_s)
        self._kept.append(future)  # grpcio cancels a call whose future nobody holds any more
        return PendingCall(future)

    def open(self, name: str, timeout_s: float | None = CALL_TIMEOUT_S, **fields: Any) -> Any:
        """A stream that the test reads and cancels itself."""
        call, request_class, _ = self._methods[name]
        return call(request_class(**fields), timeout=timeout_s)


def _raising(stream: Any) -> Iterator[Any]:
    try:
        yield from stream
    except grpc.RpcError as error:
        raise refusal_of(error) from None


def channel_to(socket: Path) -> grpc.Channel:
    # A pool of its own: a second daemon on the same path must not meet the first one's connection or its backoff.
    return grpc.insecure_channel(f"unix:{socket}", options=[
        ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.max_send_message_length", MESSAGE_BYTES_MAX)])


class Client:
    """One connection to a daemon."""

    def __init__(self, socket: Path) -> None:
        self._channel = channel_to(socket)
        self.plugins = Service(self._channel, plugin_service.DESCRIPTOR.services_by_name["PluginService"])
        self.log = Service(self._channel, event_service.DESCRIPTOR.services_by_name["EventService"])
        self.system = Service(self._channel, system_service.DESCRIPTOR.services_by_name["SystemService"])

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def refused(reason: str, code: str = "") -> Iterator[list[Refusal]]:
    """The block's call must be refused for `reason`; the list holds the refusal afterwards."""
    caught: list[Refusal] = []
    try:
        yield caught
    except Refusal as refusal:
        assert refusal.reason == reason, f"expected {reason}: {refusal}"
        assert code in ("", refusal.code), f"expected {code}: {refusal}"
        caught.append(refusal)
    else:
        raise AssertionError(f"expected {reason}, but it worked")
