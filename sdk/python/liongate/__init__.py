"""Write a Liongate plugin in Python.

    from liongate import Call, Plugin

    plugin = Plugin()

    @plugin.operation("")
    def greet(call: Call) -> str:
        return f"Hello {call.text}"

    plugin.run()
"""

from liongate.call import Call, Logger
from liongate.outcome import Failure, Health, Result
from liongate.plugin import Plugin

__all__ = ["Call", "Failure", "Health", "Logger", "Plugin", "Result"]
__version__ = "0.1.0"
