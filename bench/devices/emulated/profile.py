"""Calibration profiles: the fitted numbers of one device and software, with their evidence, and which one prices what.

What a kernel reaches belongs to (device, dtype, kind, library). A rule holds the numbers of its formula, a small
correction in the logarithms of its dimensions, and what the fit missed on shapes that it had not seen.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from bench import project
from bench.devices.emulated.correction import Correction, terms
from bench.devices.emulated.form import Dims, Parts, Peaks
from bench.devices.emulated.forms import FORMS, OTHER_FORMS, SHEET_DTYPE, element_bytes, form_of
from bench.devices.emulated.links import EXCHANGES
from bench.devices.sheet import Sheet, known_sheets, load_sheet
from bench.errors import Unsupported

Tier = Literal["calibrated", "transferred", "sheet"]
TIERS: tuple[Tier, ...] = ("calibrated", "transferred", "sheet")

GENERIC = "generic"
ENGINE = "engine"
# Folders below devices/calibrations/ that hold something else than a device's profile.
OTHERS = frozenset({"here", ENGINE})
# Powers on a band when numbers are carried over. Of rows of a device left out entirely, the plain band of the average
# holds 60 %, to the power 1.5 77 %, squared 86 % (docs/cost-model.md); the further a device, the wider.
WIDER_SAME_CHIP = 1.5
WIDER_SAME_VENDOR = 1.5
WIDER_OTHER_VENDOR = 2.0
WIDER_OTHER_CLASS = 2.5
# A correction is of a chip's tiles and queues: it holds only where the peak is the same.
SAME_PEAK = 0.1


class Evidence(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a rule misses on rows left out of its fit. low, high: P10 and P90 of measured over predicted."""

    n: int
    mape: float
    median: float
    bias: float
    low: float
    high: float
    roofline_mape: float | None = None
    source: str
    method: str


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How one kind of kernel performs: its formula's numbers, correction and evidence."""

    kind: str
    dtype: str = ""
    library: str = ""
    # Another formula than the kind's own ("one_shot").
    form: str = ""
    # Devices that an average was fitted on; empty where one device or nobody's measurement stands behind it.
    devices: list[str] = []
    numbers: dict[str, float]
    # Whether the measured times include quantizing the activations, so that it is not priced twice.
    includes_quantize: bool = False
    # Whether grouped products compute whole tiles of rows, as accelerators do; a CPU computes the rows there are.
    padded: bool = True
    correction: Correction | None = None
    evidence: Evidence

    def __post_init__(self) -> None:
        if self.kind not in FORMS:
            raise ValueError(f"kind is '{self.kind}'; known: {', '.join(FORMS)}")
        if self.form and (self.form not in OTHER_FORMS or OTHER_FORMS[self.form].name != self.kind):
            raise ValueError(f"form is '{self.form}', which no {self.kind} has; known: {', '.join(OTHER_FORMS)}")
        form = form_of(self.kind, self.form)
        if set(self.numbers) != set(form.numbers):
            raise ValueError(
                f"rule '{self.kind}' needs the numbers {sorted(form.numbers)}, found {sorted(self.numbers)}"
            )
        if any(not 0 < value < math.inf for value in self.numbers.values()):
            raise ValueError(f"rule '{self.kind}': every number must be above 0, found {self.numbers}")
        if not 0 < self.evidence.low <= self.evidence.high < math.inf:
            raise ValueError(
                f"rule '{self.kind}': low {self.evidence.low} and high {self.evidence.high} are not in order"
            )
        if self.correction is not None:
            self._check_correction(self.correction)

    def _check_correction(self, correction: Correction) -> None:
        count = len(FORMS[self.kind].features(defaultdict(lambda: 1.0)))
        needed = len(terms([1.0] * count)) if count else 0
        lengths = {len(values) for values in (correction.low, correction.high, correction.mean, correction.scale)}
        if lengths != {count} or len(correction.weights) != needed:
            raise ValueError(
                f"rule '{self.kind}': a correction needs {count} of low, high, mean, scale each, and {needed} weights"
            )

    def price(self, dims: Dims, peaks: Peaks, dtype: str, *, corrected: bool = True) -> Parts:
        """Return the parts of kernels with these dimensions."""
        form = form_of(self.kind, self.form)
        if not self.padded:
            dims = {**dims, "padded": dims["rows"]}
        parts = form.price(self.numbers, dims, peaks, element_bytes(dtype or "bf16"))
        if self.correction is None or not corrected:
            return parts
        factor = self.correction.of(form.features(dims))
        return Parts(parts.seconds * factor, parts.compute, parts.memory, parts.link, parts.launch)


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The rules of one device and software; device "generic" is the average that other devices are priced with."""

    device: str
    software: str
    libraries: list[str] = []
    summary: str
    made: str
    command: str
    # Kernels were timed as they run in a step, one after the other: no engine's graph hides their launch.
    eager: bool = False
    rules: list[Rule]

    def rules_for(self, kind: str, dtype: str, library: str = "") -> list[Rule]:
        """Return the rules that fit: of this library where there is one, else of all; of this dtype, else of any."""
        same = [r for r in self.rules if r.kind == kind and r.dtype in (dtype, "")]
        named = [r for r in same if library and r.library == library]
        return named or same


class Engine(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How an engine's step differs from its kernels timed alone; fitted on half of a table of served configurations.

    step_overhead_us: the host's part of a step. launch_share: what is left of a kernel's launch in a captured graph.
    pointwise_factor: small kernels in place against a fused estimate. prefill_share: what a prompt costs the sequences
    that are decoding meanwhile, of its time alone.
    """

    made: str
    command: str
    step_overhead_us: float
    launch_share: float
    pointwise_factor: float
    prefill_share: float
    evidence: Evidence

    def __post_init__(self) -> None:
        for name in ("step_overhead_us", "launch_share", "pointwise_factor", "prefill_share"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 < self.evidence.low <= self.evidence.high < math.inf:
            raise ValueError(f"low {self.evidence.low} and high {self.evidence.high} are not in order")


def engine() -> Engine | None:
    """Return the engine's numbers, or None where nobody fitted them."""
    return _engine(Path.cwd())


@lru_cache(maxsize=8)
def _engine(here: Path) -> Engine | None:  # noqa: ARG001 (another folder may have its own)
    for folder in project.folders("devices"):
        path = folder / "calibrations" / ENGINE / "serving.toml"
        if path.is_file():
            return project.load_toml(path, Engine)
    return None


class Chosen(msgspec.Struct, frozen=True):
    """The rules that price a kind of kernel on a device; of several, software takes the faster."""

    rules: list[Rule]
    tier: Tier
    reason: str
    corrected: bool
    wider: float

    def price(self, dims: Dims, peaks: Peaks, dtype: str) -> Parts:
        """Return the parts by the fastest of the rules."""
        every = [rule.price(dims, peaks, dtype, corrected=self.corrected) for rule in self.rules]
        if len(every) == 1:
            return every[0]
        stacked = np.stack([np.asarray(parts.seconds, dtype=np.float64) for parts in every])
        best = np.argmin(stacked, axis=0)
        picked = [
            np.choose(best, [np.broadcast_to(getattr(p, name), best.shape) for p in every])
            for name in ("seconds", "compute", "memory", "link", "launch")
        ]
        return Parts(*picked)

    @property
    def band(self) -> tuple[float, float]:
        """P10 and P90 of measured over predicted, widened for a transfer."""
        low = min(rule.evidence.low for rule in self.rules)
        high = max(rule.evidence.high for rule in self.rules)
        return low**self.wider if low < 1 else low, high**self.wider if high > 1 else high


def profiles() -> dict[str, Profile]:
    """Return device -> the profile that comes first for it."""
    return {device: kept[0] for device, kept in _kept(Path.cwd()).items()}


@lru_cache(maxsize=8)
def _kept(here: Path) -> dict[str, list[Profile]]:  # noqa: ARG001 (another folder may have its own)
    """Every device's profiles: a person's own before the shipped ones, then the newest; what one lacks the next has."""
    found: dict[str, list[Profile]] = {}
    for folder in project.folders("devices"):
        loaded = [
            load_profile(path)
            for path in sorted((folder / "calibrations").glob("*/*.toml"), reverse=True)
            if path.parent.name not in OTHERS
        ]
        for profile in sorted(loaded, key=lambda profile: profile.made, reverse=True):
            found.setdefault(profile.device, []).append(profile)
    return found


def load_profile(path: Path) -> Profile:
    """Read one profile; its device must have a sheet."""
    profile = project.load_toml(path, Profile)
    if profile.device != GENERIC and profile.device not in known_sheets():
        from bench.errors import DefinitionError, nearest

        hint = nearest(profile.device, known_sheets())
        raise DefinitionError(
            f"{project.shown(path)}: device '{profile.device}' has no sheet{hint} (see: bench devices)"
        )
    return profile


def choose(device: str, sheet: Sheet, kind: str, dtype: str, library: str = "") -> Chosen:
    """Return what prices a kind of kernel: the device's own rules, those of a like chip, or the generic ones.

    1. calibrated: this device has a profile with such a rule.
    2. transferred: a device of the same architecture has one; its correction is used only where the peaks agree,
       and its experts' exchange only where links join as many devices.
    3. transferred: the average over devices, some of them of the same vendor.
    4. transferred: the average, for a device of the same class (stacked memory), with a wider interval.
    5. sheet: the average for a device of another class, with a still wider interval.
    Raises: Unsupported where nobody, not even an assumption, has such a kernel.
    """
    return _choose(Path.cwd(), device, sheet.name, kind, dtype, library)


@lru_cache(maxsize=4096)
def _choose(here: Path, device: str, name: str, kind: str, dtype: str, library: str) -> Chosen:  # noqa: ARG001 (name)
    sheet = load_sheet(device)
    known = _kept(here)
    for own in known.get(device, ()):
        if not (rules := own.rules_for(kind, dtype, library)):
            continue
        library = rules[0].library
        beside = "" if library in own.software else f" ({library})"
        reason = f"{device}: calibrated with {own.software}{beside}"
        return Chosen(rules, "calibrated", reason, corrected=True, wider=1.0)
    for donor, profile in ((donor, profile) for donor, kept in known.items() for profile in kept):
        if donor in (GENERIC, device):
            continue
        other = load_sheet(donor)
        alike = _chip(other) & _chip(sheet) and (kind not in EXCHANGES or _domain(other) == _domain(sheet))
        if alike and (rules := profile.rules_for(kind, dtype, library)):
            reason = f"{device}: numbers of {donor} ({profile.software}), the same architecture {sheet.arch}"
            corrected = _same_peak(sheet, other, dtype)
            return Chosen(rules, "transferred", reason, corrected=corrected, wider=WIDER_SAME_CHIP)
    averages = (_averages(generic.rules_for(kind, dtype), sheet) for generic in known[GENERIC])
    rules = next((rules for rules in averages if rules), [])
    if not rules:
        raise Unsupported(
            f"cannot be modelled: no calibration has {kind} {dtype}; fit one: bench calibrate --from FILE"
        )
    donors = rules[0].devices
    named = f"average of {', '.join(donors)}" if donors else "usual numbers, assumed"
    tier: Tier = "transferred"
    if not donors:
        tier, reason, wider = "sheet", named, 1.0
    elif any(load_sheet(donor).vendor == sheet.vendor for donor in donors):
        reason, wider = f"{named}; the same vendor", WIDER_SAME_VENDOR
    elif "HBM" in (sheet.memory.type or "").upper():
        reason, wider = f"{named}; the same class (stacked memory)", WIDER_OTHER_VENDOR
    else:
        tier, reason, wider = "sheet", f"{named}; another class of device", WIDER_OTHER_CLASS
    return Chosen(rules, tier, f"{device}: {reason}", corrected=False, wider=wider)


def _averages(rules: list[Rule], sheet: Sheet) -> list[Rule]:
    """The average over devices of the sheet's vendor alone where there is one, else the average over the most."""
    same = [r for r in rules if r.devices and all(load_sheet(donor).vendor == sheet.vendor for donor in r.devices)]
    return sorted(same or rules, key=lambda rule: -len(rule.devices))[:1]


def _chip(sheet: Sheet) -> set[str]:
    """Words of an architecture that name a chip generation: sm_90, DAV-C220."""
    words = (sheet.arch or "").replace(",", " ").replace("/", " ").split()
    return {
        word for word in words if any(c.isdigit() for c in word) and any(c.isalpha() for c in word) and len(word) > 4
    } - {"Atlas"}


def _domain(sheet: Sheet) -> float | None:
    """How many devices the links join: an exchange over a supernode's fabric is not one over network cards."""
    return None if sheet.link.domain_devices is None else sheet.link.domain_devices.value


def _same_peak(one: Sheet, other: Sheet, dtype: str) -> bool:
    name = SHEET_DTYPE.get(dtype, dtype) or "bf16"
    a, b = one.peak_flops(name), other.peak_flops(name)
    return a is not None and b is not None and abs(a / b - 1) < SAME_PEAK
