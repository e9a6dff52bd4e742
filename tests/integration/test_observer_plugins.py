"""The observers that ship and the examples: in a daemon, from plugins.yaml."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import paths
from harness.daemon import Daemon, kill_process
from harness.network_world import World
from harness.observers import Observers
from harness.waiting import eventually


@pytest.fixture
def observers(make_daemon: Callable[..., Daemon]) -> Iterator[Observers]:
    yield Observers(make_daemon().start())


def shipped(name: str, entry: str = "", **more: Any) -> dict[str, Any]:
    return {"id": entry or name, "module": str(paths.PLUGINS / name / "manifest.toml"), **more}


def log_text(daemon: Daemon, plugin: str) -> str:
    replies = daemon.client.plugins.GetPluginLogs(plugin=plugin)
    return "\n".join(entry.line for reply in replies for entry in reply.entries)


def test_metrics_is_a_page_of_get_plugin_health(observers: Observers) -> None:
    page = observers.out / "metrics.prom"
    observers.write(shipped("metrics", config={"page": str(page), "interval_s": 0.2},
                            permissions=[f"fs_write:{observers.out}"]))
    daemon = observers.daemon
    daemon.wait_event("PluginStarted", plugin="metrics")
    daemon.load("hello")
    for number in range(20):
        daemon.invoke("hello", f"{number}")
    observers.caught_up("metrics")
    shown = daemon.ctl.ok("get-plugin-health", "metrics").text
    row = next(line for line in shown.splitlines() if line.startswith("hello"))
    assert row.split()[1:3] == ["20", "0"] and "P99 MS" in shown
    eventually(lambda: 'liongate_calls_completed_total{plugin="hello"} 20' in page.read_text(), "the page is written")


def test_the_cpp_tally_observes(observers: Observers) -> None:
    observers.write(shipped("tally"))
    daemon = observers.daemon
    daemon.wait_event("PluginStarted", plugin="tally")
    daemon.load("hello")
    for number in range(10):
        daemon.invoke("hello", f"{number}")
    observers.caught_up("tally")
    health = daemon.client.plugins.GetPluginHealth(plugin="tally")
    assert health.healthy and int(health.detail.split()[0]) >= 20
    daemon.client.plugins.StopPlugin(plugin="tally")
    assert "tally saw" in log_text(daemon, "tally")


def test_the_exporter_loses_and_repeats_nothing_in_a_file_while_it_is_killed(observers: Observers) -> None:
    file = observers.out / "events.jsonl"
    shown = {"types": ["PluginInvoked", "PluginResult"]}
    observers.write(shipped("event-exporter", config={"file": str(file), "rotate_bytes_max": 60_000,
                                                      "rotate_files_max": 100},
                            filter=shown, permissions=[f"fs_write:{observers.out}"]))
    daemon = observers.daemon
    daemon.wait_event("PluginStarted", plugin="event-exporter")
    daemon.load("hello")
    for kill in range(3):
        for number in range(100):
            daemon.invoke("hello", f"{number}")
        kill_process(daemon.get("event-exporter").pid)
        eventually(lambda kill=kill: (plugin := daemon.get("event-exporter")).restart_count > kill and plugin.pid > 1,
                   "it runs again", 30)
    observers.caught_up("event-exporter")
    files = sorted(observers.out.glob("events.jsonl*"),
                   key=lambda path: -int(path.suffix[1:] if path.suffix != ".jsonl" else 0))
    exported = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    expected = daemon.events(**shown)
    assert [int(event["id"]) for event in exported] == [event.seq for event in expected]
    printed = daemon.ctl.ok("replay-log", "-o", "cloudevents", "--type", "PluginResult", "--limit", "1").text
    ours = next(event for event in exported if event["type"] == "liongate.v1.PluginResult")
    assert ours == json.loads(printed), "the same as replay-log prints"


class Collector:
    """An HTTP server that refuses the first posts."""

    def __init__(self, refusals: list[int]) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.refused = 0
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if refusals:
                    collector.refused += 1
                    self.send_response(refusals.pop(0))
                else:
                    collector.events += json.loads(body)
                    collector.headers = dict(self.headers)
                    self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_the_exporter_posts_until_the_other_end_takes_it(world: World) -> None:
    collector = world.serves(Collector([503, 500, 429]))  # type: ignore[type-var]
    world.name("collector.example", "127.0.0.1")
    observers = Observers(world.daemon)
    shown = {"types": ["PluginResult"]}
    observers.write(shipped("event-exporter", "poster", config={"url": f"http://collector.example:{collector.port}/in"},
                            filter=shown, permissions=[f"network:collector.example:{collector.port}"]))
    daemon = world.daemon
    daemon.wait_event("PluginStarted", plugin="poster")
    daemon.load("hello")
    for number in range(30):
        daemon.invoke("hello", f"{number}")
    expected = {event.seq for event in daemon.events(**shown)}
    eventually(lambda: {int(event["id"]) for event in collector.events} >= expected, "every event was posted", 30)
    assert collector.refused == 3
    assert "answers 503" in log_text(daemon, "poster")
    assert daemon.client.plugins.GetPluginHealth(plugin="poster").healthy


def test_an_exporter_without_the_grant_reaches_nobody(world: World) -> None:
    collector = world.serves(Collector([]))  # type: ignore[type-var]
    observers = Observers(world.daemon)
    observers.write(shipped("event-exporter", "poster", config={"url": f"http://127.0.0.1:{collector.port}/in"}))
    daemon = world.daemon
    daemon.wait_event("PluginStarted", plugin="poster")
    daemon.load("hello")
    daemon.invoke("hello", "x")
    eventually(lambda: not daemon.client.plugins.GetPluginHealth(plugin="poster").healthy, "it says that it cannot")
    assert not collector.events


def test_two_exporters_by_http_do_not_feed_each_other(world: World) -> None:
    """Each post is a flow, each flow an event: those of observers are shown to none."""
    collector = world.serves(Collector([]))  # type: ignore[type-var]
    world.name("collector.example", "127.0.0.1")
    observers = Observers(world.daemon)
    entry = {"config": {"url": f"http://collector.example:{collector.port}/in"},
             "permissions": [f"network:collector.example:{collector.port}"]}
    observers.write(shipped("event-exporter", "first", **entry), shipped("event-exporter", "second", **entry))
    daemon = world.daemon
    for name in ("first", "second"):
        daemon.wait_event("PluginStarted", plugin=name)
    daemon.load("hello")
    daemon.invoke("hello", "x")
    observers.caught_up("first", "second")
    eventually(lambda: any(event["type"] == "liongate.v1.PluginResult" for event in collector.events), "it was posted")
    flows = daemon.events(types=["NetworkFlowOpened"])
    assert flows and not any(event["type"].startswith("liongate.v1.NetworkFlow") for event in collector.events)
    last = daemon.status().last_seq
    observers.caught_up("first", "second")
    settled = daemon.events(after_seq=last)
    assert len(settled) < 12, "the log comes to rest"


def test_the_examples_run_as_they_stand(make_daemon: Callable[..., Daemon]) -> None:
    observers = Observers(make_daemon())
    for example in ("logging_observer", "metrics_observer", "tally"):
        text = (paths.ROOT / f"sdk/python/examples/{example}.py").read_text()
        observers.module(f"example_observers/{example}.py", text)
    file = (paths.ROOT / "sdk/python/examples/plugins.yaml").read_text().replace("/etc/liongate", str(observers.folder))
    observers.write_text(file)
    daemon = observers.daemon.start()
    for name in ("example_logging", "example_metrics"):
        daemon.wait_state(name, "RUNNING")
    daemon.load("hello")
    daemon.invoke("hello", "x")
    eventually(lambda: "PluginResult - plugin_result" in log_text(daemon, "example_logging"), "it logs")
    daemon.client.plugins.StopPlugin(plugin="example_logging")
    assert "Plugin example_logging shutdown. Processed" in log_text(daemon, "example_logging")
