"""Follows the event log of a daemon over gRPC and goes on where it was: what a service in any language does.

    protoc -I proto --python_out=generated proto/liongate/v1/*.proto
    PYTHONPATH=generated python3 follow_events.py SOCKET CURSOR_FILE [TYPE]...

Prints a line for each event, and how many are missing where retention was faster. The cursor is written when an event
has been handled, in one step; killed at any moment, the next run begins behind the last event that was: at least once.
The stream is opened again when the daemon goes and comes. Needs grpcio and protobuf; ends with 1 when it is refused.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
from liongate.v1 import event_pb2, event_service_pb2

WAIT_S = 1.0  # before a daemon that is not there is asked again


class Cursor:
    """The number of the last event that was handled."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.seq = 0
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                self.seq = int(file.read())

    def move(self, seq: int) -> None:
        with open(f"{self.path}.new", "w", encoding="ascii") as file:
            file.write(str(seq))
        os.replace(f"{self.path}.new", self.path)
        self.seq = seq


def follow(channel: grpc.Channel, cursor: Cursor, types: list[str]) -> Iterator[Any]:
    """Replies behind the cursor, then those to come, until the daemon ends the stream."""
    replay = channel.unary_stream(
        "/liongate.v1.EventService/ReplayEvents",
        request_serializer=event_service_pb2.ReplayEventsRequest.SerializeToString,
        response_deserializer=event_service_pb2.ReplayEventsResponse.FromString)
    wanted = event_service_pb2.EventFilter(after_seq=cursor.seq, types=types)
    yield from replay(event_service_pb2.ReplayEventsRequest(filter=wanted, follow=True))


def handle(event: event_pb2.Event) -> None:
    print(event.seq, event.type, event.plugin_name, event.WhichOneof("payload"), flush=True)


def main(words: list[str]) -> int:
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    socket, cursor, types = words[0], Cursor(words[1]), words[2:]
    while True:
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            try:
                for reply in follow(channel, cursor, types):
                    if reply.HasField("gap"):
                        print(f"{reply.gap.count} events are missing: retention removed them", flush=True)
                    for event in reply.events:
                        handle(event)
                        cursor.move(event.seq)
                    # What the filter left out was looked at as well: it need not be again.
                    if reply.caught_up_seq > cursor.seq:
                        cursor.move(reply.caught_up_seq)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    print(f"refused: {error.details()}", file=sys.stderr)
                    return 1
        time.sleep(WAIT_S)  # there is nobody to wait for: a daemon that is down sends no event


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
