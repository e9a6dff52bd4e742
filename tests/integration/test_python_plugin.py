"""Python plugins on the system's interpreter: handlers, failures, streams, stray prints, modules of their own."""

from __future__ import annotations

import pytest
from harness import paths, wire
from harness.daemon import Daemon, state_name
from harness.workshop import Workshop

SHOUT = '''from liongate import Call, Failure, Plugin

plugin = Plugin(concurrency=4)


@plugin.operation("")
def shout(call: Call) -> str:
    if not call.text:
        raise Failure("NOTHING_TO_SHOUT", "the input is empty")
    return call.text.upper()


@plugin.operation("count")
def count(call: Call) -> dict[str, int]:
    return {"characters": len(call.text), "words": len(call.text.split())}


@plugin.operation("bytes")
def reverse(call: Call) -> bytes:
    return call.data[::-1]


@plugin.operation("parts")
def parts(call: Call):
    for number in range(3):
        yield f"part {number}\\n"
    return "end"


@plugin.operation("broken")
def broken(call: Call) -> str:
    return str(1 // 0)


@plugin.operation("prints")
def prints(call: Call) -> str:
    import os
    import sys

    print("on stdout:", call.text)
    print("on stderr:", call.text, file=sys.stderr)
    os.write(1, b"raw on 1\\n")
    return "printed"


@plugin.operation("logs")
def logs(call: Call) -> str:
    call.log.info("info: " + call.text)
    call.log.error("error: " + call.text)
    return "logged"


@plugin.operation("leaves")
def leaves(call: Call) -> str:
    import os

    os._exit(3)


plugin.run()
'''


@pytest.fixture
def shout(daemon: Daemon, workshop: Workshop) -> Daemon:
    daemon.load(workshop.python("shout", SHOUT))
    return daemon


def test_hello_python_greets(daemon: Daemon) -> None:
    daemon.load("hello-python")
    assert daemon.invoke("hello-python", "test").text == "Hello from hello-python: test"


def test_a_handler_answers_by_operation(shout: Daemon) -> None:
    assert shout.invoke("shout", "quiet").text == "QUIET"
    assert shout.invoke("shout", "one two", operation="count").text in (
        '{"characters": 7, "words": 2}', '{"characters":7,"words":2}')


def test_its_operations_are_known_to_the_daemon(shout: Daemon) -> None:
    assert set(shout.get("shout").operations) >= {"count", "bytes", "parts"}
    assert shout.get("shout").concurrency == 4


def test_bytes_go_in_and_out(shout: Daemon) -> None:
    assert shout.invoke("shout", data=bytes(range(256)), operation="bytes").data == bytes(range(255, -1, -1))


def test_a_failure_carries_its_code(shout: Daemon) -> None:
    with wire.refused("PLUGIN_ERROR", "ABORTED") as refusals:
        shout.invoke("shout", "")
    assert refusals[0].message == "the input is empty"
    assert refusals[0].metadata["plugin_code"] == "NOTHING_TO_SHOUT"


def test_an_exception_fails_the_call_and_its_traceback_is_in_the_log(shout: Daemon) -> None:
    instance = shout.get("shout").instance_id
    with wire.refused("PLUGIN_ERROR") as refusals:
        shout.invoke("shout", operation="broken")
    assert refusals[0].metadata["plugin_code"] == "PLUGIN_EXCEPTION"
    assert "division" in refusals[0].message
    assert "Traceback" in shout.ctl.ok("get-plugin-logs", "shout").text
    assert shout.get("shout").instance_id == instance


def test_a_generator_streams(shout: Daemon) -> None:
    messages = list(shout.client.plugins.StreamInvokePlugin(invoke={"plugin": "shout", "operation": "parts"}))
    assert [message.part.text for message in messages[:-1]] == ["part 0\n", "part 1\n", "part 2\n"]
    assert messages[-1].end.text == "end"


def test_stray_prints_never_corrupt_the_protocol(shout: Daemon) -> None:
    for number in range(20):
        assert shout.invoke("shout", str(number), operation="prints").text == "printed"
    kept = shout.ctl.ok("get-plugin-logs", "shout").text
    for words in ("on stdout: 19", "on stderr: 19", "raw on 1"):
        assert words in kept


def test_what_a_handler_logs_comes_with_the_reply(shout: Daemon) -> None:
    reply = shout.invoke("shout", "x", operation="logs")
    assert [(entry.level, entry.line) for entry in reply.logs] == [("info", "info: x"), ("error", "error: x")]
    assert {entry.execution_id for entry in reply.logs} == {reply.execution_id}


def test_an_interpreter_that_leaves_is_a_crash_and_comes_back(shout: Daemon) -> None:
    with wire.refused("PLUGIN_CRASHED", "ABORTED"):
        shout.invoke("shout", operation="leaves")
    assert shout.invoke("shout", "again").text == "AGAIN"


def test_a_script_with_a_syntax_error_does_not_load_and_says_where(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.python("broken", "from liongate import Plugin\ndef broken(:\n")
    with wire.refused("LOAD_FAILURE", "ABORTED") as refusals:
        daemon.load(folder)
    assert "SyntaxError" in refusals[0].metadata["output"]
    assert not daemon.client.plugins.ListPlugins().plugins


def test_a_module_beside_the_script_can_be_imported(daemon: Daemon, workshop: Workshop) -> None:
    source = ("import helper\nfrom liongate import Plugin\n\nplugin = Plugin()\n\n\n@plugin.operation('')\n"
              "def answer(call):\n    return helper.WORD\n\n\nplugin.run()\n")
    folder = workshop.python("importer", source)
    (folder / "helper.py").write_text("WORD = 'from the helper'\n", encoding="utf-8")
    (folder / "helper.py").chmod(0o644)
    daemon.load(folder)
    assert daemon.invoke("importer").text == "from the helper"


def test_no_bytecode_is_written_into_the_folder(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.python("shout", SHOUT)
    daemon.load(folder)
    daemon.invoke("shout", "x")
    assert sorted(path.name for path in folder.iterdir()) == ["main.py", "manifest.toml"]


def test_an_unmodified_python_script_is_a_command(daemon: Daemon, workshop: Workshop) -> None:
    script = "#!/usr/bin/python3\nimport sys\n\nprint(sys.stdin.read().title())\n"
    daemon.load(workshop.write("titles", workshop.manifest("titles", "./run.py", "command"), {"run.py": script}))
    assert daemon.invoke("titles", "a tale of two").text == "A Tale Of Two\n"


def test_a_missing_interpreter_is_a_clear_refusal(make_daemon: object) -> None:
    assert callable(make_daemon)
    daemon = make_daemon(config="python_interpreter: /no/such/python3\n").start()
    with pytest.raises(wire.Refusal) as refused:
        daemon.load("hello-python")
    assert "interpreter" in refused.value.message
    assert refused.value.reason == "LOAD_FAILURE"


def test_the_sdk_of_the_daemon_is_what_a_plugin_imports(daemon: Daemon) -> None:
    assert state_name(daemon.load("probe_python")) == "RUNNING"
    path = daemon.invoke("probe-python", operation="path").text.splitlines()
    assert path[0].startswith("/liongate") or "/liongate/python" in path
    assert not any(str(paths.BUILD) in folder for folder in path)
