"""Python observers: what the daemon says and hears, and the harness that needs no daemon."""

from __future__ import annotations

import json
import resource
import runpy
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_driver import BUILD, SDK, PluginProcess, hello, ping, python_plugin, shutdown

from liongate import frame_pb2  # isort: skip
from liongate.event import Event  # isort: skip
from liongate.testing import observe, saved_events  # isort: skip
from liongate.v1 import event_pb2  # isort: skip

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "sdk/python/examples"
HEAD = "import sys, time\nfrom liongate import Event, Gap, Health, PluginBase\n"
Start = Callable[[str], PluginProcess]


def sample(seq: int, kind: str = "PluginInvoked") -> Any:
    event = event_pb2.Event(seq=seq, type=kind, plugin_name="hello", actor="uid:0")
    event.time.seconds = 1_700_000_000
    if kind == "PluginInvoked":
        event.plugin_invoked.input.text = "x"
        event.plugin_invoked.input.size_bytes = 1
    return event


def event_frame(seq: int, kind: str = "PluginInvoked") -> Any:
    frame = frame_pb2.Frame()
    frame.event.seq = seq
    frame.event.event = sample(seq, kind).SerializeToString()
    return frame


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    def started(source: str) -> PluginProcess:
        file = tmp_path / "tested.py"
        file.write_text(HEAD + textwrap.dedent(source))
        return python_plugin(file)

    yield started


def load(file: Path, name: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(file.read_text(), str(file), "exec"), namespace)
    return namespace[name]


COUNTS = """
class Counts(PluginBase):
    def on_event(self, event: Event) -> None:
        print(event.seq, event.type, event.payload["input"]["text"])
"""


def test_a_file_with_one_observer_class_is_served(start: Start) -> None:
    with start(COUNTS) as plugin:
        plugin.send(hello(plugin_name="counts"))
        ready = plugin.receive().ready
        assert list(ready.features) == ["on_event"] and ready.name == "counts"
        plugin.send(event_frame(4), event_frame(9))
        seq = 0
        while seq < 9:
            seq = plugin.receive().ack.seq
        plugin.send(shutdown())
        assert plugin.wait() == 0


def test_an_observer_that_is_busy_answers_pings(start: Start) -> None:
    with start("class Slow(PluginBase):\n    def on_event(self, event):\n        self.wait(30)\n") as plugin:
        plugin.send(hello())
        plugin.receive()
        plugin.send(event_frame(1), ping(7))
        pong = plugin.receive().pong
        assert pong.nonce == 7 and pong.healthy
        plugin.send(shutdown())
        assert plugin.wait() == 0


def test_an_observer_lives_on_the_main_thread_from_its_constructor_to_its_end(start: Start) -> None:
    """What it opened at the start may be bound to its thread (sqlite3 is), or to the main one (signals are)."""
    source = """
        import signal
        import sqlite3

        class Keeps(PluginBase):
            def __init__(self, plugin_id, config):
                super().__init__(plugin_id, config)
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
                self.database = sqlite3.connect(":memory:")

            def on_startup(self):
                self.database.execute("CREATE TABLE seen (seq)")

            def on_event(self, event):
                self.database.execute("INSERT INTO seen VALUES (?)", (event.seq,))

            def on_shutdown(self):
                assert self.database.execute("SELECT count(*) FROM seen").fetchone() == (2,)
    """
    with start(source) as plugin:
        plugin.send(hello())
        ready = plugin.receive().ready
        assert not ready.startup_error
        plugin.send(event_frame(4), event_frame(9))
        seq = 0
        while seq < 9:
            frame = plugin.receive()
            assert frame.WhichOneof("kind") == "ack", frame
            seq = frame.ack.seq
        plugin.send(shutdown())
        assert plugin.wait() == 0


def test_what_is_waiting_at_the_end_is_not_acknowledged(start: Start) -> None:
    source = ("class Waits(PluginBase):\n    def on_event(self, event):\n"
              "        if self.wait(30): raise InterruptedError\n")
    with start(source) as plugin:
        plugin.send(hello())
        plugin.receive()
        plugin.send(event_frame(1), event_frame(2), shutdown())
        assert plugin.wait() == 0
        assert plugin.at_end(), "no Ack"


def test_a_slow_handler_is_acknowledged_event_by_event(start: Start) -> None:
    """However many have come: an observer that gets on must not seem to stand still."""
    with start("class Slow(PluginBase):\n    def on_event(self, event):\n        time.sleep(0.15)\n") as plugin:
        plugin.send(hello())
        plugin.receive()
        plugin.send(*(event_frame(seq) for seq in range(1, 5)))
        assert [plugin.receive().ack.seq for _ in range(4)] == [1, 2, 3, 4]
        plugin.send(shutdown())
        assert plugin.wait() == 0


def test_an_observer_that_is_asked_to_stop_ends_behind_the_event_it_is_at(start: Start) -> None:
    source = ("class Slow(PluginBase):\n    def on_event(self, event):\n        time.sleep(0.15)\n"
              "    def on_shutdown(self):\n        self.config['gone']\n")
    with start(source) as plugin:
        plugin.send(hello())
        plugin.receive()
        plugin.send(*(event_frame(seq) for seq in range(1, 101)))
        assert plugin.receive().ack.seq == 1
        plugin.send(shutdown())
        acknowledged = []
        while (frame := plugin.receive()).WhichOneof("kind") == "ack":
            acknowledged.append(frame.ack.seq)
        assert "on_shutdown: KeyError" in frame.log.message
        assert acknowledged == list(range(2, 2 + len(acknowledged))) and len(acknowledged) < 5
        assert plugin.wait() == 1


@pytest.mark.parametrize("raised", ["asyncio.CancelledError()", "KeyboardInterrupt()", "GeneratorExit()",
                                    "SystemExit(3)"])
def test_whatever_an_observer_raises_the_next_event_follows(start: Start, raised: str) -> None:
    source = f"""
        import asyncio

        class Raises(PluginBase):
            def on_event(self, event):
                if event.seq == 1:
                    raise {raised}

            def health(self):
                raise {raised}
    """
    with start(source) as plugin:
        plugin.send(hello())
        plugin.receive()
        plugin.send(event_frame(1), event_frame(2), ping(3))
        kinds = {}
        while "pong" not in kinds or kinds.get("ack", None) is None or kinds["ack"].ack.seq != 2:
            frame = plugin.receive()
            kinds[frame.WhichOneof("kind")] = frame
        name = raised.split("(")[0].split(".")[-1]
        assert f"on_event: {name}" in kinds["log"].log.message
        assert not kinds["pong"].pong.healthy
        plugin.send(shutdown())
        assert plugin.wait() == 0


def test_a_gap_is_tried_again_and_acknowledged_like_an_event(start: Start) -> None:
    source = """
        class Fails(PluginBase):
            tries = 0

            def on_event(self, event):
                pass

            def on_gap(self, gap):
                self.tries += 1
                if self.tries < 3:
                    raise OSError("not yet")
    """
    with start(source) as plugin:
        greeting = hello()
        greeting.hello.observer.retries = 2
        plugin.send(greeting)
        plugin.receive()
        frame = frame_pb2.Frame()
        frame.gap.first_missing_seq, frame.gap.last_missing_seq, frame.gap.count = 1, 7, 7
        plugin.send(frame)
        heard = [plugin.receive() for _ in range(3)]
        assert [one.WhichOneof("kind") for one in heard] == ["log", "log", "ack"]
        assert heard[2].ack.seq == 7
        plugin.send(shutdown())
        assert plugin.wait() == 0


@pytest.mark.parametrize("method", ["    async def on_event(self, event): pass\n",
                                    "    def on_event(self, event): yield event\n"])
def test_a_handler_that_would_never_run_says_why_it_cannot_start(start: Start, method: str) -> None:
    with start("class Never(PluginBase):\n" + method) as plugin:
        plugin.send(hello())
        refusal = plugin.receive().refusal
        assert refusal.reason == "NOT_A_PLUGIN" and "would never run" in refusal.message
        assert plugin.wait() == 1


def test_a_class_without_on_event_says_why_it_cannot_start(start: Start) -> None:
    with start("class Half(PluginBase):\n    pass\n") as plugin:
        plugin.send(hello())
        refusal = plugin.receive().refusal
        assert refusal.reason == "NOT_A_PLUGIN" and "class Half has no on_event" in refusal.message
        assert plugin.wait() == 1


def test_an_event_is_what_the_log_says_and_cannot_be_changed() -> None:
    event = Event(sample(3))
    assert (event.seq, event.type, event.plugin_name, event.actor) == (3, "PluginInvoked", "hello", "uid:0")
    assert event.payload["event"] == "plugin_invoked"
    assert event.payload["input"]["text"] == "x" and event.payload["input"]["size_bytes"] == 1
    assert "data" not in event.payload["input"], "of a oneof only what is there"
    assert event.time.isoformat() == "2023-11-14T22:13:20+00:00"
    assert event.to_dict()["plugin_invoked"]["input"]["text"] == "x"
    for change in (lambda: setattr(event, "seq", 1), lambda: event.payload.update(a=1),
                   lambda: event.payload["input"].__setitem__("text", "y")):
        with pytest.raises((AttributeError, TypeError)):
            change()
    assert Event.from_bytes(event.to_bytes()).seq == 3


# --- the harness ----------------------------------------------------------------------------------------------------

@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """As replay-log -o json prints it."""
    file = tmp_path / "saved.jsonl"
    lines = [json.dumps(Event(sample(seq)).to_dict()) for seq in range(1, 11)]
    lines.insert(5, json.dumps({"gap": {"first_missing_seq": "1", "last_missing_seq": "3", "count": "3"}}))
    file.write_text("\n".join(lines) + "\n")
    return file


def test_the_python_tally_counts_a_saved_log(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = observe(load(EXAMPLES / "tally.py", "Tally"), saved_events(str(saved)))
    assert (outcome.handled, outcome.failures, outcome.observer.count) == (10, [], 10)
    assert "tested saw 10 events" in capsys.readouterr().out


def test_the_example_logging_observer_s_shutdown_line_holds_the_count(saved: Path,
                                                                     capsys: pytest.CaptureFixture[str]) -> None:
    observe(load(EXAMPLES / "logging_observer.py", "ExampleLoggingPlugin"), saved_events(str(saved)), plugin_id="log")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Plugin log started"
    assert out[1] == "Event 1: PluginInvoked - plugin_invoked"
    assert out[-1] == "Plugin log shutdown. Processed 10 events"


def test_the_example_metrics_observer_samples_about_a_tenth_and_the_same_again() -> None:
    metrics = load(EXAMPLES / "metrics_observer.py", "ExampleMetricsPlugin")
    events = [Event(sample(seq)) for seq in range(1, 5001)]
    counts = [observe(metrics, events, {"sample_rate": 0.1, "seed": 7}).observer.counts["PluginInvoked"]
              for _ in range(2)]
    assert counts[0] == counts[1] and 400 < counts[0] < 600
    with pytest.raises(ValueError, match="sample_rate is 2.0"):
        observe(metrics, [], {"sample_rate": 2})


def test_what_an_observer_raises_is_kept_with_its_event(saved: Path, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "raises.py"
    file.write_text(HEAD + "class Raises(PluginBase):\n    def on_event(self, event):\n"
                           "        if event.seq == 4: raise ValueError('four')\n")
    outcome = observe(load(file, "Raises"), saved_events(str(saved)))
    assert outcome.handled == 9
    assert [str(failure) for failure in outcome.failures] == [
        "on_event at Event(4 PluginInvoked hello): ValueError: four"]


def run_harness(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "liongate.testing", *map(str, words)], capture_output=True, text=True,
                          env={"PYTHONPATH": str(SDK), "PATH": "/usr/bin:/bin"}, timeout=60, check=False)


def test_the_harness_is_a_program(saved: Path, tmp_path: Path) -> None:
    ran = run_harness(f"{EXAMPLES}/tally.py:Tally", saved)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "10 events handled, 0 failures")
    missing = run_harness(f"{EXAMPLES}/tally.py:Nothing", saved)
    assert missing.returncode == 2 and "has no Nothing" in missing.stderr
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text('{"seq": "1"}\nhello\n')
    unread = run_harness(f"{EXAMPLES}/tally.py:Tally", damaged)
    assert unread.returncode == 2 and f"{damaged}:2: not an event" in unread.stderr


@pytest.mark.parametrize(("words", "said"), [
    (["Tally"], "`Tally` is not FILE.py:CLASS"),
    ([f"{EXAMPLES}/tally.py:Tally", "--config", "{a}"], "--config: not JSON: "),
    ([f"{EXAMPLES}/tally.py:Tally", "--config", "[]"], "--config: must be a JSON object"),
])
def test_the_harness_says_what_is_wrong_with_its_words(saved: Path, words: list[str], said: str) -> None:
    ran = run_harness(words[0], saved, *words[1:])
    assert ran.returncode == 2 and said in ran.stderr and "Traceback" not in ran.stderr


def test_the_harness_shows_where_an_observer_raised(saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "raises.py"
    file.write_text(HEAD + "class Raises(PluginBase):\n    def on_event(self, event):\n        raise OSError('no')\n"
                           "class Refuses(PluginBase):\n    def __init__(self, plugin_id, config):\n"
                           "        raise ValueError('url is required')\n    def on_event(self, event): pass\n")
    raised = run_harness(f"{file}:Raises", saved)
    assert raised.returncode == 1 and f'File "{file}", line 5, in on_event' in raised.stderr
    assert raised.stderr.count("Traceback") == 3, "the first few are enough"
    refused = run_harness(f"{file}:Refuses", saved)
    assert refused.returncode == 1
    assert refused.stderr == "Refuses: the constructor raised ValueError: url is required\n"


def test_the_shipped_metrics_observer_measures(saved: Path) -> None:
    metrics = load(BUILD / "plugins/metrics/metrics.py", "Metrics")
    events = []
    for seq in range(1, 2001, 2):
        events.append(Event(sample(seq)))
        result = event_pb2.Event(seq=seq + 1, type="PluginResult", plugin_name="hello")
        result.plugin_result.figures.execution_time_ms = seq / 10
        events.append(Event(result))
    observer = observe(metrics, events).observer
    figures = observer.plugins["hello"]
    assert (figures.started, figures.completed) == (1000, 1000)
    for share, truth in ((0.5, 100), (0.9, 180), (0.99, 198)):
        assert truth * 0.999 <= figures.latency.percentile(share) <= truth * 1.22
    assert 'liongate_calls_completed_total{plugin="hello"} 1000' in observer.prometheus()
    assert observer.text().splitlines()[2].split()[:3] == ["hello", "1000", "0"]


def test_the_exporter_writes_each_event_once_when_the_disk_was_full(tmp_path: Path) -> None:
    namespace = runpy.run_path(str(BUILD / "plugins/event-exporter/event_exporter.py"))
    sink = namespace["FileSink"](str(tmp_path / "out"), 1 << 20, 1)
    events = [namespace["cloud_event"](Event(sample(seq)), "node") for seq in range(1, 31)]
    sink.put(events[:10])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sink.size_bytes + 100, hard))
    try:
        for _ in range(2):
            with pytest.raises(OSError):
                sink.put(events[10:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sink.put(events[10:])
    written = [json.loads(line)["id"] for line in (tmp_path / "out").read_text(encoding="utf-8").splitlines()]
    assert written == [str(seq) for seq in range(1, 31)]


def test_the_exporter_takes_a_header_from_a_secret(tmp_path: Path) -> None:
    namespace = runpy.run_path(str(BUILD / "plugins/event-exporter/event_exporter.py"))
    (tmp_path / "collector").write_text("Bearer abc\n", encoding="utf-8")
    namespace["HttpSink"].__init__.__globals__["SECRETS_FOLDER"] = str(tmp_path)
    sink = namespace["HttpSink"]("http://d", {"X-Team": "us"}, {"Authorization": "collector"}, 1.0)
    assert sink.headers["Authorization"] == "Bearer abc" and sink.headers["X-Team"] == "us"
    with pytest.raises(ValueError, match="Authorization is the secret 'none', and that is not there.*secret:none"):
        namespace["HttpSink"]("http://d", {}, {"Authorization": "none"}, 1.0)


def test_the_exporter_writes_each_event_once_and_rotates(tmp_path: Path) -> None:
    exporter = load(BUILD / "plugins/event-exporter/event_exporter.py", "EventExporter")
    file = tmp_path / "events.jsonl"
    events = [Event(sample(seq)) for seq in range(1, 101)]
    config = {"file": str(file), "rotate_bytes_max": 4000, "rotate_files_max": 50, "batch_events_max": 5}
    observe(exporter, events[:60], config)
    with open(file, "a") as torn:
        torn.write('{"specversion":"1.0","id":"61"')  # as a kill in the middle of a write leaves it
    observe(exporter, events[40:], config)  # it was told of some of them before
    files = sorted(tmp_path.glob("events.jsonl*"),
                   key=lambda path: -int(path.suffix[1:] if path.suffix != ".jsonl" else 0))
    assert len(files) > 3
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert [int(line["id"]) for line in lines] == list(range(1, 101))
    assert lines[0]["type"] == "liongate.v1.PluginInvoked" and lines[0]["data"]["input"]["text"] == "x"


@pytest.mark.parametrize("config", [{}, {"file": "/tmp/a", "url": "http://b"}, {"url": "ftp://c"},
                                    {"url": "http://d", "batch_events_max": 0}, {"file": "/tmp/a", "rotate": 1},
                                    {"url": "http://d", "header_secrets": {"Authorization": "none"}}])
def test_the_exporter_refuses_what_it_cannot_mean(config: dict[str, Any]) -> None:
    exporter = load(BUILD / "plugins/event-exporter/event_exporter.py", "EventExporter")
    with pytest.raises(ValueError):
        observe(exporter, [], config)
