"""Write a Liongate plugin in Python.

One that takes calls:

    from liongate import Call, Plugin

    plugin = Plugin()

    @plugin.operation("")
    def greet(call: Call) -> str:
        return f"Hello {call.text}"

    plugin.run()

One that observes the event log derives from PluginBase (liongate/observer.py).
"""

from liongate.call import Call, Logger
from liongate.outcome import Failure, Health, Result
from liongate.plugin import Plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from liongate.event import Event
    from liongate.observer import Gap, PluginBase

__all__ = ["Call", "Event", "Failure", "Gap", "Health", "Logger", "Plugin", "PluginBase", "Result"]
__version__ = "0.1.0"

_OBSERVING = {"Event": "liongate.event", "Gap": "liongate.observer", "PluginBase": "liongate.observer"}


def __getattr__(name: str) -> object:
    """What only observers need is imported when it is asked for: others start without it."""
    if name not in _OBSERVING:
        raise AttributeError(f"module 'liongate' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_OBSERVING[name]), name)
