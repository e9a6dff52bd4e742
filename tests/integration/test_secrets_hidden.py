"""A value that a plugin was given is hidden in each text that Liongate keeps of it, however that text is cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.secret_sources import SecretSources
from harness.workshop import Workshop


@pytest.fixture
def sources(request: pytest.FixtureRequest) -> SecretSources:
    return SecretSources(request.node.name)


@pytest.fixture
def keeper(make_daemon: Callable[..., Daemon], sources: SecretSources) -> Daemon:
    """A daemon that has all three kinds."""
    return make_daemon(config=sources.config, env=sources.env).start()


CUTTING = '''from liongate import Call, Failure, Plugin

plugin = Plugin()


@plugin.operation("")
def fail(call: Call) -> str:
    value = call.secret("by-file").decode()
    raise Failure("CUT", "y" * (8192 - len(value) + 1) + value)


plugin.run()
'''


def test_half_a_secret_is_hidden_too_where_a_text_is_cut(
    keeper: Daemon, sources: SecretSources, workshop: Workshop
) -> None:
    value = sources.values["file"]
    script = f"cat /run/secrets/by-file >&2; head -c {4096 - len(value) + 1} /dev/zero | tr '\\0' x >&2; exit 3\n"
    keeper.load(workshop.command("tail", script, permissions=["secret:by-file"]))
    manifest = workshop.manifest("head", "./main.py", "python", ["secret:by-file"])
    keeper.load(workshop.write("head", manifest, {"main.py": CUTTING}))
    for plugin in ("tail", "head"):
        with wire.refused("PLUGIN_ERROR"):
            keeper.invoke(plugin)
        error = keeper.events(plugin=plugin, types=["PluginError"])[0].plugin_error
        assert value[1:13] not in error.message and value[:-1] not in error.message


AILING = '''from liongate import Plugin

plugin = Plugin()


@plugin.health
def health():
    with open("/run/secrets/by-file") as secret:
        return "cannot log in with " + secret.read()


plugin.run()
'''


def test_a_secret_is_hidden_in_what_a_plugin_says_of_its_health(
    keeper: Daemon, sources: SecretSources, workshop: Workshop
) -> None:
    keeper.load(workshop.python("ailing", AILING, ["secret:by-file"]))
    assert keeper.client.plugins.GetPluginHealth(plugin="ailing").detail == "cannot log in with [secret]"
