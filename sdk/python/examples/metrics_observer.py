"""ExampleMetricsPlugin: counts a sample of the events by type. `config: {sample_rate: 0.1, seed: 7}`.

A seed makes the sample the same at every run: which events are in it depends on their numbers alone.
"""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

from liongate import Event, Health, PluginBase


class ExampleMetricsPlugin(PluginBase):
    def __init__(self, plugin_id: str, config: "Mapping[str, Any] | None" = None) -> None:
        super().__init__(plugin_id, config)
        self.sample_rate = float(self.config.get("sample_rate", 1.0))
        if not 0 < self.sample_rate <= 1:
            raise ValueError(f"sample_rate is {self.sample_rate}; it must be above 0 and at most 1")
        self.seed = self.config.get("seed", random.SystemRandom().getrandbits(64))
        self.counts: Counter[str] = Counter()

    def on_event(self, event: Event) -> None:
        if random.Random(f"{self.seed}/{event.seq}").random() < self.sample_rate:
            self.counts[event.type] += 1

    def health(self) -> Health:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return Health(True, counts or "nothing yet")
