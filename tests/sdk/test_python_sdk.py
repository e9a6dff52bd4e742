"""The Python SDK: plugins written into a folder and started as the daemon starts them."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_driver import (BUILD, PluginProcess, cancel, config_changed, encode, hello, invoke, ping, python_plugin,
                           shutdown)

Start = Callable[[str], PluginProcess]
HEAD = "import sys, time\nfrom liongate import Call, Failure, Health, Plugin, Result\n"


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def started(source: str) -> PluginProcess:
        file = tmp_path / "tested.py"
        file.write_text(HEAD + textwrap.dedent(source))
        return python_plugin(file)

    return started


def test_hello_python_greets_with_its_name_and_input() -> None:
    with python_plugin(BUILD / "plugins" / "hello-python" / "hello.py") as plugin:
        ready = plugin.greet(plugin_name="hello-python")
        assert list(ready.operations) == [""]
        assert ready.concurrency == 1
        assert ready.sdk.startswith("liongate-python/")
        assert plugin.call("test").output.text == "Hello from hello-python: test"
        plugin.send(shutdown())
        assert plugin.wait() == 0
        assert plugin.stderr() == ""


OUTCOMES = """
plugin = Plugin()

@plugin.operation("")
def repeat(call: Call):
    return call.input

@plugin.operation("dict")
def structured(call: Call):
    return {"text": call.text, "length": len(call.data), "grüß": [1, None]}

@plugin.operation("rich")
def rich(call: Call):
    return Result("x", warnings=["careful"], metadata={"key": "value"})

@plugin.operation("json")
def parsed(call: Call):
    return call.json()

@plugin.operation("raises failure")
def raises_failure(call: Call):
    raise Failure("NO", "because", retryable=True)

@plugin.operation("returns failure")
def returns_failure(call: Call):
    return Failure("NO", "because")

@plugin.operation("raises")
def raises(call: Call):
    raise ValueError("thrown on purpose")

@plugin.operation("exits")
def exits(call: Call):
    sys.exit(3)

@plugin.operation("none")
def none(call: Call):
    pass

@plugin.operation("number")
def number(call: Call):
    return Result(7)

@plugin.operation("surrogate")
def surrogate(call: Call):
    return "\\ud800"

@plugin.operation("large")
def large(call: Call):
    return "x" * 2000

@plugin.operation("metadata")
def metadata(call: Call):
    return Result("x", metadata={"key": "v" * 200_000})
"""


def test_what_a_handler_returns_becomes_the_result(start: Start) -> None:
    with start(OUTCOMES) as plugin:
        plugin.greet()
        assert plugin.call("text").output.text == "text"
        assert plugin.call(b"\xff").output.data == b"\xff"
        assert plugin.call("").output.WhichOneof("kind") == "text"
        assert json.loads(plugin.call("ü", "dict").output.text) == {"text": "ü", "length": 2, "grüß": [1, None]}
        assert json.loads(plugin.call("[1, 2]", "json").output.text) == [1, 2]
        rich = plugin.call("", "rich")
        assert (rich.output.text, list(rich.warnings), dict(rich.metadata)) == ("x", ["careful"], {"key": "value"})


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        ("raises failure", "NO", "because"),
        ("returns failure", "NO", "because"),
        ("raises", "PLUGIN_EXCEPTION", "ValueError: thrown on purpose"),
        ("exits", "PLUGIN_EXCEPTION", "SystemExit: 3"),
        ("none", "PLUGIN_EXCEPTION", "returned NoneType"),
        ("number", "PLUGIN_EXCEPTION", "returned int"),
        ("surrogate", "PLUGIN_EXCEPTION", "UnicodeEncodeError"),
        ("json", "BAD_INPUT", "not JSON"),
        ("dance", "UNKNOWN_OPERATION", '"raises failure"'),
    ],
)
def test_failures_say_what_is_wrong(start: Start, operation: str, code: str, message: str) -> None:
    with start(OUTCOMES) as plugin:
        plugin.greet()
        failure = plugin.call("nothing", operation).failure
        assert failure.code == code
        assert message in failure.message
        assert plugin.call("still there").output.text == "still there"


def test_a_traceback_is_in_the_log(start: Start) -> None:
    with start(OUTCOMES) as plugin:
        plugin.greet()
        plugin.call("", "raises")
        assert "ValueError: thrown on purpose" in plugin.stderr()
        assert "in raises" in plugin.stderr()


def test_outputs_above_the_bound_are_failures(start: Start) -> None:
    with start(OUTCOMES) as plugin:
        plugin.greet(output_bytes_max=1000, frame_bytes_max=100_000)
        assert plugin.call("", "large").failure.code == "OUTPUT_TOO_LARGE"
        assert plugin.call("", "metadata").failure.code == "OUTPUT_TOO_LARGE"
        assert plugin.call("x" * 1000).output.text == "x" * 1000


def test_a_generator_streams(start: Start) -> None:
    source = """
    plugin = Plugin()
    @plugin.operation("")
    def parts(call: Call):
        yield "one"
        yield b"\\xff"
        return {"parts": 2}
    @plugin.operation("no result")
    def no_result(call: Call):
        yield "only"
    """
    with start(source) as plugin:
        plugin.greet()
        plugin.send(invoke(5))
        first, second, last = plugin.receive_many(3)
        assert (first.output.call_id, first.output.part.text) == (5, "one")
        assert second.output.part.data == b"\xff"
        assert last.result.output.text == '{"parts":2}'
        plugin.send(invoke(6, "", "no result"))
        assert [frame.WhichOneof("kind") for frame in plugin.receive_many(2)] == ["output", "result"]


def test_log_lines_and_prints_do_not_mix_with_frames(start: Start) -> None:
    source = """
    plugin = Plugin()
    @plugin.operation("")
    def talk(call: Call):
        print("on stdout")
        print("on stderr", file=sys.stderr)
        call.log.warning("careful")
        return "done"
    """
    with start(source) as plugin:
        plugin.greet()
        plugin.send(invoke(5))
        line, result = plugin.receive_many(2)
        assert (line.log.message, line.log.call_id, line.log.level) == ("careful", 5, 3)
        assert result.result.output.text == "done"
        assert plugin.stdout() == "on stdout\n"
        assert plugin.stderr() == "on stderr\n"


WAITS = """
plugin = Plugin(concurrency={concurrency})
@plugin.operation("")
def wait(call: Call):
    call.log.info("running")  # a cancel that comes before it would find a call that never began
    while not call.cancelled:
        time.sleep(0.002)
    return "noticed"
@plugin.operation("echo", quick=True)
def echo(call: Call):
    return call.input
@plugin.health
def health():
    return "tired"
"""


def test_one_at_a_time_and_still_sees_cancels_and_pings(start: Start) -> None:
    with start(WAITS.format(concurrency=1)) as plugin:
        plugin.greet()
        plugin.send(invoke(1), invoke(2, "two", "echo"), invoke(3, "three"))
        assert plugin.receive().log.call_id == 1
        plugin.send(ping(9), cancel(3), cancel(1))
        pong = plugin.receive().pong
        assert (pong.nonce, pong.healthy, pong.detail) == (9, False, "tired")
        first, second, third = plugin.receive_many(3)
        assert first.result.output.text == "noticed"
        assert second.result.output.text == "two"
        assert third.result.failure.code == "CANCELLED"


def test_many_at_a_time(start: Start) -> None:
    with start(WAITS.format(concurrency=16)) as plugin:
        assert plugin.greet(concurrency_max=8).concurrency == 8
        plugin.send(*[invoke(number) for number in range(1, 9)], invoke(9, "quick", "echo"))
        begun = plugin.receive_many(9)
        assert {frame.log.call_id for frame in begun if frame.WhichOneof("kind") == "log"} == set(range(1, 9))
        assert [frame.result.call_id for frame in begun if frame.WhichOneof("kind") == "result"] == [9]
        plugin.send(ping(1))
        assert plugin.receive().pong.nonce == 1
        plugin.send(*[cancel(number) for number in range(1, 9)], shutdown())
        assert {frame.result.call_id for frame in plugin.receive_many(8)} == set(range(1, 9))
        assert plugin.wait() == 0


def test_every_call_of_a_pool_is_answered_once(start: Start) -> None:
    source = """
    plugin = Plugin(concurrency=8)
    @plugin.operation("")
    def repeat(call: Call):
        return call.input
    """
    with start(source) as plugin:
        plugin.greet()
        plugin.send(*[invoke(number, str(number)) for number in range(1, 2001)])
        answers = {frame.result.call_id: frame.result.output.text for frame in plugin.receive_many(2000)}
        assert answers == {number: str(number) for number in range(1, 2001)}


def test_configuration_deadline_and_ids(start: Start) -> None:
    source = """
    plugin = Plugin()
    @plugin.on_start
    def begin(config):
        print("start", config["colour"])
    @plugin.on_config_changed
    def changed(config):
        print("changed", config["colour"])
    @plugin.on_shutdown
    def bye():
        print("bye")
    @plugin.operation("")
    def tell(call: Call):
        left = None if call.deadline is None else round(call.deadline - time.monotonic())
        return {"colour": call.config["colour"], "left": left, "ids": [call.execution_id, call.correlation_id]}
    """
    with start(source) as plugin:
        plugin.greet(config_json='{"colour":"red"}')
        told = json.loads(plugin.call(execution_id="e", correlation_id="c", time_left_ms=30_000).output.text)
        assert told == {"colour": "red", "left": 30, "ids": ["e", "c"]}
        plugin.send(config_changed('{"colour":"blue"}'))
        assert json.loads(plugin.call().output.text) == {"colour": "blue", "left": None, "ids": ["", ""]}
        plugin.send(shutdown())
        assert plugin.wait() == 0
        assert plugin.stdout() == "start red\nchanged blue\nbye\n"


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("plugin = Plugin()\n@plugin.operation\ndef f(call): pass\n", 1, "with the parentheses"),
        ("plugin = Plugin()\nfor _ in 'ab':\n  plugin.operation('x')(print)\n", 1, "'x' is declared twice"),
        ("plugin = Plugin()\nplugin.operation('x')(7)\n", 1, "is a int, not a function"),
        ("plugin = Plugin(concurrency=0)\n", 1, "concurrency is 0"),
        ("import no_such_module\n", 1, "No module named 'no_such_module'"),
        ("print('no plugin')\n", 64, "declares no liongate.Plugin"),
        ("a, b = Plugin(), Plugin()\n", 64, "declares 2 Plugins"),
    ],
)
def test_an_author_is_told_the_mistake(start: Start, source: str, code: int, said: str) -> None:
    with start(source) as plugin:
        assert plugin.wait() == code
        assert said in plugin.stderr().splitlines()[-1]


def test_a_start_that_fails_is_in_the_log(start: Start) -> None:
    source = """
    plugin = Plugin()
    @plugin.on_start
    def begin(config):
        raise RuntimeError("no ink")
    """
    with start(source) as plugin:
        plugin.send(hello())
        assert plugin.receive().log.message == "on_start: RuntimeError: no ink"
        assert plugin.wait() == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x03\x00\x00\x00\xff\xff\xff", "not a liongate.v1.Frame"),
        (b"\x00\x00\x00\x00", "length 0"),
        (b"\xff\xff\xff\xff", "4294967295 bytes"),
        (encode(invoke(1)), "the first frame is not Hello"),
        (encode(hello(version_min=2, version_max=2)), "versions 2 to 2"),
        (encode(hello(), hello()), "a frame of kind hello"),
        (encode(hello(), invoke(0)), "call id 0"),
    ],
)
def test_garbage_ends_it_with_a_clear_line(start: Start, sent: bytes, said: str) -> None:
    with start(OUTCOMES) as plugin:
        plugin.send_bytes(sent)
        assert plugin.wait() == 76
        lines = plugin.stderr().splitlines()
        assert len(lines) == 1 and "protocol error: " in lines[0] and said in lines[0]


def test_large_frames_in_both_directions(start: Start) -> None:
    with start(OUTCOMES) as plugin:
        plugin.greet()
        large = b"x" * (16 * 1024 * 1024)
        begun = time.monotonic()
        assert plugin.call(large).output.data == large
        assert time.monotonic() - begun < 10


def test_end_of_input_is_a_clean_exit(start: Start) -> None:
    with start(OUTCOMES) as plugin:
        plugin.greet()
        plugin.send(invoke(1, "last"))
        plugin.end_input()
        assert plugin.receive().result.output.text == "last"
        assert plugin.wait() == 0


SECRETS = """
plugin = Plugin(concurrency=CONCURRENCY)

@plugin.operation("")
def asks(call: Call):
    return call.secret(call.text) + b" " + call.secret("second")

@plugin.operation("catches")
def catches(call: Call):
    try:
        return call.secret("refused")
    except Failure as failure:
        return f"{failure.code}: {failure.message}"

plugin.run()
"""


def reply(host_call_id: int, value: bytes = b"", reason: str = "") -> object:
    frame = type(hello())()
    frame.host_reply.host_call_id = host_call_id
    frame.host_reply.reply = value
    frame.host_reply.error_reason = reason
    frame.host_reply.error_message = "because" if reason else ""
    return frame


@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_a_handler_asks_for_secrets_and_sees_what_comes_meanwhile(start: Start, concurrency: str) -> None:
    with start(SECRETS.replace("CONCURRENCY", concurrency)) as plugin:
        plugin.greet()
        plugin.send(invoke(3, "first"))
        first = plugin.receive().host_call
        assert (first.method, first.request, first.call_id) == ("secret", b"first", 3)
        plugin.send(ping(5), reply(4711, b"nobody's"), reply(first.host_call_id, b"a\xff"))
        assert plugin.receive().pong.nonce == 5
        second = plugin.receive().host_call
        assert second.host_call_id != first.host_call_id
        plugin.send(reply(second.host_call_id, b"b"))
        assert plugin.receive().result.output.data == b"a\xff b"


@pytest.mark.parametrize("operation", ["", "catches"])
def test_a_refused_secret_is_a_failure_that_the_handler_may_catch(start: Start, operation: str) -> None:
    with start(SECRETS.replace("CONCURRENCY", "1")) as plugin:
        plugin.greet()
        plugin.send(invoke(3, "first", operation))
        plugin.send(reply(plugin.receive().host_call.host_call_id, reason="PERMISSION_DENIED"))
        result = plugin.receive().result
        told = result.output.text or f"{result.failure.code}: {result.failure.message}"
        assert told == "PERMISSION_DENIED: because"


@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_a_daemon_that_goes_leaves_nobody_waiting_for_a_secret(start: Start, concurrency: str) -> None:
    with start(SECRETS.replace("CONCURRENCY", concurrency)) as plugin:
        plugin.greet()
        plugin.send(invoke(3, "first"))
        assert plugin.receive().WhichOneof("kind") == "host_call"
        plugin.end_input()
        assert plugin.receive().result.failure.code == "SHUTTING_DOWN"
        assert plugin.wait() == 0
