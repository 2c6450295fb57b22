"""What would disturb a measurement on this machine, and what to do about it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Literal

import psutil

from bench.devices.achieved import fingerprint, load_achieved
from bench.devices.adapter import open_device, present_devices, problems
from bench.devices.cpu import CpuAdapter, matrix_extensions, physical_cores
from bench.devices.telemetry.reading import Reading
from bench.errors import listed
from bench.results.environment import container, governor, load_average, packages

Level = Literal["ok", "note", "warn"]

BUSY_SHARE = 0.2
STEAL_SHARE = 0.02
CLOCK_SPREAD = 0.10


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, whether it disturbs, what to do."""

    level: Level
    subject: str
    found: str
    advice: str = ""


def examine(quick: bool = False) -> list[Finding]:
    """Look at governor, load, clock, threads, memory, torch, calibration; takes a second, or none if quick."""
    window = [] if quick else _watch()
    return [_governor(), _load(), *window, _threads(), _memory(), _container(), _torch(), _roofs(), *_accelerators()]


def _governor() -> Finding:
    name = governor()
    if name is None:
        return Finding("note", "governor", "not shown (usual in a virtual machine)", "clocks are the host's affair")
    if name == "performance":
        return Finding("ok", "governor", name)
    return Finding("warn", "governor", name, "clocks will vary: sudo cpupower frequency-set -g performance")


def _load() -> Finding:
    load, cores = load_average(), physical_cores()
    if load is None:
        return Finding("note", "load", "not shown by this system")
    text = f"{load:.2f} on {cores} cores (one minute)"
    if load > BUSY_SHARE * cores:
        return Finding("warn", "load", text, "other work shares the cores: stop it, or wait for the load to fall")
    return Finding("ok", "load", text)


def _watch(seconds: float = 1.0) -> list[Finding]:
    """Watch for a second: time stolen by the host, and how steady one core computes."""
    before = psutil.cpu_times()
    rates: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        sum(range(200_000))
        rates.append(time.perf_counter() - start)
    after = psutil.cpu_times()
    findings = []
    stolen = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    share = stolen / (seconds * physical_cores())
    if share > STEAL_SHARE:
        advice = "the host runs others on these cores: prefer ratios inside one run, or a machine of your own"
        findings.append(Finding("warn", "stolen time", f"{share:.1%} of the cores", advice))
    else:
        findings.append(Finding("ok", "stolen time", f"{share:.1%}"))
    rates.sort()
    spread = rates[int(len(rates) * 0.9)] / rates[len(rates) // 2] - 1
    text = f"one core's loop varies by {spread:.0%} (median to P90)"
    advice = "single timings will scatter: rely on intervals and on ratios inside one run"
    findings.append(
        Finding("warn" if spread > CLOCK_SPREAD else "ok", "steadiness", text, advice if spread > CLOCK_SPREAD else "")
    )
    return findings


def _threads() -> Finding:
    cores, asked = physical_cores(), os.environ.get("OMP_NUM_THREADS")
    extensions = " ".join(matrix_extensions()) or "none known"
    if asked is None:
        return Finding("ok", "threads", f"{cores}, one per core; extensions: {extensions}")
    if not asked.isdigit() or int(asked) != cores:
        return Finding("warn", "threads", f"OMP_NUM_THREADS is {asked} on {cores} cores", "unset OMP_NUM_THREADS")
    return Finding("ok", "threads", f"{asked} (OMP_NUM_THREADS); extensions: {extensions}")


def _memory() -> Finding:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    text = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    if swap.used > 0.05 * memory.total:
        return Finding(
            "warn", "memory", f"{text}, {swap.used / 1e9:.1f} GB swapped out", "free memory before measuring"
        )
    if memory.available < 4e9:
        return Finding("warn", "memory", text, "the smoke suite wants about 2 GB; larger cases will be skipped")
    return Finding("ok", "memory", text)


def _container() -> Finding:
    kind = container()
    if kind is None:
        return Finding("ok", "container", "none seen")
    return Finding("note", "container", kind, "limits of the container apply; compare only with runs in the same one")


def _torch() -> Finding:
    version = packages().get("torch")
    if version is None:
        return Finding(
            "warn", "torch", "not installed", "measuring needs it: pip install 'accelbench[torch]'; modelling does not"
        )
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):
        return Finding("warn", "torch", f"{version}, held back by ONEDNN_MAX_CPU_ISA", "unset ONEDNN_MAX_CPU_ISA")
    return Finding("ok", "torch", version)


def _roofs() -> Finding:
    roof = load_achieved(fingerprint(CpuAdapter().facts()))
    if roof is None:
        return Finding("note", "calibration", "none for this machine", "MFU and MBU need it: bench calibrate -d cpu")
    return Finding("ok", "calibration", f"of {roof.made[:10]}, {roof.software}")


def _accelerators() -> list[Finding]:
    """What each accelerator here complains of, and why those that should be here are not."""
    found = [Finding("warn", "accelerator", *told.rsplit("; ", 1)) for told in problems()]
    for device in present_devices():
        if device != "cpu":
            found.append(_accelerator(device, open_device(device).read()))
    return found


def _accelerator(device: str, told: Reading) -> Finding:
    if told.processes:
        users = listed([f"pid {p.pid} {p.name}".strip() for p in told.processes])
        return Finding("warn", device, f"in use by {users}", "stop them: a shared device is slower by what others take")
    if told.throttle:
        held = ", ".join(told.throttle)
        return Finding("warn", device, f"held back: {held}", "look at cooling and power limit, or wait")
    if told.health is not None and told.health.lower() != "ok":
        return Finding("warn", device, f"health {told.health}", "ask the vendor's tool what is wrong")
    if told.power_w is None and told.energy_j is None:
        return Finding("note", device, "tells no power", told.missing.get("power_w", "no J/token then"))
    return Finding("ok", device, f"idle, {told.source} tells power")
