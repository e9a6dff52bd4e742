"""tally: an observer in Python. It counts the events it is shown."""

from liongate import Event, PluginBase


class Tally(PluginBase):
    def on_startup(self) -> None:
        self.count = 0

    def on_event(self, event: Event) -> None:
        self.count += 1

    def on_shutdown(self) -> None:
        print(f"{self.plugin_id} saw {self.count} events")
