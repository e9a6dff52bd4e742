"""metrics: what every plugin did, counted from the event log: calls, failures, rates and latency percentiles.

`liongatectl get-plugin-health metrics` shows the page for people; with `page` it is also a file in the text format of
Prometheus. Everything counts from `since`: this start, or what `start` of its entry says.

Memory: a histogram of 96 buckets a plugin, at most `plugins_max` of them.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from liongate import Event, Gap, Health, PluginBase

SETTINGS = ("page", "interval_s", "plugins_max")
BUCKETS = 96
SMALLEST_MS = 0.01
STEP = 10 ** (1 / 12)  # twelve buckets a decade: a percentile is at most 21 % above what it was
RATE_WINDOW_S = 60
DETAIL_BYTES_MAX = 7_500  # of a health's detail, which the daemon bounds at 8 KiB


def bucket_of(milliseconds: float) -> int:
    if milliseconds <= SMALLEST_MS:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(milliseconds / SMALLEST_MS) / math.log(STEP)))


def limit_of(bucket: int) -> float:
    return SMALLEST_MS * STEP**bucket


class Latency:
    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.count = 0
        self.total_ms = 0.0

    def add(self, milliseconds: float) -> None:
        self.buckets[bucket_of(milliseconds)] += 1
        self.count += 1
        self.total_ms += milliseconds

    def percentile(self, share: float) -> float:
        """The upper limit of the bucket in which that share is reached; 0 for none."""
        if self.count == 0:
            return 0.0
        wanted = math.ceil(share * self.count)
        for bucket, count in enumerate(self.buckets):
            wanted -= count
            if wanted <= 0:
                return limit_of(bucket)
        return limit_of(BUCKETS - 1)


class Figures:
    def __init__(self) -> None:
        self.started = 0
        self.completed = 0
        self.failed: Counter[str] = Counter()
        self.crashes = 0
        self.denials = 0
        self.latency = Latency()
        self.recent: deque[tuple[int, int]] = deque()  # second, calls that ended in it

    def end_call(self, second: int) -> None:
        if self.recent and self.recent[-1][0] == second:
            self.recent[-1] = (second, self.recent[-1][1] + 1)
        else:
            self.recent.append((second, 1))
        while self.recent and self.recent[0][0] <= second - RATE_WINDOW_S:
            self.recent.popleft()

    def rate(self, now_s: float) -> float:
        return sum(count for second, count in self.recent if second > now_s - RATE_WINDOW_S) / RATE_WINDOW_S


class Metrics(PluginBase):
    def __init__(self, plugin_id: str, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(plugin_id, config)
        unknown = sorted(set(self.config) - set(SETTINGS))
        if unknown:
            raise ValueError(f"config: there is no `{unknown[0]}`; there are {', '.join(SETTINGS)}")
        self.page = str(self.config.get("page", ""))
        self.interval_s = float(self.config.get("interval_s", 15))
        self.plugins_max = int(self.config.get("plugins_max", 1000))
        if self.interval_s <= 0 or self.plugins_max < 1:
            raise ValueError("interval_s must be above 0 and plugins_max at least 1")
        if self.page and not os.path.isdir(os.path.dirname(self.page)):
            raise ValueError(f"page: the folder of {self.page} is not there: grant fs_write of it")
        self.guard = threading.Lock()
        self.plugins: dict[str, Figures] = {}
        self.events: Counter[str] = Counter()
        self.missed = 0
        self.last_seq = 0
        self.since = ""
        self.page_error = ""

    def on_startup(self) -> None:
        if self.page:
            self.write_page()
            threading.Thread(target=self.write_pages, name="page", daemon=True).start()

    def on_event(self, event: Event) -> None:
        with self.guard:
            self.last_seq = event.seq
            self.since = self.since or event.time.strftime("%Y-%m-%d %H:%M:%S UTC")
            self.events[event.type] += 1
            if event.plugin_name:
                self.count(self.figures(event.plugin_name), event)

    def on_gap(self, gap: Gap) -> None:
        with self.guard:
            self.missed += gap.count

    def on_shutdown(self) -> None:
        if self.page:
            self.write_page()

    def figures(self, plugin: str) -> Figures:
        if plugin not in self.plugins and len(self.plugins) >= self.plugins_max:
            plugin = "(other)"
        return self.plugins.setdefault(plugin, Figures())

    @staticmethod
    def count(figures: Figures, event: Event) -> None:
        second = event.time_ns // 1_000_000_000
        if event.type == "PluginInvoked":
            figures.started += 1
        elif event.type == "PluginResult":
            figures.completed += 1
            figures.end_call(second)
            measured = event.payload["figures"]
            if measured is not None:
                figures.latency.add(measured["execution_time_ms"])
        elif event.type == "PluginError":
            figures.failed[event.payload["reason"] or "unknown"] += 1
            figures.end_call(second)
        elif event.type == "InstanceCrashed":
            figures.crashes += 1
        elif event.type == "PermissionDenied":
            figures.denials += max(1, event.payload["count"])

    # --- what it shows ---

    def health(self) -> Health:
        with self.guard:
            return Health(not self.page_error, self.text()[:DETAIL_BYTES_MAX])

    def text(self) -> str:
        now = time.time()
        calls = sum(figures.started for figures in self.plugins.values())
        lines = [f"{sum(self.events.values())} events, {calls} calls since {self.since or 'the start'}"
                 + (f"; {self.missed} events missed" if self.missed else "")
                 + (f"; the page cannot be written: {self.page_error}" if self.page_error else "")]
        names = sorted((name for name, figures in self.plugins.items() if figures.started or figures.crashes),
                       key=lambda name: -self.plugins[name].started)
        if names:
            lines.append(f"{'PLUGIN':<24} {'CALLS':>9} {'FAILED':>8} {'PER S':>8} {'P50 MS':>9} {'P90 MS':>9} "
                         f"{'P99 MS':>9} {'CRASHES':>8}")
        for name in names:
            figures = self.plugins[name]
            shares = "".join(f" {figures.latency.percentile(share):>9.2f}" for share in (0.5, 0.9, 0.99))
            lines.append(f"{name[:24]:<24} {figures.started:>9} {sum(figures.failed.values()):>8} "
                         f"{figures.rate(now):>8.1f}{shares} {figures.crashes:>8}")
        return "\n".join(lines)

    def prometheus(self) -> str:
        lines = ["# TYPE liongate_events_total counter"]
        lines += [f'liongate_events_total{{type="{name}"}} {count}' for name, count in sorted(self.events.items())]
        lines += ["# TYPE liongate_events_missed_total counter", f"liongate_events_missed_total {self.missed}",
                  "# TYPE liongate_last_seq gauge", f"liongate_last_seq {self.last_seq}",
                  "# TYPE liongate_calls_started_total counter", "# TYPE liongate_calls_completed_total counter",
                  "# TYPE liongate_calls_failed_total counter", "# TYPE liongate_instance_crashes_total counter",
                  "# TYPE liongate_permission_denials_total counter", "# TYPE liongate_call_latency_ms summary"]
        for name, figures in sorted(self.plugins.items()):
            label = f'plugin="{name}"'
            lines += [f"liongate_calls_started_total{{{label}}} {figures.started}",
                      f"liongate_calls_completed_total{{{label}}} {figures.completed}",
                      f"liongate_instance_crashes_total{{{label}}} {figures.crashes}",
                      f"liongate_permission_denials_total{{{label}}} {figures.denials}"]
            lines += [f'liongate_calls_failed_total{{{label},reason="{reason}"}} {count}'
                      for reason, count in sorted(figures.failed.items())]
            lines += [f'liongate_call_latency_ms{{{label},quantile="{share}"}} {figures.latency.percentile(share):.3f}'
                      for share in (0.5, 0.9, 0.99)]
            lines += [f"liongate_call_latency_ms_sum{{{label}}} {figures.latency.total_ms:.3f}",
                      f"liongate_call_latency_ms_count{{{label}}} {figures.latency.count}"]
        return "\n".join(lines) + "\n"

    # --- the file ---

    def write_pages(self) -> None:
        while not self.wait(self.interval_s):
            self.write_page()

    def write_page(self) -> None:
        with self.guard:
            text = self.prometheus()
        made = f"{self.page}.new"
        try:
            with open(made, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(made, self.page)  # whoever reads it sees a whole page
            self.page_error = ""
        except OSError as error:
            if not self.page_error:
                print(f"{self.page}: {error}")
            self.page_error = str(error)


if __name__ == "__main__":
    Metrics.run()
