"""Peaks that a machine was seen to reach: the roof for a device that no sheet describes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from bench import project


class Achieved(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Best rates seen on one machine. Made by `bench calibrate`, kept in `devices/calibrations/here/`."""

    device: str
    fingerprint: str
    made: str
    command: str
    threads: int
    software: str
    gemm_flops: dict[str, float]
    gemm_sizes: dict[str, int]
    read_bytes_per_s: float
    copy_bytes_per_s: float
    notes: list[str] = []

    @property
    def bytes_per_s(self) -> float:
        """The memory roof: the better of reading, and of copying (read plus written)."""
        return max(self.read_bytes_per_s, self.copy_bytes_per_s)


def fingerprint(facts: dict[str, str]) -> str:
    """Return a short hash of what makes two machines alike: CPU, cores, extensions, memory to the gigabyte."""
    memory = round(float(facts.get("memory", "0").split()[0]))
    text = "|".join([facts.get("name", ""), facts.get("cores", ""), facts.get("extensions", ""), str(memory)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def achieved_path(folder: Path, mark: str) -> Path:
    """Return where a machine's achieved peaks are kept below a `devices` folder."""
    return folder / "calibrations" / "here" / f"{mark}.toml"


def load_achieved(mark: str) -> Achieved | None:
    """Return the achieved peaks of the machine with this fingerprint, or None where it was never calibrated."""
    for folder in project.folders("devices"):
        path = achieved_path(folder, mark)
        if path.is_file():
            return project.load_toml(path, Achieved)
    return None
