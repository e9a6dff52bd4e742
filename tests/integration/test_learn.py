"""`run-plugin --learn`: programs that nobody wrote for Liongate, from their command line to a manifest that holds.

Each program is learned, saved, run with what was learned, and learned once more: then it misses nothing at once.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import command_line, pages, paths, processes
from harness.command_line import Outcome
from harness.hosts import WebServer
from harness.waiting import eventually
from harness.workshop import Workshop, program_path


def learn(*words: object, extra: list[str] | None = None, env: dict[str, str] | None = None) -> Outcome:
    return command_line.run(paths.LIONGATECTL, "run-plugin", "--learn", *(extra or []), "--", *words, env=env)


def permissions_of(manifest: Path) -> list[str]:
    outcome = command_line.run(paths.LIONGATECTL, "validate-manifest", manifest, "-o", "json")
    assert outcome.exit_code == 0, outcome.err
    return [str(one) for one in outcome.json()["permissions"]]


def learn_and_prove(folder: Path, *words: object, input: str = "", **variables: str) -> tuple[list[str], str]:
    """The permissions that `words` were found to need, and what the saved plugin prints; it is clean by then."""
    saved = folder / "learned"
    env = paths.clean_environment(**variables)
    outcome = learn(*words, extra=["--save", str(saved), "--input", input], env=env)
    assert outcome.exit_code == 0, outcome.err
    manifest = saved / "manifest.toml"
    run = command_line.run(paths.LIONGATECTL, "run-plugin", manifest, "--input", input, env=env)
    assert run.exit_code == 0, run.err
    again = command_line.run(paths.LIONGATECTL, "run-plugin", "--learn", manifest, "--input", input,
                             env=env)
    assert again.exit_code == 0, again.err
    assert again.err.splitlines() == ["round 1: the program succeeded; nothing more was missed"]
    return permissions_of(manifest), run.text


def installed(program: str) -> str:
    path = program_path(program)
    if not path.exists():
        pytest.skip(f"{program} is not installed")
    return str(path)


def test_jq_is_granted_its_file_and_nothing_else(can_confine: None, workshop: Workshop) -> None:
    data = workshop.folder / "data.json"
    data.write_text('{"name": "gate"}')
    permissions, output = learn_and_prove(workshop.folder, installed("jq"), ".name", data)
    assert permissions == [f"fs_read:{data}"]
    assert output == '"gate"\n'


def test_sqlite_may_write_its_database_and_the_journal_beside_it(can_confine: None, workshop: Workshop) -> None:
    folder = workshop.folder / "database"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    database = folder / "orders.db"
    sqlite3 = installed("sqlite3")
    subprocess.run([sqlite3, database, "create table orders(id)"], check=True)
    database.chmod(0o666)
    permissions, output = learn_and_prove(
        workshop.folder, sqlite3, database, "insert into orders values (1); select count(*) > 0 from orders;")
    assert permissions == [f"fs_write:{folder}"]
    assert output == "1\n"


def test_git_is_granted_the_repository(can_confine: None, workshop: Workshop) -> None:
    git = installed("git")
    repository = workshop.folder / "repository"
    subprocess.run([git, "init", "--quiet", repository], check=True)
    (repository / "file").write_text("text")
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([git, "-C", repository, "add", "."], check=True)
    subprocess.run([git, "-C", repository, *identity, "commit", "--quiet", "-m", "the first"], check=True)
    # A plugin of root's daemon is another user than root, and git asks whose the repository is.
    permissions, output = learn_and_prove(workshop.folder, git, "-c", "safe.directory=*", "-C", repository, "log",
                                          "--format=%s")
    assert f"fs_read:{repository}" in permissions
    assert output == "the first\n"
    assert not [one for one in permissions if one.startswith(("fs_write", "network", "process", "jit"))]


def test_a_python_script_with_imports_is_granted_what_it_reads(can_confine: None, workshop: Workshop) -> None:
    module_folder = workshop.folder / "modules"
    module_folder.mkdir()
    (module_folder / "greeting.py").write_text("import json, decimal\nWORD = json.loads('\"hello\"')\n")
    (module_folder / "main.py").write_text(
        "import os, greeting\nprint(greeting.WORD, os.environ.get('LEARN_NAME', 'nobody'))\n")
    permissions, output = learn_and_prove(workshop.folder, installed("python3"), "-B", module_folder / "main.py",
                                          LEARN_NAME="somebody")
    assert "env:LEARN_NAME" in permissions
    assert f"fs_read:{module_folder}" in permissions
    assert output == "hello somebody\n"


def test_curl_is_granted_the_host_and_port_that_it_comes_to(can_confine: None, workshop: Workshop) -> None:
    server = WebServer()
    try:
        permissions, output = learn_and_prove(workshop.folder, installed("curl"), "--silent",
                                              f"http://host-loopback:{server.port}/page")
    finally:
        server.close()
    assert [one for one in permissions if one.startswith("network")] == [f"network:host-loopback:{server.port}"]
    assert output == f"host-loopback:{server.port} /page\n"


def test_a_program_that_is_not_of_the_system_is_copied_into_the_plugin(can_confine: None, workshop: Workshop) -> None:
    program = workshop.folder / "tool"
    shutil.copy("/usr/bin/cat", program)
    permissions, output = learn_and_prove(workshop.folder, program, input="text")
    assert permissions == []
    assert output == "text"


def test_the_input_is_given_in_each_round(can_confine: None, workshop: Workshop) -> None:
    data = workshop.folder / "words"
    data.write_text("one\n")
    _, output = learn_and_prove(workshop.folder, installed("cat"), "-", data, input="two\n")
    assert output == "two\none\n"


def test_what_looks_like_a_secret_is_told_and_not_granted(can_confine: None, workshop: Workshop) -> None:
    folder = workshop.folder / ".ssh"
    folder.mkdir(mode=0o755)
    key = folder / "id_ed25519"
    key.write_text("canary-1b6f")
    outcome = learn(installed("cat"), key)
    assert outcome.exit_code == 5
    assert "permissions = []" in outcome.text
    assert f"not granted: fs_read:{key} (it looks like a secret)" in outcome.err
    assert "canary-1b6f" not in outcome.text + outcome.err


def test_a_folder_with_a_secret_in_it_is_told_and_not_granted(can_confine: None, workshop: Workshop) -> None:
    home = workshop.folder / "user"
    (home / ".ssh").mkdir(parents=True, mode=0o755)
    script = workshop.folder / "steal.py"
    script.write_text(f"import os\ntry:\n    open('{home}/x', 'w')\nexcept OSError:\n    pass\n"
                      f"open('{home}/.ssh/authorized_keys', 'w').write('evil')\n")
    outcome = learn(installed("python3"), "-I", script)
    assert outcome.exit_code == 5
    assert f"not granted: fs_write:{home} ({home}/.ssh in it looks like a secret)" in outcome.err
    assert "fs_write" not in outcome.text
    assert not (home / ".ssh/authorized_keys").exists()


def test_names_that_are_no_text_hurt_neither_the_log_nor_the_terminal(can_confine: None, workshop: Workshop) -> None:
    folder = workshop.folder / "names"
    folder.mkdir()
    (folder / "target\x1b]0;T\x07").write_text("")
    (folder / "lnk").symlink_to(folder / "target\x1b]0;T\x07")
    (folder / "c1\u009b31m").write_text("")
    script = folder / "odd.py"
    script.write_text(f"import os\nfor name in [b'\\xff', 'c1\\x9b31m'.encode()]:\n    try:\n"
                      f"        os.open(b'{folder}/' + name, os.O_CREAT | os.O_WRONLY)\n"
                      "    except OSError:\n        pass\n")
    outcome = learn(installed("python3"), "-I", script, folder / "lnk")
    assert outcome.exit_code == 0, outcome.err
    for output in (outcome.text, outcome.err):
        assert all(character == "\n" or character.isprintable() for character in output)


def test_a_program_that_fails_for_its_own_reasons_fails_here_too(can_confine: None) -> None:
    outcome = learn("/usr/bin/false")
    assert outcome.exit_code == 5
    assert "round 1: PLUGIN_ERROR; nothing more was missed" in outcome.err


def test_learning_ends_after_its_rounds(can_confine: None, workshop: Workshop) -> None:
    data = workshop.folder / "words"
    data.write_text("one\n")
    outcome = learn(installed("cat"), data, extra=["--rounds-max", "1"])
    assert outcome.exit_code == 1
    assert "still missed something after 1 rounds" in outcome.err
    assert f"fs_read:{data}" in outcome.text


def test_json_tells_what_was_learned(can_confine: None, workshop: Workshop) -> None:
    data = workshop.folder / "words"
    data.write_text("one\n")
    outcome = learn(installed("cat"), data, extra=["-o", "json"])
    learned = json.loads(outcome.text)
    assert learned["permissions"] == [f"fs_read:{data}"]
    assert learned["is_complete"] and learned["rounds"] == 2 and learned["failure"] == ""


@pytest.mark.parametrize(("words", "says"), [
    (["--learn"], "name a manifest, or a program"),
    (["--", "cat"], "a program behind -- is for --learn"),
    (["--learn", "--manifest", "m.toml", "--", "cat"], "name a manifest, or a program"),
    (["--learn", "--manifest", "m.toml", "--save", "x"], "--save makes a plugin of a program"),
    (["--learn", "--rounds-max", "0", "--", "cat"], "--rounds-max is 1 to 100"),
    (["--manifest", "m.toml", "--save", "x"], "--save is for --learn"),
])
@pytest.mark.user_independent  # a command line is read before anybody is asked who he is
def test_a_command_line_that_makes_no_sense_is_refused(words: list[str], says: str) -> None:
    outcome = command_line.run(paths.LIONGATECTL, "run-plugin", *words)
    assert outcome.exit_code == 2
    assert says in outcome.err


def test_a_program_that_is_not_there_and_a_folder_in_use_are_refused(workshop: Workshop) -> None:
    absent = learn("/none/there")
    assert absent.exit_code == 7
    assert "/none/there is no program that can be run here" in absent.err
    (workshop.folder / "file").write_text("")
    in_use = learn("/usr/bin/true", extra=["--save", str(workshop.folder)])
    assert in_use.exit_code == 7
    assert "is not an empty folder" in in_use.err


@pytest.mark.user_independent  # a daemon's command line
def test_only_a_development_daemon_learns(workshop: Workshop) -> None:
    outcome = command_line.run(paths.LIONGATED, "--learn", "--state-dir", workshop.folder / "state", "--socket",
                               workshop.folder / "control.sock", "--environment", "production")
    assert outcome.exit_code == 7
    assert "--learn is for a daemon that runs what a developer tries" in outcome.err


def test_the_page_does_what_it_says(can_confine: None, workshop: Workshop) -> None:
    installed("jq")
    page = (paths.ROOT / "docs/learn.md").read_text(encoding="utf-8")
    folder = workshop.folder / "lg-learn"
    commands = "export PATH=$PWD/build/release/bin:$PATH\n" + pages.blocks(page)
    outcome = pages.run(commands, "/tmp/lg-learn", folder)
    assert outcome.returncode == 0, outcome.stderr
    shown = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    assert outcome.stdout == shown.replace("/tmp/lg-learn", str(folder)) + '\n"liongate"\n'


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(can_confine: None, workshop: Workshop) -> None:
    process = subprocess.Popen([str(paths.LIONGATECTL), "run-plugin", "--learn", "--", "/usr/bin/sleep", "60"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=paths.SPACE,
                               env=paths.clean_environment())
    processes.owned_pids.add(process.pid)
    try:
        eventually(lambda: any("sleep" in one.name for one in processes.descendants(process.pid)), "the program runs")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
    finally:
        processes.owned_pids.discard(process.pid)
    assert process.returncode == 8
    assert output == ""
    assert "CANCELLED" in errors
