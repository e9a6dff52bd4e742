"""ExampleLoggingPlugin: writes a line for each event into the plugin's log (`liongatectl get-plugin-logs`)."""

from liongate import Event, PluginBase


class ExampleLoggingPlugin(PluginBase):
    def on_startup(self) -> None:
        self.event_count = 0
        print(f"Plugin {self.plugin_id} started")

    def on_event(self, event: Event) -> None:
        self.event_count += 1
        print(f"Event {self.event_count}: {event.type} - {event.payload.get('event', 'unknown')}")

    def on_shutdown(self) -> None:
        print(f"Plugin {self.plugin_id} shutdown. Processed {self.event_count} events")
