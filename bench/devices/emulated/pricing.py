"""Prices a program's kernels on a sheet: seconds, bound, tier and interval, for one case or a whole sweep at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.devices.emulated.form import Dims, Parts, Peaks
from bench.devices.emulated.forms import FORMS, assumed_figures, peaks_of
from bench.devices.emulated.layers import merged_experts
from bench.devices.emulated.links import LINKED
from bench.devices.emulated.profile import TIERS, WIDER_SAME_CHIP, Chosen, Engine, Tier, choose
from bench.devices.sheet import Sheet
from bench.operators.kernel import BYTES, Dim, Kernel, Work

Overlap = Literal["none", "two-micro-batches", "partial"]

BOUNDS = ("compute", "memory", "link", "launch")
# What 4-bit weights are multiplied in where a device has no 4-bit products.
UNPACKED = "bf16"
# A kernel that takes less than this share of a step does not decide the step's tier.
MATERIAL = 0.1


@dataclass(frozen=True)
class PricedKernel:
    """One kernel with the time of one launch, its parts, the rules that priced it, and the least that peaks allow."""

    kernel: Kernel
    parts: Parts
    chosen: Chosen
    roof_s: Dim = 0.0

    @property
    def seconds(self) -> Dim:
        return self.parts.seconds

    @property
    def total_s(self) -> Dim:
        return self.parts.seconds * self.kernel.count

    @property
    def bound(self) -> str:
        """The largest of compute, memory, link and launch (of a single case)."""
        return max(BOUNDS, key=lambda part: float(np.max(getattr(self.parts, part))))


@dataclass(frozen=True)
class Priced:
    """A step's price: its kernels, host overhead, and how computing and sending overlap."""

    kernels: tuple[PricedKernel, ...]
    overhead_s: float = 0.0
    overlap: Overlap = "none"
    overlap_share: float = 0.0
    rounds: int = 1
    # P10 and P90 of measured over modelled whole steps, beside what kernels alone miss.
    step_band: tuple[float, float] = (1.0, 1.0)
    # Figures that neither the sheet nor the deployment gives, and what stands for them.
    assumed: tuple[str, ...] = ()

    @property
    def step_s(self) -> Dim:
        links: Dim = sum((k.total_s for k in self.kernels if k.kernel.kind in LINKED), start=0.0)
        rest: Dim = sum((k.total_s for k in self.kernels if k.kernel.kind not in LINKED), start=0.0)
        if self.overlap == "two-micro-batches":
            busy: Dim = np.maximum(links, rest)
        elif self.overlap == "partial":
            busy = rest + links - self.overlap_share * np.minimum(links, rest)
        else:
            busy = rest + links
        return self.overhead_s + self.rounds * busy

    @property
    def interval(self) -> tuple[Dim, Dim]:
        """P10 and P90 of the step: kernels of one rule err together, different rules independently.

        Deviations are those of the parts of the step, scaled to what overlap leaves of them, and what whole steps of
        served models missed. No kernel becomes faster than its roof.
        """
        below: dict[int, Dim] = {}
        above: dict[int, Dim] = {}
        for k in self.kernels:
            low, high = k.chosen.band
            key = id(k.chosen.rules[0])
            room = np.maximum(k.total_s - k.roof_s * k.kernel.count, 0.0)
            below[key] = below.get(key, 0.0) + np.minimum((1 - low) * k.total_s, room)
            above[key] = above.get(key, 0.0) + (high - 1) * k.total_s
        total: Dim = sum((k.total_s for k in self.kernels), start=0.0)
        left = (self.step_s - self.overhead_s) / np.maximum(total, 1e-30)
        down: Dim = sum((np.sign(x) * x**2 for x in below.values()), start=0.0)
        up: Dim = sum((np.sign(x) * x**2 for x in above.values()), start=0.0)
        low, high = self.step_band
        down = down * left**2 + np.sign(1 - low) * ((1 - low) * self.step_s) ** 2
        up = up * left**2 + np.sign(high - 1) * ((high - 1) * self.step_s) ** 2
        # A time stays above what the peaks allow, and above zero, however wide the band.
        roofs = (np.minimum(k.roof_s * k.kernel.count, k.total_s) for k in self.kernels)
        least = np.maximum(self.rounds * sum(roofs, start=0.0), 0.05 * self.step_s)
        return np.maximum(self.step_s - _root(down), least), self.step_s + _root(up)

    @property
    def bound(self) -> str:
        """What most of the step's time goes to: compute, memory, link or launch (of a single case)."""
        totals = dict.fromkeys(BOUNDS, 0.0)
        for k in self.kernels:
            totals[k.bound] += float(np.max(k.total_s)) * self.rounds
        totals["launch"] += self.overhead_s
        return max(BOUNDS, key=totals.__getitem__)

    @property
    def shares(self) -> dict[Tier, float]:
        """Share of the kernels' time that each tier priced."""
        totals = dict.fromkeys(TIERS, 0.0)
        for k in self.kernels:
            totals[k.chosen.tier] += float(np.max(k.total_s))
        whole = sum(totals.values()) or 1.0
        return {tier: value / whole for tier, value in totals.items()}

    @property
    def tier(self) -> Tier:
        """The worst tier that priced a material part of the step."""
        shares = self.shares
        for tier in reversed(TIERS):
            if shares[tier] >= MATERIAL:
                return tier
        return max(TIERS, key=lambda tier: shares[tier])

    @property
    def notes(self) -> list[str]:
        """Which numbers were used, the most important first, and which figures were assumed."""
        ordered = sorted(self.kernels, key=lambda k: -float(np.max(k.total_s)))
        return [*dict.fromkeys(k.chosen.reason for k in ordered), *self.assumed]


def _root(signed: Dim) -> Dim:
    """Square root that keeps the sign: a band wholly on one side shifts the interval."""
    root: Dim = np.sign(signed) * np.sqrt(np.abs(signed))
    return root


def price(
    work: Work,
    device: str,
    sheet: Sheet,
    where: str,
    *,
    network_gb_per_s: float | None = None,
    overlap: Overlap = "none",
    overlap_share: float = 0.0,
    rounds: int = 1,
    block_scaled: bool = False,
    only_experts: bool = False,
    inside: Engine | None = None,
) -> Priced:
    """Price one step's work on a device.

    where: the sheet's file, named in the reason when a figure is missing.
    network_gb_per_s: network per device beyond the sheet's link domain (from the deployment).
    rounds: how many times the work is done in a step (two micro-batches: 2).
    inside: the engine that runs a model's step from a graph; None for a kernel or layer timed alone.
    block_scaled: 8-bit weights carry a scale per block, as DeepSeek's do.
    only_experts: of a model in fp4 the experts alone are, as of gpt-oss; the rest is bf16.
    Raises: Unsupported when the sheet lacks a peak that the work needs; nothing is guessed.
    """
    priced: list[PricedKernel] = []
    assumed: dict[str, None] = {}
    for kernel in merged_experts(work.kernels):
        form = kernel.kind if kernel.kind in FORMS else "pointwise"
        dtype = _table_dtype(kernel, form, block_scaled)
        if dtype == "fp4" and form != "moe" and only_experts:
            dtype = "bf16"
        unpacked = kernel.dtype == "fp4" and sheet.peak_flops("fp4") is None
        chosen = _unpacking(device, sheet, form) if unpacked and dtype == "fp4" else choose(device, sheet, form, dtype)
        computed = UNPACKED if unpacked and dtype == "fp4" else dtype
        peaks = peaks_of(sheet, form, computed or "bf16", where, network_gb_per_s)
        dims = _dims(kernel, form, wider=BYTES[UNPACKED] / BYTES["fp4"] if unpacked else 1.0)
        parts = chosen.price(dims, peaks, dtype)
        if kernel.kind == "quantize" and (unpacked or _quantizes(device, sheet, kernel.dtype, block_scaled)):
            parts = Parts(0.0 * parts.seconds)
        roof_s = 0.0 if _free(kernel, parts) else _roof(kernel, form, peaks)
        parts = _in_graph(parts, form, inside)
        # Shares are fitted and may come out above 1, on another device at that. What was timed alone on this very one
        # may have had its operands in the cache; in a step the layers between two uses take their place.
        cached = inside is None and chosen.tier == "calibrated"
        roof_s = np.where(cached & (np.asarray(kernel.moved_bytes) <= peaks.cache_bytes), 0.0, roof_s)
        parts = replace(parts, seconds=np.maximum(parts.seconds, roof_s))
        assumed |= dict.fromkeys(assumed_figures(sheet, form, dims, network_gb_per_s, own=chosen.tier == "calibrated"))
        priced.append(PricedKernel(kernel, parts, chosen, roof_s))
    kernels, notes = tuple(priced), tuple(assumed)
    if inside is None:
        return Priced(kernels, 0.0, overlap, overlap_share, rounds, assumed=notes)
    band = (inside.evidence.low, inside.evidence.high)
    return Priced(kernels, inside.step_overhead_us * 1e-6, overlap, overlap_share, rounds, band, notes)


def _unpacking(device: str, sheet: Sheet, form: str) -> Chosen:
    """4-bit weights on a device without 4-bit products: read as they are and multiplied in 16 bits.

    So engines run gpt-oss on Hopper. The numbers are those of 16-bit products, hence transferred and wider.
    """
    found = choose(device, sheet, form, UNPACKED)
    tier: Tier = "sheet" if found.tier == "sheet" else "transferred"
    reason = f"{found.reason}; 4-bit weights multiplied in {UNPACKED}"
    wider = max(found.wider, WIDER_SAME_CHIP)
    return Chosen(found.rules, tier, reason, corrected=found.corrected, wider=wider)


def _free(kernel: Kernel, parts: Parts) -> bool:
    """Whether a kernel's time is part of another's: quantizing that the products' times include."""
    return kernel.kind == "quantize" and not np.any(parts.seconds)


def _roof(kernel: Kernel, form: str, peaks: Peaks) -> Dim:
    """The least seconds that a device's peaks allow for one launch; none for what goes over links."""
    if form in LINKED:
        return 0.0
    memory: Dim = kernel.moved_bytes / peaks.bytes_per_s
    return np.maximum(memory, kernel.flops / peaks.flops) if FORMS[form].matrix else memory


def _in_graph(parts: Parts, form: str, inside: Engine | None) -> Parts:
    """A kernel inside an engine's captured step: most of its launch is hidden behind the kernel before."""
    if inside is None or form in LINKED:
        return parts
    if form == "pointwise":
        return replace(parts, seconds=parts.seconds * inside.pointwise_factor)
    hidden = (1 - inside.launch_share) * np.minimum(parts.launch, parts.seconds)
    return replace(parts, seconds=parts.seconds - hidden, launch=parts.launch * inside.launch_share)


def _table_dtype(kernel: Kernel, form: str, block_scaled: bool) -> str:
    """The dtype under which kernel tables hold a kernel: attention computes in 16 bit, links and copies in none."""
    if not FORMS[form].matrix:
        return ""
    if kernel.dtype == "fp8" and block_scaled:
        return "fp8_block"
    return kernel.dtype


def _quantizes(device: str, sheet: Sheet, dtype: str, block_scaled: bool) -> bool:
    """Whether the products' own measured times already include quantizing their input."""
    name = "fp8_block" if dtype == "fp8" and block_scaled else dtype
    return all(rule.includes_quantize for rule in choose(device, sheet, "gemm", name).rules)


def _dims(kernel: Kernel, form: str, wider: float = 1.0) -> Dims:
    """A kernel's dimensions as its formula has them. wider: bytes that are sent, of those in the program."""
    if form == "pointwise":
        return {"moved_bytes": kernel.moved_bytes}
    if form == "all_gather":
        # A program names one rank's part, a formula the gathered whole.
        return {**kernel.dims, "message_bytes": kernel.dims["message_bytes"] * kernel.ranks}
    if form in ("attention_prefill", "mla_prefill"):
        # A window, or the keys that were selected, leaves fewer pairs than a causal prompt of this length has.
        d = kernel.dims
        return {**d, "pairs": kernel.flops / (2 * d["batch"] * d["heads"] * (d["head_dim"] + d["v_dim"]))}
    if wider != 1.0:
        return {n: x * wider if n in ("message_bytes", "token_bytes") else x for n, x in kernel.dims.items()}
    return kernel.dims
