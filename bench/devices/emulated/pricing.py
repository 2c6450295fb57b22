"""Prices a list of kernels on a sheet: seconds, bound and interval, for one case or a whole sweep at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.devices.emulated.profile import Chosen, Rule
from bench.devices.sheet import Sheet
from bench.errors import Unsupported
from bench.operators.kernel import BYTES, LINK_KINDS, Dim, Kernel, Work
from bench.units import GIGA

Array = NDArray[Any]

BOUNDS = ("compute", "memory", "link", "launch")

# Kinds that run on the matrix unit, where the sheet's dense peak applies.
MATRIX_KINDS = frozenset({
    "gemm", "batched_gemm", "grouped_gemm", "attention_prefill", "attention_decode",
    "mla_prefill", "mla_decode", "indexer",
})  # fmt: skip


@dataclass(frozen=True)
class PricedKernel:
    """One kernel with the time of one launch, the part of it that bounds, and its residual factors."""

    kernel: Kernel
    seconds: Dim
    parts: dict[str, Dim]
    rule: Rule

    @property
    def bound(self) -> str:
        """The largest of compute, memory, link and launch (of a single case)."""
        return max(BOUNDS, key=lambda part: float(np.max(self.parts[part])))


@dataclass(frozen=True)
class Priced:
    """A step's price: its kernels, its time, and the interval that residuals leave (P10 to P90)."""

    kernels: tuple[PricedKernel, ...]
    overhead_s: float
    notes: tuple[str, ...]

    @property
    def step_s(self) -> Dim:
        return self.overhead_s + sum((k.seconds * k.kernel.count for k in self.kernels), start=0.0)

    @property
    def interval(self) -> tuple[Dim, Dim]:
        """P10 and P90 of the step: a kind's kernels err together, different kinds independently."""
        by_rule: dict[Rule, Dim] = {}
        for k in self.kernels:
            by_rule[k.rule] = by_rule.get(k.rule, 0.0) + k.seconds * k.kernel.count
        below = sum(((1 - rule.low) * t) ** 2 for rule, t in by_rule.items())
        above = sum(((rule.high - 1) * t) ** 2 for rule, t in by_rule.items())
        # Rules whose residuals are all on one side (low > 1) shift the interval; signs are kept by the sums.
        shift = sum((np.sign(1 - r.low) < 0) * (r.low - 1) * t for r, t in by_rule.items())
        return self.step_s - np.sqrt(below) + shift, self.step_s + np.sqrt(above)

    @property
    def bound(self) -> str:
        """What most of the step's time goes to: compute, memory, link or launch (of a single case)."""
        totals = dict.fromkeys(BOUNDS, 0.0)
        for k in self.kernels:
            totals[k.bound] += float(np.max(k.seconds)) * k.kernel.count
        totals["launch"] += self.overhead_s
        return max(BOUNDS, key=totals.__getitem__)


def price(
    work: Work,
    sheet: Sheet,
    chosen: Chosen,
    where: str,
    scale_out_gb_per_s: float | None = None,
    *,
    whole_step: bool = True,
) -> Priced:
    """Price one step's work on a device.

    where: the sheet's file, named in the reason when a figure is missing.
    scale_out_gb_per_s: network per device beyond the sheet's link domain (from the deployment).
    whole_step: a model's step pays the engine's host overhead; a kernel or layer alone does not.
    Raises: Unsupported when the sheet lacks a peak that the work needs; nothing is guessed.
    """
    notes: list[str] = []
    kernels = tuple(_priced(k, sheet, chosen, where, scale_out_gb_per_s, notes) for k in work.kernels)
    overhead_s = chosen.profile.step_overhead_us * 1e-6 if whole_step else 0.0
    return Priced(kernels, overhead_s, tuple(dict.fromkeys(notes)))


def _priced(
    kernel: Kernel, sheet: Sheet, chosen: Chosen, where: str, scale_out: float | None, notes: list[str]
) -> PricedKernel:
    rule = chosen.profile.rule(kernel.kind, kernel.dtype)
    compute: Dim = 0.0
    if kernel.kind in MATRIX_KINDS:
        compute = kernel.flops / (rule.compute * _peak_flops(kernel, sheet, where))
        if rule.ramp_tokens:
            compute = compute * (1 + rule.ramp_tokens / np.maximum(kernel.dims.get("kv_len", 1), 1))
    bandwidth = sheet.memory_bytes_per_s
    if bandwidth is None:
        raise Unsupported(f"cannot be modelled: {where} gives no memory bandwidth")
    memory = kernel.moved_bytes / (rule.memory * bandwidth)
    link = _link_seconds(kernel, rule, sheet, where, scale_out, notes)
    launch = rule.launch_us * 1e-6 + rule.per_rank_us * 1e-6 * (kernel.ranks if kernel.ranks > 1 else 0)
    if kernel.kind in LINK_KINDS and kernel.ranks > 1:
        # Copies to and from the link's buffers overlap with the sending.
        memory = np.minimum(memory, link)
    seconds = launch + np.maximum(np.maximum(compute, memory), link)
    return PricedKernel(kernel, seconds, {"compute": compute, "memory": memory, "link": link, "launch": launch}, rule)


def _peak_flops(kernel: Kernel, sheet: Sheet, where: str) -> float:
    peak = sheet.peak_flops(kernel.dtype)
    if peak is None:
        known = [d for d, figure in sheet.peak_tflops.items() if figure.value is not None]
        beside = f" (it gives {', '.join(known)})" if known else ""
        raise Unsupported(f"cannot be modelled: no published {kernel.dtype} peak in {where}{beside}")
    return peak


def _link_seconds(
    kernel: Kernel, rule: Rule, sheet: Sheet, where: str, scale_out: float | None, notes: list[str]
) -> Dim:
    """Time on the links; beyond the sheet's link domain the deployment's network carries the rest at once."""
    if kernel.ranks <= 1:
        return 0.0
    bandwidth = sheet.link_bytes_per_s
    if bandwidth is None:
        raise Unsupported(f"cannot be modelled: {where} gives no link rate to peers, needed for {kernel.ranks} devices")
    domain = None if sheet.link.domain_devices is None else sheet.link.domain_devices.value
    inside = 1.0
    if domain is None:
        notes.append(f"{kernel.ranks} devices priced as if all linked at the sheet's {bandwidth / GIGA:g} GB/s")
    elif kernel.ranks > domain:
        if scale_out is None:
            raise Unsupported(
                f"cannot be modelled: {kernel.ranks} devices, but {where} links only {domain:.0f};"
                " give deployment.scale_out_gb_per_s"
            )
        inside = (domain - 1) / (kernel.ranks - 1)
        notes.append(
            f"{domain:.0f} of {kernel.ranks} devices linked at {bandwidth / GIGA:g} GB/s,"
            f" the rest over a network of {scale_out:g} GB/s a device (deployment)"
        )
    near = kernel.link_bytes * inside / (rule.link * bandwidth)
    far = kernel.link_bytes * (1 - inside) / (rule.link * scale_out * GIGA) if scale_out else 0.0
    return np.maximum(near, far)


def activation_bytes(dtype: str) -> float:
    """Bytes of one activation where weights are `dtype`."""
    return max(BYTES[dtype], 2.0)
