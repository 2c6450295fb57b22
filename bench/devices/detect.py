"""Which accelerators torch sees here, asked once, in a process of its own, without importing torch in this one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from bench.devices.probe import MARK

LIMIT_S = 90.0
COMMAND = "from bench.devices.probe import main; main()"


class Present(msgspec.Struct, frozen=True):
    """One device as torch shows it; what it does not tell is None."""

    index: int
    name: str
    memory_bytes: int | None = None
    cores: int | None = None
    cache_bytes: int | None = None
    arch: str | None = None
    uuid: str | None = None


class Seen(msgspec.Struct, frozen=True):
    """What torch answered for one family of devices ("cuda", "npu"): versions, devices, or what went wrong."""

    family: str
    torch: str | None = None
    runtime: dict[str, str] = {}
    devices: list[Present] = []
    error: str | None = None


_seen: dict[str, Seen] = {}


def look(family: str, plugin: str = "") -> Seen:
    """Return what torch sees of a family; asked once for a process and its workers.

    plugin: the package that brings the family to torch, as torch_npu; without it nothing is there to be asked.
    """
    if family not in _seen:
        _seen[family] = _asked(family, plugin)
    return _seen[family]


def known() -> bytes:
    """Return all answers so far, for a worker to `recall`."""
    return msgspec.json.encode(list(_seen.values()))


def recall(answers: bytes) -> None:
    """Take over the answers of the process that started this one."""
    _seen.update({seen.family: seen for seen in msgspec.json.decode(answers, type=list[Seen])})


def forget() -> None:
    """Ask again next time."""
    _seen.clear()


def installed(package: str) -> bool:
    """Return whether a package is installed here, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def torch_builds() -> dict[str, str]:
    """Return what the installed torch was built for, as {"cuda": "12.8"} or {"hip": "6.3"}; empty for a CPU build.

    Read from torch/version.py as text: importing torch takes seconds.
    """
    spec = importlib.util.find_spec("torch") if installed("torch") else None
    if spec is None or spec.origin is None:
        return {}
    try:
        lines = (Path(spec.origin).parent / "version.py").read_text().splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        name, value = name.split(":")[0].strip(), value.strip().strip("'\"")
        if name in ("cuda", "hip") and value not in ("", "None"):
            found[name] = value
    return found


def nodes(*patterns: str) -> bool:
    """Return whether the kernel shows a device file like these below /dev (a driver is loaded)."""
    return any(next(Path("/dev").glob(pattern), None) is not None for pattern in patterns)


def _asked(family: str, plugin: str) -> Seen:
    if not installed("torch") or (plugin and not installed(plugin)):
        return Seen(family)
    # The plugin is imported by name: an autoload that fails would take torch itself down.
    environment = os.environ | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, family, plugin],
            capture_output=True, timeout=LIMIT_S, env=environment, check=False, errors="replace", text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Seen(family, error=f"torch.{family} gave no answer in {LIMIT_S:g} s: the driver hangs")
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            try:
                return msgspec.json.decode(line.removeprefix(MARK), type=Seen)
            except msgspec.DecodeError as error:
                return Seen(family, error=f"what torch.{family} says of its devices cannot be read: {error}")
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return Seen(family, error=f"asking torch.{family} ended with exit code {done.returncode}: {last}")
