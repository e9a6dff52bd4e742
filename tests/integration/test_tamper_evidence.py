"""Signed checkpoints as people use them: exported, kept elsewhere, and held against a log that somebody rewrote.

The log is read here a second time, by docs/event-log-format.md alone, and signatures are checked by OpenSSL's own
program: what our programs say of themselves proves nothing.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import command_line, pages, paths
from harness.daemon import Daemon, DidNotStart
from harness.waiting import eventually

FORGE_LOG = paths.BUILD / "tests" / "forge_log"
COMMIT = 2
EARLY_EVENT = 3


@dataclass
class Note:
    """A signed note, read by the rules of C2SP."""

    text: str
    name: str
    key_hash: bytes
    signature: bytes

    @staticmethod
    def of(note: str) -> Note:
        text, _, line = note.rpartition("\n\n")
        dash, name, encoded = line.rstrip("\n").split(" ")
        assert dash == "\u2014"
        raw = base64.b64decode(encoded, validate=True)
        return Note(text + "\n", name, raw[:4], raw[4:])

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def size(self) -> int:
        return int(self.lines[1])

    @property
    def root(self) -> bytes:
        return base64.b64decode(self.lines[2])

    @property
    def last_seq(self) -> int:
        return int(self.lines[3].removeprefix("last-seq "))


def batch_hashes(log: Path) -> list[bytes]:
    hashes = []
    for segment in sorted(log.glob("*.lgl")):
        content = segment.read_bytes()
        at = 4096
        while at + 24 <= len(content):
            word = struct.unpack_from("<I", content, at + 4)[0]
            if word == 0:
                break
            length, kind = word & 0xFFFFFF, word >> 24
            if kind == COMMIT:
                hashes.append(content[at + 24 + 72:at + 24 + 104])
            at += (24 + length + 7) // 8 * 8
    return hashes


def tree_hash(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def openssl_verifies(key: str, note: Note, folder: Path) -> bool:
    name, key_hash, encoded = key.split("+", 2)
    typed = base64.b64decode(encoded)
    assert typed[0] == 1 and name == note.name
    assert hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4] == bytes.fromhex(key_hash) == note.key_hash
    (folder / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + typed[1:])
    (folder / "text").write_bytes(note.text.encode())
    (folder / "signature").write_bytes(note.signature)
    words = "pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in text -sigfile signature"
    result = subprocess.run(["openssl", *words.split()], cwd=folder, capture_output=True, check=False)
    return result.returncode == 0


@dataclass
class Kept:
    """What somebody exported and keeps where nobody who writes the log can write."""

    checkpoint: Path
    key: Path

    def note(self) -> Note:
        return Note.of(self.checkpoint.read_text(encoding="utf-8"))


def export(daemon: Daemon, folder: Path) -> Kept:
    folder.mkdir(exist_ok=True)
    kept = Kept(folder / "checkpoint", folder / "log.pub")
    daemon.ctl.ok("export-checkpoint", "--file", kept.checkpoint)
    daemon.ctl.ok("export-log-key", "--file", kept.key)
    return kept


def stop(daemon: Daemon) -> None:
    daemon.disconnect()
    assert daemon.stop() == 0, daemon.log_text()


def verify(daemon: Daemon, *words: object) -> command_line.Outcome:
    return command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", daemon.state_dir, *words)


def forge(daemon: Daemon, seq: int, *how: str) -> None:
    daemon.damaged = True
    forged = command_line.run(FORGE_LOG, daemon.state_dir, seq, "somebody-else", *how)
    assert forged.exit_code == 0, forged.err


@pytest.fixture
def kept(daemon: Daemon) -> Kept:
    """A daemon that worked, was asked for a checkpoint, worked on, and was stopped."""
    daemon.load("hello")
    daemon.invoke("hello", "before")
    exported = export(daemon, daemon.folder / "elsewhere")
    daemon.invoke("hello", "after")
    stop(daemon)
    return exported


# --- what is exported ---

def test_a_checkpoint_is_what_another_reader_of_the_log_computes(daemon: Daemon, kept: Kept) -> None:
    note = kept.note()
    hashes = batch_hashes(daemon.state_dir / "log")
    assert 0 < note.size < len(hashes)
    assert tree_hash(hashes[:note.size]) == note.root
    assert note.lines[0] == note.name
    assert note.lines[4].startswith("time 20")


def test_its_signature_holds_for_openssl(daemon: Daemon, kept: Kept) -> None:
    key = kept.key.read_text(encoding="utf-8").strip()
    folder = kept.key.parent
    note = kept.note()
    assert openssl_verifies(key, note, folder)
    note.text = note.text.replace("last-seq ", "last-seq 1")
    assert not openssl_verifies(key, note, folder)


def test_it_names_the_node_and_covers_what_was_acknowledged(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "x")
    status = daemon.ctl.ok("get-status", "-o", "json").json()
    note = Note.of(daemon.ctl.ok("export-checkpoint").text)
    assert note.lines[0] == f"liongate/{status['node_id']}"
    assert note.last_seq >= int(status["durable_seq"])
    assert daemon.ctl.ok("export-checkpoint", "-o", "json").json()["checkpoint"].startswith("liongate/")


def test_without_a_daemon_the_last_checkpoint_in_the_folder_is_printed(daemon: Daemon, kept: Kept) -> None:
    printed = command_line.run(paths.LIONGATECTL, "export-checkpoint", "--state-dir", daemon.state_dir)
    assert printed.exit_code == 0
    assert Note.of(printed.text).last_seq > kept.note().last_seq
    key = command_line.run(paths.LIONGATECTL, "export-log-key", "--state-dir", daemon.state_dir)
    assert key.text == kept.key.read_text(encoding="utf-8")


def test_a_folder_that_a_daemon_writes_is_left_to_the_daemon(daemon: Daemon) -> None:
    refused = command_line.run(paths.LIONGATECTL, "export-checkpoint", "--state-dir", daemon.state_dir)
    assert (refused.exit_code, refused.error().reason) == (7, "INVALID_ARGUMENT")
    assert "leave out --state-dir" in refused.error().hint


def test_the_timer_signs_without_being_asked(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="log_checkpoint_interval_ms: 100\n").start()
    daemon.load("hello")

    def signed() -> bool:
        report = daemon.ctl.ok("verify-log", "-o", "json").json()
        return report["signed_seq"] == report["last_seq"]

    eventually(signed, "everything is signed")


def test_a_closed_log_is_signed_to_its_end(daemon: Daemon, kept: Kept) -> None:
    report = verify(daemon, "-o", "json").json()
    assert report["signed_seq"] == report["last_seq"]
    assert report["notes"] == [] and int(report["checkpoints"]) >= 3


# --- what it proves ---

def test_a_log_that_goes_on_extends_it_with_and_without_the_daemon(daemon: Daemon, kept: Kept) -> None:
    offline = verify(daemon, "--checkpoint", kept.checkpoint, "--key", kept.key)
    assert offline.exit_code == 0, offline.err
    assert "proved: the log extends the checkpoint" in offline.text
    daemon.start()
    online = daemon.ctl.ok("verify-log", "--checkpoint", kept.checkpoint, "--key", kept.key)
    assert "proved: the log extends the checkpoint" in online.text
    assert daemon.ctl.ok("verify-log", "--checkpoint", kept.checkpoint, "-o",
                         "json").json()["checkpoint_verdict"] == "extends"


def test_a_daemon_that_was_killed_still_extends_it(daemon: Daemon) -> None:
    daemon.load("hello")
    for number in range(5):
        daemon.invoke("hello", str(number))
        exported = export(daemon, daemon.folder / "elsewhere")
        daemon.kill()
        assert verify(daemon, "--checkpoint", exported.checkpoint).exit_code == 0
        daemon.start()


def test_a_rewritten_history_is_found(daemon: Daemon, kept: Kept) -> None:
    forge(daemon, EARLY_EVENT, "--drop")
    unnoticed = verify(daemon)
    assert unnoticed.exit_code == 0 and unnoticed.text.startswith("intact: ")
    assert "nothing in it is signed" in unnoticed.text
    found = verify(daemon, "--checkpoint", kept.checkpoint)
    assert found.exit_code == 1
    assert "history_rewritten" in found.text and found.text.count("the log was rewritten") == 1


def test_a_history_rewritten_around_its_signatures_is_found_without_anything_kept(daemon: Daemon, kept: Kept) -> None:
    forge(daemon, EARLY_EVENT)
    found = verify(daemon, "-o", "json")
    assert found.exit_code == 1
    assert {damage["kind"] for damage in found.json()["damages"]} == {"bad_checkpoint"}
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 7
    assert "wrong signature" in refused.value.log


def test_a_history_rewritten_and_signed_with_another_key_is_found_by_the_key_that_was_kept(daemon: Daemon,
                                                                                           kept: Kept) -> None:
    forge(daemon, EARLY_EVENT, "--resign")
    assert verify(daemon).exit_code == 0  # nothing in the folder can tell
    unknown = verify(daemon, "--checkpoint", kept.checkpoint)
    assert (unknown.exit_code, unknown.error().reason) == (7, "INVALID_ARGUMENT")
    assert "keys were replaced" in unknown.error().hint
    found = verify(daemon, "--checkpoint", kept.checkpoint, "--key", kept.key, "-o", "json")
    assert found.exit_code == 1
    assert {damage["kind"] for damage in found.json()["damages"]} == {"history_rewritten", "unvouched_key"}


def test_a_log_whose_end_was_removed_is_found(daemon: Daemon, kept: Kept) -> None:
    daemon.start()
    daemon.load("echo")
    later = export(daemon, daemon.folder / "later")
    stop(daemon)
    daemon.damaged = True
    sorted((daemon.state_dir / "log").glob("*.lgl"))[-1].unlink()
    assert verify(daemon).exit_code == 0
    found = verify(daemon, "--checkpoint", later.checkpoint)
    assert found.exit_code == 1 and "log_truncated" in found.text


def test_what_lies_before_the_oldest_segment_is_said_not_to_be_provable(daemon: Daemon, kept: Kept) -> None:
    daemon.start()
    stop(daemon)
    sorted((daemon.state_dir / "log").glob("*.lgl"))[0].unlink()
    told = verify(daemon, "--checkpoint", kept.checkpoint)
    assert told.exit_code == 7
    assert "cannot be proved" in told.text and "vouches for them" in told.text


# --- what it refuses ---

def test_evidence_that_proves_nothing_is_one_clear_error(daemon: Daemon, kept: Kept,
                                                         make_daemon: Callable[..., Daemon]) -> None:
    other = make_daemon().start()
    foreign = export(other, other.folder / "elsewhere")
    changed = kept.checkpoint.with_name("changed")
    changed.write_text(kept.checkpoint.read_text(encoding="utf-8").replace("time 2", "time 1"), encoding="utf-8")
    empty = kept.checkpoint.with_name("empty")
    empty.write_bytes(b"")
    large = kept.checkpoint.with_name("large")
    large.write_bytes(b"x" * 10_000)
    stranger = kept.checkpoint.with_name("wrong-signature")
    text, _, line = kept.checkpoint.read_text(encoding="utf-8").rpartition(" ")
    raw = bytearray(base64.b64decode(line))
    raw[40] ^= 1
    stranger.write_text(f"{text} {base64.b64encode(raw).decode()}\n", encoding="utf-8")
    cases = [(["--checkpoint", kept.key], "it is no checkpoint"),
             (["--checkpoint", empty], "it is no checkpoint"),
             (["--checkpoint", changed], "it is no checkpoint"),
             (["--checkpoint", large], "is larger than"),
             (["--checkpoint", "/no/such/file"], "/no/such/file"),
             (["--checkpoint", "/etc"], "/etc"),
             (["--checkpoint", foreign.checkpoint], "the log is that of"),
             (["--checkpoint", stranger], "wrong signature"),
             (["--checkpoint", kept.checkpoint, "--key", foreign.key], "did not hand over"),
             (["--key", kept.checkpoint], "is no public key"),
             (["--key", empty], "is no public key")]
    daemon.start()
    for words, what in cases:
        for outcome in (verify(daemon, *words), daemon.ctl("verify-log", *words)):
            assert (outcome.exit_code, outcome.out) == (7, b""), f"{words}: {outcome.text}{outcome.err}"
            assert outcome.error().reason == "INVALID_ARGUMENT"
            assert what in outcome.error().line, outcome.err
            assert outcome.error().hint


def test_words_that_make_no_sense_are_usage_errors(daemon: Daemon) -> None:
    for words in (["verify-log", "--checkpoint"], ["export-checkpoint", "--file", "x", "--state-dir", "y"],
                  ["export-checkpoint", "more"], ["export-log-key", "--what"]):
        assert daemon.ctl.refused(*words).exit_code == 2


def test_evidence_without_a_log_to_verify_is_a_usage_error(daemon: Daemon) -> None:
    for flag in ("--checkpoint", "--key"):
        assert command_line.run(paths.LIONGATED, flag, "/tmp/x", "--check-config").exit_code == 2


def test_a_file_that_cannot_be_written_is_a_failure_and_leaves_nothing(daemon: Daemon) -> None:
    assert daemon.ctl.refused("export-checkpoint", "--file", daemon.folder / "no" / "such" / "folder").exit_code == 1


def test_an_empty_log_has_no_checkpoint_and_no_key() -> None:
    folder = paths.SPACE / "empty"
    (folder / "log").mkdir(parents=True)
    for verb in ("export-checkpoint", "export-log-key"):
        refused = command_line.run(paths.LIONGATECTL, verb, "--state-dir", folder)
        assert (refused.exit_code, refused.error().reason) == (7, "INVALID_ARGUMENT")
    shutil.rmtree(folder)


# --- keys ---

def change_key(daemon: Daemon, how: str) -> command_line.Outcome:
    return command_line.run(paths.LIONGATED, how, daemon.state_dir)


def test_a_key_is_handed_over_and_the_first_one_is_enough_to_follow(daemon: Daemon, kept: Kept) -> None:
    rotated = change_key(daemon, "--rotate-log-key")
    assert rotated.exit_code == 0, rotated.err
    assert rotated.text != kept.key.read_text(encoding="utf-8")
    daemon.start()
    assert daemon.ctl.ok("export-log-key").text == rotated.text
    later = export(daemon, daemon.folder / "later")
    stop(daemon)
    for checkpoint in (kept.checkpoint, later.checkpoint):
        followed = verify(daemon, "--checkpoint", checkpoint, "--key", kept.key)
        assert followed.exit_code == 0, followed.text + followed.err
        assert "note:" not in followed.text


def test_no_key_is_changed_while_a_daemon_runs(daemon: Daemon) -> None:
    for how in ("--rotate-log-key", "--replace-log-key"):
        refused = change_key(daemon, how)
        assert refused.exit_code == 1
        assert str(daemon.pid) in refused.err


def test_a_lost_key_stops_the_daemon_until_it_is_replaced_and_verify_log_says_so(daemon: Daemon, kept: Kept) -> None:
    (daemon.state_dir / "keys" / "log-signing.key").unlink()
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 7
    assert "its key is missing" in refused.value.log
    assert "--replace-log-key" in refused.value.log
    assert change_key(daemon, "--rotate-log-key").exit_code == 7
    replaced = change_key(daemon, "--replace-log-key")
    assert replaced.exit_code == 0, replaced.err
    signed = int(verify(daemon, "-o", "json").json()["signed_seq"])
    daemon.start()
    stop(daemon)
    told = verify(daemon, "--checkpoint", kept.checkpoint)
    assert told.exit_code == 0
    new_hash = replaced.text.split("+")[1]
    assert f"note: from event {signed + 1} on key {new_hash} signs, and nobody vouched for it" in told.text
    strict = verify(daemon, "--key", kept.key)
    assert strict.exit_code == 1 and "unvouched_key" in strict.text


def test_a_key_in_order_is_not_replaced(daemon: Daemon, kept: Kept) -> None:
    refused = change_key(daemon, "--replace-log-key")
    assert (refused.exit_code, refused.error().reason) == (7, "INVALID_ARGUMENT")
    assert "--rotate-log-key" in refused.error().hint


@pytest.mark.parametrize("name, mode", [("keys", 0o755), ("keys/log-signing.key", 0o644)])
def test_keys_that_others_can_reach_stop_the_daemon(daemon: Daemon, kept: Kept, name: str, mode: int) -> None:
    path = daemon.state_dir / name
    private = path.stat().st_mode & 0o777
    path.chmod(mode)
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 7
    assert f"chmod {private:o} {path}" in refused.value.log
    path.chmod(private)
    daemon.start()


# --- the page that tells of it ---

def test_the_page_works_as_it_stands(can_confine: None) -> None:
    page = (paths.ROOT / "docs" / "event-log.md").read_text(encoding="utf-8")
    folder = paths.SPACE / "page"
    commands = pages.blocks(pages.section(page, "## Tamper evidence"))
    outcome = pages.run(commands, "/tmp/liongate-tamper", folder)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for told in ("proved: the log extends the checkpoint", "nothing in it is signed", "history_rewritten"):
        assert told in outcome.stdout
    shutil.rmtree(folder)


def test_the_private_key_is_private(daemon: Daemon) -> None:
    keys = daemon.state_dir / "keys"
    assert keys.stat().st_mode & 0o777 == 0o700
    for path in keys.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert (keys / "log-signing.key").read_text(encoding="utf-8").startswith("PRIVATE+KEY+liongate/")
    assert "PRIVATE" not in daemon.log_text()
    for segment in (daemon.state_dir / "log").glob("*.lgl"):
        assert b"PRIVATE+KEY" not in segment.read_bytes()
