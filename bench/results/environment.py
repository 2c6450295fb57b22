"""What a run was made with and on: enough to say whether two runs may be compared."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

import bench
from bench.results.record import Environment

# Of a device's facts, those that somebody may change; sensors' readings differ every time.
DEVICE_SETTINGS = (
    "name", "driver", "runtime", "power limit", "highest clock", "clock limit", "turbo", "cpu quota", "threads",
    "graphs", "memory",
)  # fmt: skip
# What a control group's path tells of who made it.
CONTAINER_GROUPS = {"kubepods": "kubernetes", "docker": "docker", "libpod": "podman", "lxc": "lxc"}
PACKAGES = ("torch", "numpy", "msgspec", "torch-npu", "torch-musa", "torch-gcu", "torch-txda", "triton")


def collect(command: str, devices: dict[str, dict[str, str]], fingerprint: str) -> Environment:
    """Return the environment of this machine now; torch is asked for its version without being imported."""
    memory = psutil.virtual_memory()
    return Environment(
        bench_version=bench.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        command=command,
        host=socket.gethostname(),
        fingerprint=fingerprint,
        python=platform.python_version(),
        os=f"{platform.system()} {platform.release()}",
        cpu=devices.get("cpu", {}).get("name") or platform.processor() or platform.machine(),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        threads=os.cpu_count(),
        memory_bytes=memory.total,
        container=container(),
        image=image(),
        governor=governor(),
        load_average=load_average(),
        packages=packages(),
        commit=commit(),
        devices=devices,
    )


def settings(environment: Environment) -> dict[str, str]:
    """Return what may differ between two runs and move a number: software, host, commit, what each device says."""
    found = {
        "commit": environment.commit or "not known", "accelbench": environment.bench_version,
        "python": environment.python, "os": environment.os, "host": environment.host, "cpu": environment.cpu,
        "cores": str(environment.cores), "governor": environment.governor or "not shown",
        "container": environment.container or "none", "image": environment.image or "not known",
    }  # fmt: skip
    found |= environment.packages
    for device, facts in environment.devices.items():
        found |= {f"{device} {key}": value for key, value in facts.items() if key in DEVICE_SETTINGS}
    return found


def idle_power(environment: Environment | None, device: str) -> tuple[float, str] | None:
    """Return what a device drew just before it was measured, in watts, and what the sensor covers; None if not told."""
    facts = {} if environment is None else environment.devices.get(device, {})
    match = re.fullmatch(r"(\d+(?:\.\d+)?) W(?: \((.*)\))?", facts.get("idle power", ""))
    return None if match is None else (float(match[1]), match[2] or "")


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the settings that differ, one line each: "torch 2.9.0 -> 2.9.1"."""
    keys = dict.fromkeys([*before, *after])
    return [
        f"{key} {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


def packages() -> dict[str, str]:
    """Return package -> version of what decides speed, where installed."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def governor() -> str | None:
    """Return the CPU frequency governor, or None where the machine does not show one (virtual machines)."""
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    try:
        return path.read_text().strip()
    except OSError:
        return None


def load_average() -> float | None:
    """Return the one-minute load average."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def container() -> str | None:
    """Return the kind of container this process runs in, or None where nothing shows one."""
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    # systemd-nspawn, LXC and others set this variable for the first process, and systemd writes it down.
    told = os.environ.get("container") or _first_line("/run/systemd/container")  # noqa: SIM112
    groups = _text("/proc/self/cgroup")
    return told or next((kind for mark, kind in CONTAINER_GROUPS.items() if f"/{mark}" in groups), None)


def image() -> str | None:
    """Return the container's image, where it is told to those inside: by podman (to privileged ones), or by GitLab.

    Docker and Kubernetes tell it only through their own interfaces, which need rights on the host.
    """
    for line in _text("/run/.containerenv").splitlines():
        name, _, value = line.partition("=")
        if name == "imageid" and value.strip('"'):
            return value.strip('"')
    return os.environ.get("CI_JOB_IMAGE") or None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _first_line(path: str) -> str:
    return next(iter(_text(path).splitlines()), "").strip()


def commit() -> str | None:
    """Return the git commit of the current folder, with "+" where it has changes, or None outside a repository.

    Changes of `results` here are none: a baseline that was just added to makes no other code.
    """
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = head and _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude)results")
        return f"{head}{'+' if changed else ''}" if head else None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=5, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def command_line() -> str:
    """Return the command as a shell takes it, with the program's plain name."""
    # A file name that is not UTF-8 reaches us as lone surrogates, which JSON cannot hold.
    # `python -m bench` tells its file, which no shell finds.
    program = Path(sys.argv[0]).name.replace("__main__.py", "bench")
    words = (part.encode(errors="replace").decode() for part in (program, *sys.argv[1:]))
    return shlex.join(words)
