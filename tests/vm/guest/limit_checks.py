"""Limits of cgroup v2 under Delegate=yes: set as the manifest says, met by hostile plugins, told by name, then gone."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import (check, ctl, ctl_ok, one_line, read, require, run, wait_for)
from story_checks import TEST_PLUGINS, cgroup_of, get, invoke, mechanisms, running

MIB = 1 << 20
CGROUPS = "/sys/fs/cgroup"
OWN_PLUGINS = "/opt/liongate-limited"
CALLS = 40


def with_limits(name, **limits):
    """Loads a copy of a test plugin whose manifest has these limits; returns the plugin's name."""
    folder = f"{OWN_PLUGINS}/{name}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(f"{TEST_PLUGINS}/{name}", folder)
    with open(f"{folder}/manifest.toml", "a", encoding="utf-8") as manifest:
        manifest.write("[limits]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items()))
    ctl("unload-plugin", name.replace("_", "-"))  # what a check that failed may have left
    ctl_ok("load-plugin", "--manifest", f"{folder}/manifest.toml")
    return name.replace("_", "-")


def group_of(plugin):
    return CGROUPS + cgroup_of(int(get(plugin)["pid"]))


def refusal(*words):
    outcome = ctl("-o", "json", "invoke-plugin", *words)
    require(outcome.code != 0, f"it was answered: {outcome}")
    return json.loads(outcome.err.strip().splitlines()[-1])


def unload(plugin, folder):
    ctl_ok("unload-plugin", plugin)
    wait_for(f"{folder} is gone", lambda: not os.path.exists(folder))


def figures(count):
    """Milliseconds that the host measured for each of so many calls of hello."""
    return sorted(ctl_ok("-o", "json", "invoke-plugin", "hello", "--input", "x").json["execution_time_ms"]
                  for _ in range(count))


@check("L1", "a plugin lives in a control group of its own, made as it was asked for",
       "below the launcher's unit; memory.max, memory.swap.max 0, pids.max; the posture says active")
def own_group():
    name = with_limits("slow", memory_bytes_max=64 * MIB, processes_max=10)
    folder = group_of(name)
    require("/liongate-launcher@" in folder and "/plugin-" in folder, folder)
    values = {file: read(f"{folder}/{file}").strip()
              for file in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
              if os.path.exists(f"{folder}/{file}")}
    require(values["memory.max"] == str(64 * MIB), str(values))
    require(values.get("memory.swap.max", "0") == "0" and int(values["pids.max"]) in (10, 11), str(values))
    posture = mechanisms(name)["cgroup limits"]
    require(posture["state"] == "active", str(posture))
    unload(name, folder)
    return f"{folder.removeprefix(CGROUPS)}: {values}; posture: {posture['detail']}; gone after unload"


@check("L2", "a memory bomb, memory_bytes_max = 64 MiB",
       "killed by memory.max alone; LIMIT_EXCEEDED with limit memory_bytes_max; hello is not touched")
def memory_bomb():
    innocent = wait_for("hello runs", lambda: running("hello"))
    name = with_limits("memory_hog", memory_bytes_max=64 * MIB)
    folder = group_of(name)
    refused = refusal(name, "--input", "")
    told = refused["metadata"]
    require(refused["reason"] == "LIMIT_EXCEEDED" and told.get("limit") == "memory_bytes_max", str(refused))
    kernel = run("journalctl", "--no-pager", "--dmesg", "--output=cat", "--grep=constraint=CONSTRAINT_MEMCG").text
    require(os.path.basename(folder) in kernel, f"the kernel's log has no kill in {folder}: {one_line(kernel)}")
    require(running("hello")["instance_id"] == innocent["instance_id"], "hello was restarted")
    ctl_ok("unload-plugin", name)
    return (f"{refused['reason']} {told['limit']}={told.get('limit_value')} used={told.get('used')}; "
            f"the kernel's log names {os.path.basename(folder)}")


@check("L3", "a fork bomb, processes_max = 20", "pids.max holds at 20; the denials are counted; the host has room")
def fork_bomb():
    name = with_limits("fork_bomb", processes_max=20)
    folder = group_of(name)
    answer = invoke(name, "").strip()
    require(int(answer.split()[0]) <= 20, answer)
    denied = read(f"{folder}/pids.events").split()
    unload(name, folder)
    return f"its own word: {answer}; pids.events: {' '.join(denied)}; group gone after unload"


@check("L4", "a spinner with cpu_percent_max = 25",
       "at most 30 % of one CPU over 4 s, by cpu.stat; the event of its end tells how long it waited for a CPU")
def cpu_share():
    name = with_limits("spinner", cpu_percent_max=25)
    folder = group_of(name)

    def used_us():
        return int(read(f"{folder}/cpu.stat").split("usage_usec")[1].split()[0])

    call = subprocess.Popen(["liongatectl", "invoke-plugin", name, "--input", "30000", "--timeout", "60s"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("it spins", lambda: used_us() > 100_000)
    begin, used_before = time.monotonic(), used_us()
    time.sleep(4)  # the measurement itself
    share = (used_us() - used_before) / 1e6 / (time.monotonic() - begin)
    quota = read(f"{folder}/cpu.max").strip()
    ctl_ok("unload-plugin", name)
    call.wait(timeout=60)
    require(share <= 0.30, f"{share:.0%} with cpu.max {quota}")
    events = ctl_ok("replay-log", "--plugin", name, "-o", "jsonl").out
    waited_ms = max((float(found) for found in re.findall(r'"cpu_wait_ms": ?([0-9.]+)', events)), default=0.0)
    require(waited_ms > 1000, f"cpu_wait_ms {waited_ms}")
    return f"{share:.1%} of one CPU, cpu.max {quota}, waited for a CPU {waited_ms / 1000:.1f} s"


@check("L5", "stopped children cannot stay behind",
       "a plugin whose processes are all stopped: stop-plugin empties its group")
def stopped_children():
    name = with_limits("fork_bomb", processes_max=16)
    folder = group_of(name)
    call = subprocess.Popen(["liongatectl", "invoke-plugin", name, "--input", "", "--timeout", "60s"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pids = wait_for("children", lambda: len(group_pids(folder)) > 3 and group_pids(folder))
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGSTOP)
            except ProcessLookupError:
                pass  # a bomb's children come and go
    finally:
        ctl_ok("stop-plugin", name)
        call.wait(timeout=90)
    wait_for("the group is gone", lambda: not os.path.exists(folder))
    ctl_ok("unload-plugin", name)
    return f"{len(pids)} stopped processes, all gone with the group"


def group_pids(folder):
    try:
        return read(f"{folder}/cgroup.procs").split()
    except OSError:
        return []


@check("L6", "four bombs while hello serves", "every call of hello is answered; its p99 before and during is told")
def bombs_beside():
    before = figures(CALLS)
    bombs = {with_limits("memory_hog", memory_bytes_max=64 * MIB): "",
             with_limits("fork_bomb", processes_max=50): "",
             with_limits("spinner", cpu_percent_max=50): "20000",
             with_limits("floods_stdout", memory_bytes_max=64 * MIB): ""}
    calls = [subprocess.Popen(["liongatectl", "invoke-plugin", name, "--input", text, "--timeout", "25s"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for name, text in bombs.items()]
    try:
        during = figures(CALLS)
    finally:
        for name in bombs:
            ctl("unload-plugin", name)
        for call in calls:
            call.wait(timeout=60)

    def told(times):
        return f"p50 {times[len(times) // 2]:.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms"
    return f"before: {told(before)}; during: {told(during)}; {CALLS} of {CALLS} answered"
