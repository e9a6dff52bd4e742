"""The shipped C++ plugins as processes: what the daemon will see of them."""

import time

import pytest

from plugin_driver import cancel, config_changed, cpp_plugin, encode, hello, invoke, ping, shutdown


@pytest.mark.parametrize("name", ["hello", "echo"])
def test_ready_and_a_clean_end(name: str) -> None:
    with cpp_plugin(name) as plugin:
        ready = plugin.greet()
        assert ready.name == name
        assert ready.sdk.startswith("liongate-cpp/")
        plugin.send(shutdown())
        assert plugin.wait() == 0
        assert plugin.at_end()
        assert plugin.stderr() == ""


def test_hello_greets_with_its_name_and_input() -> None:
    with cpp_plugin("hello") as plugin:
        plugin.greet(plugin_name="hello")
        assert plugin.call("test").output.text == "Hello from hello: test"


def test_hello_takes_any_bytes() -> None:
    with cpp_plugin("hello") as plugin:
        plugin.greet(plugin_name="hello")
        assert plugin.call(b"\xff\x00").output.data == b"Hello from hello: \xff\x00"
        assert plugin.call("grüß\u20ac").output.text == "Hello from hello: grüß\u20ac"


def test_echo_keeps_the_kind_and_every_byte() -> None:
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        assert plugin.call("").output.WhichOneof("kind") == "text"
        everything = bytes(range(256)) * 64
        assert plugin.call(everything).output.data == everything


def test_echo_of_the_largest_input() -> None:
    largest = b"x" * (16 * 1024 * 1024)
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        assert plugin.call(largest).output.data == largest


def test_a_batch_is_answered_whole_and_in_order() -> None:
    with cpp_plugin("echo") as plugin:
        assert plugin.greet().concurrency == 64
        plugin.send(*[invoke(number, str(number)) for number in range(1, 5001)])
        answers = plugin.receive_many(5000)
        assert [answer.result.call_id for answer in answers] == list(range(1, 5001))
        assert all(answer.result.output.text == str(answer.result.call_id) for answer in answers)


def test_a_sleeping_call_holds_up_no_echo() -> None:
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        plugin.send(invoke(1, "60000", "sleep"), invoke(2, "quick"))
        assert plugin.receive().result.call_id == 2
        plugin.send(cancel(1))
        slept = plugin.receive().result
        assert (slept.call_id, slept.failure.code) == (1, "CANCELLED")


def test_sleeps_run_side_by_side() -> None:
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        begun = time.monotonic()
        plugin.send(*[invoke(number, "200", "sleep") for number in range(1, 33)])
        plugin.receive_many(32)
        assert 0.2 <= time.monotonic() - begun < 2.0


def test_bad_input_and_unknown_operation_are_failures() -> None:
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        assert plugin.call("soon", "sleep").failure.code == "BAD_INPUT"
        failure = plugin.call("", "dance").failure
        assert failure.code == "UNKNOWN_OPERATION"
        assert '"sleep"' in failure.message


def test_pings_and_configuration_are_taken() -> None:
    with cpp_plugin("hello") as plugin:
        plugin.greet()
        plugin.send(config_changed('{"a":1}'), ping(3))
        pong = plugin.receive().pong
        assert (pong.nonce, pong.healthy) == (3, True)


def test_frames_may_come_byte_by_byte() -> None:
    with cpp_plugin("hello") as plugin:
        plugin.greet(plugin_name="hello")
        for byte in encode(invoke(1, "slowly")):
            plugin.send_bytes(bytes([byte]))
        assert plugin.receive().result.output.text == "Hello from hello: slowly"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x03\x00\x00\x00\xff\xff\xff", "not a liongate.v1.Frame"),
        (b"\x00\x00\x00\x00", "length 0"),
        (b"\xff\xff\xff\xff", "4294967295 bytes"),
        (encode(invoke(1)), "the first frame is not Hello"),
        (encode(hello(version_min=2, version_max=2)), "versions 2 to 2"),
    ],
)
def test_garbage_ends_it_with_a_clear_line(sent: bytes, said: str) -> None:
    with cpp_plugin("hello") as plugin:
        plugin.send_bytes(sent)
        assert plugin.wait() == 76
        lines = plugin.stderr().splitlines()
        assert len(lines) == 1 and lines[0].startswith("hello: protocol error: ") and said in lines[0]


def test_end_of_input_is_a_clean_exit() -> None:
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        plugin.send(invoke(1, "300", "sleep"), invoke(2, "now"))
        plugin.end_input()
        assert [frame.result.call_id for frame in plugin.receive_many(2)] == [2, 1]
        assert plugin.wait() == 0


def test_a_daemon_that_is_gone_is_a_clean_exit() -> None:
    with cpp_plugin("echo") as plugin:
        plugin.greet()
        plugin.send(invoke(1, "200", "sleep"))
        plugin.close_output()
        plugin.end_input()
        assert plugin.wait() == 0
