"""The installed layout: files, users, units, and what systemd thinks of them."""

import os
import pwd
import re
import stat

from harness import check, ok, one_line, read, require, run

UNITS = "/lib/systemd/system"
EXPOSURE_MAX = 2.0
LAUNCHER_EXPOSURE_MAX = 5.0
PROGRAMS = ["/usr/bin/liongated", "/usr/bin/liongatectl", "/usr/lib/liongate/liongate-launcher",
            "/usr/lib/liongate/liongate-netgate"]
FILES = [*PROGRAMS, f"{UNITS}/liongated.service", f"{UNITS}/liongate-launcher.socket",
         f"{UNITS}/liongate-launcher@.service", f"{UNITS}/liongate-netgate.socket",
         f"{UNITS}/liongate-netgate@.service", "/lib/systemd/user/liongated.service",
         "/usr/lib/sysusers.d/liongate.conf", "/usr/lib/tmpfiles.d/liongate.conf",
         "/usr/lib/liongate/plugins/hello/manifest.toml", "/usr/lib/liongate/plugins/hello-python/manifest.toml",
         "/usr/share/bash-completion/completions/liongatectl"]


def units():
    return sorted(name for name in os.listdir(UNITS) if name.startswith("liongate") and "checks" not in name)


def exposure(unit):
    text = run("systemd-analyze", "security", "--no-pager", unit).out
    match = re.search(r"Overall exposure level for .*: ([0-9.]+) (\w+)", text)
    require(match, one_line(text))
    return float(match.group(1)), match.group(2)


@check("P1", "`make install` puts files where the FHS wants them",
       "programs, units, sysusers, tmpfiles, plugins, completion", needs_sandbox=False)
def layout():
    missing = [path for path in FILES if not os.path.exists(path)]
    require(not missing, f"missing: {missing}")
    for folder in ("/usr/lib/liongate", "/usr/share/doc/liongate"):
        for path, _, names in os.walk(folder):
            for name in names:
                info = os.lstat(os.path.join(path, name))
                require(not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID),
                        f"{path}/{name} has mode {stat.S_IMODE(info.st_mode):o}")
    return f"{len(FILES)} of {len(FILES)} there; nothing set-id, nothing that others can write"


@check("P2", "what the programs link is on a Debian 12 with the packages' libraries", "nothing unresolved",
       needs_sandbox=False)
def libraries():
    for program in PROGRAMS:
        text = run("ldd", program)
        require("not found" not in text.out, f"{program}: {text}")
    return "; ".join(run(program, "--version").text for program in PROGRAMS[:2])


@check("P3", "sysusers and tmpfiles make the user and the folders", "system user liongate without a shell; 0700 state",
       needs_sandbox=False)
def users_and_folders():
    user = pwd.getpwnam("liongate")
    require(user.pw_uid < 1000 and user.pw_shell.endswith("nologin"), str(user))
    mode = os.stat("/var/lib/liongate")
    require(stat.S_IMODE(mode.st_mode) == 0o700 and mode.st_uid == user.pw_uid, f"/var/lib/liongate: {mode}")
    return f"uid {user.pw_uid}, {user.pw_shell}; /var/lib/liongate 0700 of liongate"


@check("P4", "systemd-analyze verify of every unit", "not a word, exit 0", needs_sandbox=False)
def verify():
    # A template is verified as an instance of it.
    system = [f"{UNITS}/{name}".replace("@.", "@0.") for name in units()]
    said = run("systemd-analyze", "--man=no", "verify", *system)
    require(said.code == 0 and not said.err.strip() and not said.text, str(said))
    said = run("systemd-analyze", "--user", "--man=no", "verify", "/lib/systemd/user/liongated.service",
               env={**os.environ, "XDG_RUNTIME_DIR": "/run", "HOME": "/root"})
    require(said.code == 0 and not said.err.strip(), f"user unit: {said}")
    return f"{', '.join(units())} and the user unit: nothing to say"


@check("P5", "systemd-analyze security liongated", f"exposure under {EXPOSURE_MAX}", needs_sandbox=False)
def daemon_exposure():
    level, word = exposure("liongated.service")
    require(level < EXPOSURE_MAX, f"{level} {word}")
    return f"{level} {word}"


@check("P6", "systemd-analyze security of what keeps privileges",
       f"the launcher's: told, and under {LAUNCHER_EXPOSURE_MAX}", needs_sandbox=False)
def launcher_exposure():
    level, word = exposure("liongate-launcher@0.service")
    require(level < LAUNCHER_EXPOSURE_MAX, f"{level} {word}")
    return f"{level} {word}: what makes user namespaces, mounts and plugins' users"


@check("P8", "systemd-analyze security of what speaks to the network", f"exposure under {EXPOSURE_MAX}",
       needs_sandbox=False)
def netgate_exposure():
    level, word = exposure("liongate-netgate@0.service")
    require(level < EXPOSURE_MAX, f"{level} {word}")
    return f"{level} {word}"


@check("P7", "the shipped configuration file is valid and says the defaults", "exit 0", needs_sandbox=False)
def configuration():
    path = "/usr/share/doc/liongate/examples/liongated.yaml"
    ok("liongated", "--check-config", "--config", path)
    return one_line(read(path).splitlines()[0])
