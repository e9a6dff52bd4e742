"""Event: one event of the log as an observer sees it. It cannot be changed, and nobody else sees the same object."""

from __future__ import annotations

from datetime import datetime, timezone
from types import MappingProxyType

from liongate.v1 import event_pb2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Event:
    """`type` is its name, like "PluginInvoked"; `payload` what it says, a mapping by the field names of event.proto.

    payload["event"] is the payload's own name, like "plugin_invoked". Fields that are not set are there with their
    default. Everything is immutable: a change raises TypeError or AttributeError.
    """

    __slots__ = ("_message", "_payload")
    _message: Any
    _payload: Mapping[str, Any] | None

    def __init__(self, message: event_pb2.Event) -> None:
        object.__setattr__(self, "_message", message)
        object.__setattr__(self, "_payload", None)

    @classmethod
    def from_bytes(cls, data: bytes) -> Event:
        return cls(event_pb2.Event.FromString(data))

    @property
    def seq(self) -> int:
        """Its number in the log: from 1, without gaps."""
        return int(self._message.seq)

    @property
    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC; never less than that of the event before."""
        return int(self._message.time.seconds * 1_000_000_000 + self._message.time.nanos)

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.time_ns / 1e9, timezone.utc)

    @property
    def type(self) -> str:
        return str(self._message.type)

    @property
    def plugin_id(self) -> str:
        """Of the plugin that it is about, a UUID; "" for none."""
        return str(self._message.plugin_id)

    @property
    def plugin_name(self) -> str:
        return str(self._message.plugin_name)

    @property
    def instance_id(self) -> str:
        return str(self._message.instance_id)

    @property
    def correlation_id(self) -> str:
        """The same on a call and on what became of it."""
        return str(self._message.correlation_id)

    @property
    def actor(self) -> str:
        """Who asked: "uid:1000", "system", "plugin:NAME"."""
        return str(self._message.actor)

    @property
    def payload(self) -> Mapping[str, Any]:
        if self._payload is None:
            name = self._message.WhichOneof("payload")
            fields: dict[str, Any] = {"event": name or ""}
            if name is not None:
                fields.update(_fields_of(getattr(self._message, name)))
            object.__setattr__(self, "_payload", MappingProxyType(fields))
        assert self._payload is not None
        return self._payload

    def to_bytes(self) -> bytes:
        """The serialised liongate.v1.Event."""
        data: bytes = self._message.SerializeToString()
        return data

    def to_dict(self) -> dict[str, Any]:
        """As `replay-log -o json` prints it: a new dict, for whoever writes it somewhere."""
        from google.protobuf import json_format

        spelled: dict[str, Any] = json_format.MessageToDict(
            self._message, preserving_proto_field_name=True, including_default_value_fields=True)
        return spelled

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an event cannot be changed ({name})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an event cannot be changed ({name})")

    def __repr__(self) -> str:
        return f"Event({self.seq} {self.type} {self.plugin_name})"


def _fields_of(message: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            fields[field.name] = MappingProxyType(dict(value))
        elif field.label == field.LABEL_REPEATED:
            fields[field.name] = tuple(_value_of(field, one) for one in value)
        elif field.containing_oneof is not None and not message.HasField(field.name):
            continue  # of several that exclude each other only the one that is there
        elif field.message_type is not None and not message.HasField(field.name):
            fields[field.name] = None
        else:
            fields[field.name] = _value_of(field, value)
    return fields


def _value_of(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return value.ToJsonString()
        return MappingProxyType(_fields_of(value))
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value
