"""What bounds the speed of this machine's CPU, as the kernel shows it: clocks, turbo, a container's share of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
CLOCKS = "sys/devices/system/cpu"
# File -> what it holds where turbo is switched off.
TURBO_OFF = {f"{CLOCKS}/intel_pstate/no_turbo": "1", f"{CLOCKS}/cpufreq/boost": "0"}


def cpu_limits(root: Path = ROOT) -> dict[str, str]:
    """Return fact -> value of what the kernel shows; a virtual machine often shows nothing.

    "clock limit" where the clock may not reach the highest one, "cpu quota" where a control group gives only so many
    cores' time (the kernel's Documentation/admin-guide: pm/cpufreq, cgroup-v2; scheduler/sched-bwc for version 1).
    """
    facts: dict[str, str] = {}
    highest, allowed = _fastest(root, "cpuinfo_max_freq"), _fastest(root, "scaling_max_freq")
    if highest:
        facts["highest clock"] = f"{highest / 1e3:.0f} MHz"
        if allowed and allowed < highest:
            facts["clock limit"] = f"{allowed / 1e3:.0f} MHz"
    for path, off in TURBO_OFF.items():
        told = _text(root / path)
        if told:
            facts["turbo"] = "off" if told == off else "on"
    quotas = list(_quotas(root))
    if quotas:
        facts["cpu quota"] = f"{min(quotas):.2f} cores"
    return facts


def _fastest(root: Path, name: str) -> int | None:
    """The highest of all cores' figures, in kHz: cores of one chip may differ."""
    told = [_text(path) for path in (root / CLOCKS).glob(f"cpu[0-9]*/cpufreq/{name}")]
    return max((int(text) for text in told if text.isdigit()), default=None)


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that each control group around this process allows; those without a limit say nothing."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        unified = number == "0" and not controllers
        if not unified and "cpu" not in controllers.split(","):
            continue
        folder = root / "sys/fs/cgroup" / ("" if unified else "cpu")
        # A container may see its own group as the top one, under a path that is not there.
        for group in (folder, *(folder / step for step in _steps(path))):
            quota, period = _allowed(group) if unified else (_text(group / "cpu.cfs_quota_us"), _period(group))
            if quota.isdigit() and period.isdigit() and int(period):
                yield int(quota) / int(period)


def _steps(path: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part]
    for length in range(1, len(parts) + 1):
        yield "/".join(parts[:length])


def _allowed(group: Path) -> tuple[str, str]:
    quota, _, period = _text(group / "cpu.max").partition(" ")
    return quota, period


def _period(group: Path) -> str:
    return _text(group / "cpu.cfs_period_us")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
