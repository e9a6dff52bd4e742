"""PluginBase: what the author of an observer derives from, and the events it is shown.

    from liongate import Event, PluginBase

    class Tally(PluginBase):
        def on_startup(self) -> None:
            self.count = 0

        def on_event(self, event: Event) -> None:
            self.count += 1

        def on_shutdown(self) -> None:
            print(f"{self.plugin_id} saw {self.count} events")
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from liongate.event import Event
    from liongate.outcome import Health


class Gap:
    """Events that retention removed before this observer came to them."""

    def __init__(self, first_missing_seq: int, last_missing_seq: int, count: int) -> None:
        self.first_missing_seq = first_missing_seq
        self.last_missing_seq = last_missing_seq
        self.count = count

    def __repr__(self) -> str:
        return f"Gap({self.first_missing_seq} to {self.last_missing_seq}, {self.count} events)"


class PluginBase(ABC):
    """A read-only observer of the event log.

    The constructor gets the plugin's id and its configuration; one that raises keeps the plugin from starting. Then
    come on_startup once, on_event for every event in the order of the log, on_shutdown at the end: all on the main
    thread, one after the other. What they raise is logged and hurts nobody else: after on_startup the observer observes
    all the same, after on_event and on_gap it goes on with the next (or tries again, or ends: `retries`, `on_error`).

    An event may come twice: after the observer or the daemon was killed, those that were not acknowledged are sent
    again. An observer that must not count twice remembers event.seq.
    """

    node_id = ""  # whose events it is shown: set before on_startup

    def __init__(self, plugin_id: str, config: Mapping[str, Any] | None = None) -> None:
        self.plugin_id = plugin_id
        self.config = config or {}

    def on_startup(self) -> None:
        """Called once, before the first event."""

    @abstractmethod
    def on_event(self, event: Event) -> None:
        """Called for each event; it is acknowledged when this returns."""

    def on_events(self, events: Sequence[Event]) -> None:
        """What came together, where that is better handled together: override this, and give on_event what it does
        with one. The events are acknowledged when it returns; when it raises, all of them count as failed, unless it is
        asked to stop: then they come again."""
        for event in events:
            self.on_event(event)

    def on_gap(self, gap: Gap) -> None:
        """Called in front of the next event when some are missing; unless overridden, it is a line of the log."""
        print(f"{self.plugin_id}: {gap.count} events ({gap.first_missing_seq} to {gap.last_missing_seq}) are missing: "
              "retention removed them")

    def on_shutdown(self) -> None:
        """Called once, after the last event."""

    def health(self) -> Health | bool | str | None:
        """Answers get-plugin-health, on a thread of its own: Health, True or False, or a str that says what is wrong.
        None, as here, lets the library say how many events failed."""
        return None

    def wait(self, seconds: float) -> bool:
        """Waits, for a handler that tries again; True at once when the observer is asked to stop."""
        return self._stopping.wait(seconds)

    @property
    def stopping(self) -> bool:
        """Is the observer asked to stop? What has not been acknowledged comes again at the next start."""
        return self._stopping.is_set()

    @property
    def _stopping(self) -> threading.Event:
        # Made when it is first asked for: a subclass need not call our constructor.
        asked: threading.Event = self.__dict__.setdefault("_stopping_event", threading.Event())
        return asked

    @classmethod
    def run(cls) -> None:
        """Serves until the daemon says Shutdown; leaves the program when that was a failure. For a file that a
        manifest names; a class that plugins.yaml names is run by itself."""
        import sys

        from liongate.observing import serve

        PluginBase._ran = True
        code = serve(cls)
        if code != 0:
            sys.exit(code)

    _ran = False
