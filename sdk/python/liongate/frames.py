"""The framing: a 4-byte little-endian length, then one serialised Frame. Many frames in one read and one write."""

from __future__ import annotations

import os
import select
import threading

from liongate import frame_pb2

HEADER_BYTES = 4
FRAME_BYTES_MAX = 16 * 1024 * 1024 + 64 * 1024  # what frame.proto promises; Hello may lower it
READ_BYTES = 256 * 1024
PENDING_BYTES = 256 * 1024  # answers that reach it are written before the batch grows further


class ProtocolError(Exception):
    """The daemon sent what frame.proto forbids."""


class FrameReader:
    """Cuts what arrives on a descriptor into frames. Used by the reading thread only."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self.frame_bytes_max = FRAME_BYTES_MAX
        self.ended = False

    def readable(self) -> bool:
        """Is there something to read, or the end of the input, right now?"""
        return bool(select.select((self._fd,), (), (), 0)[0])

    def read(self) -> list[frame_pb2.Frame]:
        """Waits for input and returns the frames that are whole by then; sets `ended` at the end of the input."""
        try:
            chunk = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            select.select((self._fd,), (), ())
            return []
        if not chunk:
            self.ended = True
            if self._buffer:
                raise ProtocolError("the input ended in the middle of a frame")
            return []
        if not self._buffer:
            frames, used = self._cut(chunk)
            self._buffer += chunk[used:]
            return frames
        self._buffer += chunk
        if len(self._buffer) < HEADER_BYTES or len(self._buffer) < HEADER_BYTES + self._length(self._buffer, 0):
            return []  # most of a large frame is still to come: nothing is copied until it is whole
        frames, used = self._cut(bytes(self._buffer))
        del self._buffer[:used]
        return frames

    def _length(self, source: bytes | bytearray, start: int) -> int:
        length = int.from_bytes(source[start : start + HEADER_BYTES], "little")
        if length == 0:
            raise ProtocolError("a frame of length 0")
        if length > self.frame_bytes_max:
            raise ProtocolError(f"a frame of {length} bytes, at most {self.frame_bytes_max} are allowed")
        return length

    def _cut(self, source: bytes) -> tuple[list[frame_pb2.Frame], int]:
        frames = []
        start = 0
        available = len(source)
        parse = frame_pb2.Frame.FromString
        while available - start >= HEADER_BYTES:
            end = start + HEADER_BYTES + self._length(source, start)
            if end > available:
                break
            try:
                frames.append(parse(source[start + HEADER_BYTES : end]))
            except Exception as error:  # each implementation of protobuf has a DecodeError of its own
                raise ProtocolError("a frame that is not a liongate.v1.Frame") from error
            start = end
        return frames, start


class FrameWriter:
    """Collects frames and writes them together. Any thread may add and flush."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.broken = False

    def add(self, frame: frame_pb2.Frame) -> None:
        body = frame.SerializeToString()
        with self._guard:
            self._pending.append(len(body).to_bytes(HEADER_BYTES, "little"))
            self._pending.append(body)
            self._pending_bytes += HEADER_BYTES + len(body)
            full = self._pending_bytes >= PENDING_BYTES
        if full:
            self.flush()

    def flush(self) -> None:
        # A thread that finds another one writing leaves its frames to it. That one looks again after it has let go of
        # the lock, so nothing stays behind. Only when much is waiting does a thread wait: a handler that streams
        # faster than the daemon reads must not fill the memory.
        while self._pending:
            if not self._writing.acquire(blocking=self._pending_bytes >= PENDING_BYTES):
                return
            try:
                with self._guard:
                    batch = b"".join(self._pending)
                    self._pending.clear()
                    self._pending_bytes = 0
                self._write(batch)
            finally:
                self._writing.release()

    def _write(self, batch: bytes) -> None:
        rest = memoryview(batch)
        while rest and not self.broken:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                select.select((), (self._fd,), ())
            except OSError:
                self.broken = True  # the daemon is gone; nobody waits for an answer
