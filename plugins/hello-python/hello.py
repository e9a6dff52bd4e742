"""hello-python: greets with its own name and what it was given."""

from liongate import Call, Plugin

plugin = Plugin()


@plugin.operation("")
def greet(call: Call) -> str:
    return f"Hello from {call.plugin_name}: {call.text}"


plugin.run()
