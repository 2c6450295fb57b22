"""A calibration profile: the few numbers that turn peaks into times, with their evidence.

A plain roofline is wrong by half; what a kernel reaches belongs to (device, dtype, kind, library). A profile states,
per kind of kernel, the reached share of the compute and memory peak, the time a launch costs, and how far measurements
scatter around what these numbers predict.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from bench import project
from bench.errors import DefinitionError

GENERIC = "average"


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How one kind of kernel performs: shares of the sheet's peaks, seconds a launch, and the residuals' P10 and P90.

    low, high: measured over predicted time at the 10th and 90th percentile.
    ramp_tokens: prefill attention reaches its share only at sequences much longer than this.
    """

    kind: str
    dtype: str | None = None
    compute: float = 1.0
    memory: float = 1.0
    link: float = 1.0
    launch_us: float = 0.0
    per_rank_us: float = 0.0
    ramp_tokens: float = 0.0
    low: float
    high: float
    source: str

    def __post_init__(self) -> None:
        for key in ("compute", "memory", "link"):
            if not 0 < getattr(self, key) <= 2:
                raise ValueError(f"{key} is {getattr(self, key)}; it is a share of the peak, above 0")
        if not 0 < self.low <= self.high:
            raise ValueError(f"low {self.low} and high {self.high} must be positive and in order")


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A set of rules for one device and software, or the generic set used where a device has none."""

    summary: str
    made: str
    step_overhead_us: float = 0.0
    rules: list[Rule]

    def rule(self, kind: str, dtype: str) -> Rule:
        """Return the most specific rule: this kind and dtype, this kind, or the rule for "other" kernels."""
        candidates = [r for r in self.rules if r.kind == kind and r.dtype == dtype]
        candidates += [r for r in self.rules if r.kind == kind and r.dtype is None]
        candidates += [r for r in self.rules if r.kind == "other"]
        if not candidates:
            raise DefinitionError(f"calibration '{self.summary}': no rule for kind '{kind}' and none for 'other'")
        return candidates[0]


class Chosen(msgspec.Struct, frozen=True):
    """A profile with the tier it has for a device, and why it was chosen."""

    profile: Profile
    tier: Literal["calibrated", "transferred", "sheet"]
    reason: str


@cache
def _loaded(path: Path) -> Profile:
    return project.load_toml(path, Profile)


def choose_profile(device: str) -> Chosen:
    """Return the profile that prices a device. So far every device has the generic one: tier `sheet`."""
    path = project.find("devices", GENERIC, "calibrations/generic/*.toml", noun="calibration", command="bench devices")
    return Chosen(
        _loaded(path), "sheet", f"{device} has no calibration of its own: generic shares of its sheet's peaks"
    )
