"""event-exporter: the event log as CloudEvents 1.0, into a file that is rotated or by HTTP POST.

An event is acknowledged to the daemon when it is on disk, or when the other end answered 2xx: none is lost, whatever is
killed or down in between. By HTTP one may come twice (source and id are the same then); a file holds each once, because
what is in it is looked up at the start.

The events are those of `liongatectl replay-log -o cloudevents`, attribute by attribute.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from liongate import Event, Gap, Health, PluginBase

SETTINGS = ("file", "rotate_bytes_max", "rotate_files_max", "url", "headers", "header_secrets", "batch_events_max",
            "timeout_s", "backoff_s_max", "drop_rejected")
FIRST_BACKOFF_S = 0.1
NOTHING = ("", 0)
SECRETS_FOLDER = "/run/secrets"
TAIL_BYTES = 2 * 1024 * 1024  # the last line of a file is in it: an event has at most 1 MiB


class Rejected(Exception):
    """The other end will not take it however often it is sent."""


def cloud_event(event: Event, node_id: str) -> dict[str, Any]:
    spelled = event.to_dict()
    attributes = {
        "specversion": "1.0",
        "id": str(event.seq),
        "source": f"/liongate/nodes/{node_id}",
        "type": f"liongate.v1.{event.type}",
        "time": spelled["time"],
        "subject": event.plugin_name or event.plugin_id,
        "sequence": f"{event.seq:020}",
        "correlationid": event.correlation_id,
        "actor": event.actor,
        "pluginid": event.plugin_id,
        "instanceid": event.instance_id,
        "datacontenttype": "application/json",
    }
    made: dict[str, Any] = {name: value for name, value in attributes.items() if value}
    made["data"] = spelled.get(event.payload["event"], {})
    return made


def gap_event(gap: Gap, node_id: str) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"gap-{gap.first_missing_seq}-{gap.last_missing_seq}",
            "source": f"/liongate/nodes/{node_id}", "type": "liongate.v1.EventGap",
            "sequence": f"{gap.last_missing_seq:020}", "datacontenttype": "application/json",
            "data": {"first_missing_seq": str(gap.first_missing_seq), "last_missing_seq": str(gap.last_missing_seq),
                     "count": str(gap.count)}}


class FileSink:
    """Appends lines, synced before it returns; what did not come to be whole (a full disk, an earlier life that was
    killed) is cut off before anything is written behind it."""

    def __init__(self, path: str, rotate_bytes_max: int, rotate_files_max: int) -> None:
        if rotate_bytes_max < 1 or rotate_files_max < 0:
            raise ValueError("rotate_bytes_max must be at least 1 and rotate_files_max not negative")
        self.path = path
        self.rotate_bytes_max = rotate_bytes_max
        self.rotate_files_max = rotate_files_max
        self.file = open(path, "ab", buffering=0)
        self.last = self._mend()
        if self.last == NOTHING:
            self.last = self._last_of(f"{path}.1")
        self.size_bytes = os.fstat(self.file.fileno()).st_size  # of what is whole

    def _mend(self) -> tuple[str, int]:
        with open(self.path, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - TAIL_BYTES)
            file.seek(start)
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if whole != len(tail):
                file.truncate(start + whole)
        return self._last_of(self.path)

    @staticmethod
    def _last_of(path: str) -> tuple[str, int]:
        """Source and number of the last event of a file; NOTHING for none."""
        try:
            with open(path, "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = file.read().splitlines()
        except OSError:
            return NOTHING
        for line in reversed(lines):
            try:
                event = json.loads(line)
                return (str(event["source"]), int(event["sequence"]))
            except (ValueError, KeyError):
                continue
        return NOTHING

    def put(self, events: Sequence[dict[str, Any]]) -> None:
        source, last = self.last
        fresh = [event for event in events if event["source"] != source or int(event["sequence"]) > last]
        if not fresh:
            return
        if self.size_bytes >= self.rotate_bytes_max:
            self._rotate()
        lines = b"".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                         for event in fresh)
        descriptor = self.file.fileno()
        if os.fstat(descriptor).st_size > self.size_bytes:
            os.ftruncate(descriptor, self.size_bytes)
        written = 0
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fdatasync(descriptor)
        self.size_bytes += written
        self.last = (fresh[-1]["source"], int(fresh[-1]["sequence"]))

    def _rotate(self) -> None:
        for number in range(self.rotate_files_max, 0, -1):
            older = f"{self.path}.{number - 1}" if number > 1 else self.path
            if os.path.exists(older):
                os.replace(older, f"{self.path}.{number}")
        if self.rotate_files_max == 0:
            os.unlink(self.path)
        fresh = open(self.path, "ab", buffering=0)
        self.file.close()  # last: whatever fails before leaves a file to try again with
        self.file = fresh
        self.size_bytes = 0


class HttpSink:
    def __init__(self, url: str, headers: Mapping[str, Any], header_secrets: Mapping[str, Any],
                 timeout_s: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url is {url!r}; it begins with http:// or https://")
        self.url = url
        self.headers = {"Content-Type": "application/cloudevents-batch+json", "User-Agent": "liongate-event-exporter",
                        **{str(name): str(value) for name, value in headers.items()},
                        **{str(name): self._secret(str(name), str(secret)) for name, secret in header_secrets.items()}}
        self.timeout_s = timeout_s

    @staticmethod
    def _secret(header: str, name: str) -> str:
        try:
            with open(f"{SECRETS_FOLDER}/{name}", encoding="latin-1") as file:
                return file.read().strip()
        except OSError as error:
            raise ValueError(f"header_secrets: {header} is the secret {name!r}, and that is not there ({error}); add "
                             f"secret:{name} to permissions, and a source under `secrets` of the daemon") from None

    def put(self, events: Sequence[dict[str, Any]]) -> None:
        body = json.dumps(list(events), ensure_ascii=False, separators=(",", ":")).encode()
        request = urllib.request.Request(self.url, body, self.headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                reply.read(1024)
        except urllib.error.HTTPError as error:
            with error:
                if 400 <= error.code < 500 and error.code not in (408, 425, 429):
                    raise Rejected(f"{self.url} answers {error.code} {error.reason}") from None
                raise OSError(f"{self.url} answers {error.code} {error.reason}") from None


class EventExporter(PluginBase):
    def __init__(self, plugin_id: str, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(plugin_id, config)
        unknown = sorted(set(self.config) - set(SETTINGS))
        if unknown:
            raise ValueError(f"config: there is no `{unknown[0]}`; there are {', '.join(SETTINGS)}")
        get = self.config.get
        path, url = str(get("file", "")), str(get("url", ""))
        if bool(path) == bool(url):
            raise ValueError("config: name a file or a url, one of them")
        self.backoff_s_max = float(get("backoff_s_max", 60))
        self.batch_events_max = int(get("batch_events_max", 100))
        self.drops_rejected = bool(get("drop_rejected", False))
        if self.batch_events_max < 1 or self.backoff_s_max <= 0:
            raise ValueError("batch_events_max must be at least 1 and backoff_s_max above 0")
        self.sink: FileSink | HttpSink
        if path:
            self.sink = FileSink(path, int(get("rotate_bytes_max", 10_485_760)), int(get("rotate_files_max", 5)))
        else:
            self.sink = HttpSink(url, get("headers", {}), get("header_secrets", {}), float(get("timeout_s", 10)))
        self.exported = 0
        self.dropped = 0
        self.trouble = ""

    def on_event(self, event: Event) -> None:
        self.on_events((event,))

    def on_events(self, events: Sequence[Event]) -> None:
        spelled = [cloud_event(event, self.node_id) for event in events]
        for first in range(0, len(spelled), self.batch_events_max):
            self.export(spelled[first : first + self.batch_events_max])

    def on_gap(self, gap: Gap) -> None:
        self.export([gap_event(gap, self.node_id)])

    def export(self, events: Sequence[dict[str, Any]]) -> None:
        """Returns when they are there, however long that takes; raises when it is asked to stop before."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                self.sink.put(events)
                self.exported += len(events)
                self.trouble = ""
                return
            except Rejected as error:
                if self.drops_rejected:
                    self.dropped += len(events)
                    print(f"{self.plugin_id}: {len(events)} events left out: {error}")
                    return
                self.tell(str(error))
            except OSError as error:
                self.tell(str(error))
            if self.wait(backoff_s):
                raise InterruptedError("asked to stop: these events come again")
            backoff_s = min(backoff_s * 2, self.backoff_s_max)

    def tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            print(f"{self.plugin_id}: {trouble}; trying again")
        self.trouble = trouble

    def health(self) -> Health:
        said = f"{self.exported} events exported" + (f", {self.dropped} left out" if self.dropped else "")
        return Health(not self.trouble, said + (f"; now: {self.trouble}" if self.trouble else ""))


if __name__ == "__main__":
    EventExporter.run()
