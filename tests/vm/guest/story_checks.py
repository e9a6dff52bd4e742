"""The main story as root, and whether the posture that a plugin is given on paper is the one it has."""

import os
import re
import subprocess

from harness import check, ctl, ctl_ok, one_line, read, require, wait_for
from unit_checks import status_of

PLUGINS = "/usr/lib/liongate/plugins"
TEST_PLUGINS = "/opt/liongate-test-plugins"
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


def load(name, folder=PLUGINS):
    return ctl_ok("load-plugin", "--manifest", f"{folder}/{name}/manifest.toml").text


def get(plugin):
    answer = ctl_ok("get-plugin", plugin, "-o", "json").json
    return answer.get("plugin", answer)


def listed():
    return {plugin["name"]: plugin for plugin in ctl_ok("list-plugins", "-o", "json").json.get("plugins", [])}


def running(name):
    plugin = listed().get(name, {})
    return plugin if plugin.get("state", "").endswith("RUNNING") and plugin.get("pid") else None


def invoke(name, text, *words, **options):
    return ctl_ok("invoke-plugin", name, "--input", text, *words, **options).out


def mechanisms(name):
    return {mechanism["name"]: mechanism for mechanism in get(name)["posture"]["mechanisms"]}


def name_of(pid):
    try:
        return read(f"/proc/{pid}/comm")
    except OSError:  # it has just ended
        return ""


def cgroup_of(pid):
    return read(f"/proc/{pid}/cgroup").strip().split("::")[1]


@check("S1", "load, invoke, replay: a native plugin", "the answer, and its events in the durable log")
def native_story():
    plugin = load("hello")
    answer = invoke("hello", "world").strip()
    events = ctl_ok("replay-log", "--plugin", "hello").out
    for name in ("PluginLoaded", "SandboxPosture", "PluginStarted", "PluginInvoked", "PluginResult"):
        require(name in events, f"no {name} in {events}")
    return f"id {plugin}; {answer}"


@check("S2", "a Python plugin, and a shell script that knows nothing of us", "an answer each")
def other_stories():
    load("hello-python")
    load("hello-command")
    return one_line(f"{invoke('hello-python', 'world')}; {invoke('hello-command', 'world')}")


@check("S3", "the log is whole", "verify-log intact, exit 0")
def log_is_whole():
    return one_line(ctl_ok("verify-log").out)


@check("S4", "a plugin's process is what its posture says", "own uid, no capability, filter, new namespaces; by /proc")
def posture_is_true():
    plugin = get("hello")
    pid = int(plugin["pid"])
    status = status_of(pid)
    uid = int(status["Uid"].split()[0])
    require(uid >= 2147000000, f"uid {uid}")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        require(int(status[name], 16) == 0, f"{name} {status[name]}")
    require(status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", "no filter")
    require(status["Groups"].strip() == "", f"groups {status['Groups']}")
    shared = [name for name in NAMESPACES if os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/1/ns/{name}")]
    require(not shared, f"shares with the host: {shared}")
    absent = [name for name, mechanism in mechanisms("hello").items() if mechanism["state"] == "absent"]
    return f"uid {uid}, capability sets 0, Seccomp 2, 7 own namespaces; absent by its word: {absent or 'nothing'}"


@check("S5", "no two plugins share a uid or a group of processes", "as many as there are plugins")
def plugins_are_apart():
    pids = {name: int(plugin["pid"]) for name, plugin in listed().items() if int(plugin.get("pid", 0))}
    uids = {status_of(pid)["Uid"].split()[0] for pid in pids.values()}
    groups = {cgroup_of(pid) for pid in pids.values()}
    require(len(uids) == len(pids), f"uids {uids} of {pids}")
    require(len(groups) == len(pids), f"control groups {groups} of {pids}")
    return f"{len(pids)} plugins, {len(uids)} uids, {len(groups)} control groups"


@check("S6", "what a plugin sees of the host", "itself; no host file, process, network; by the plugin's own report")
def seen_from_inside():
    load("probe", TEST_PLUGINS)
    processes = invoke("probe", "processes")
    require(len(processes.split("\n")) <= 3, one_line(processes))
    answers = {question: invoke("probe", question).strip()
               for question in ("files:/etc/shadow", "files:/var/lib/liongate/log", "list:/home", "exec:/bin/sh")}
    require(all(re.fullmatch(r"E[A-Z]+|", answer) for answer in answers.values()), str(answers))
    mounts = invoke("probe", "mounts")
    writable = [line.split()[4] for line in mounts.splitlines() if re.search(r"^\S+ \S+ \S+ \S+ \S+ rw", line)]
    ctl_ok("unload-plugin", "probe")
    return f"processes: {one_line(processes)}; {answers}; writable: {', '.join(writable)}"


@check("S7", "what the policy does not name is refused", "PERMISSION_DENIED, exit 6, an event of it")
def policy_holds():
    refused = ctl("load-plugin", "--manifest", f"{TEST_PLUGINS}/env_reader/manifest.toml")
    require(refused.code == 6 and "PERMISSION_DENIED" in refused.err, str(refused))
    wait_for("the event", lambda: "Denied" in ctl("replay-log").out or "LoadFailed" in ctl("replay-log").out)
    return one_line(refused.err)


ASKER = """#!/usr/bin/python3
import urllib.request
for url in ("http://host-loopback:8080/", "http://192.0.2.1:8080/"):
    try:
        print(urllib.request.urlopen(url, timeout=20).status)
    except OSError as error:
        print(getattr(error, "reason", error))
"""
ASKER_MANIFEST = """name = "asker"
version = "0.1.0"
entry_point = "./asker"
runtime = "command"
permissions = ["network:host-loopback:8080"]
"""


@check("S8", "a granted host through the gate's own unit",
       "200; another address is reset, and an event; the gate's user is nobody else's")
def network_story():
    folder = "/opt/asker"
    os.makedirs(folder, exist_ok=True)
    for name, text, mode in (("asker", ASKER, 0o755), ("manifest.toml", ASKER_MANIFEST, 0o644)):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{folder}/{name}", mode)
    server = subprocess.Popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", "8080"], cwd="/opt",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # 0100007F:1F90 is 127.0.0.1:8080, 0A that somebody listens there.
        wait_for("the server", lambda: " 0100007F:1F90 00000000:0000 0A " in read("/proc/net/tcp"))
        load("asker", "/opt")
        said = one_line(invoke("asker", ""))
    finally:
        server.kill()
    require(said.startswith("200") and "reset" in said, said)
    events = ctl_ok("replay-log", "--plugin", "asker").out
    require("NetworkFlowOpened" in events and "PermissionDenied" in events, events)
    gate = [pid for pid in os.listdir("/proc") if pid.isdigit() and name_of(pid).startswith("liongate-netgat")]
    require(gate, "no liongate-netgate runs")
    user = re.search(r"^Uid:\s+(\d+)", read(f"/proc/{gate[0]}/status"), re.MULTILINE)[1]
    require(user not in ("0", str(os.stat("/var/lib/liongate").st_uid)), f"it runs as {user}")
    ctl_ok("unload-plugin", "asker")
    return f"{said}; the gate is uid {user}"
