"""This machine's CPU as a device that can be modelled: a sheet of reached peaks, a profile of its own kernels."""

from __future__ import annotations

import msgspec
import numpy as np

from bench.devices.achieved import Achieved
from bench.devices.emulated.fit import Sample, fit_rule
from bench.devices.emulated.form import Peaks
from bench.devices.emulated.profile import Profile, Rule
from bench.devices.sheet import Figure, Memory, Sheet
from bench.measure.own_kernels import DTYPE, OwnKernel

NAME = "this-cpu"
# Kinds that this machine's table lacks, and the kind whose numbers stand for them.
STANDS_FOR = {"attention_prefill": ("mla_prefill", "indexer")}


def sheet_of(achieved: Achieved, name: str, memory_bytes: float, cache_bytes: int) -> Sheet:
    """Return the sheet of this machine: peaks that were reached, none that were published."""
    source = f"measured here by `{achieved.command}`"

    def figure(value: float) -> Figure:
        return Figure(source=source, confidence="A", value=float(f"{value:.4g}"), date=achieved.made[:10])

    return Sheet(
        name=f"{name} (this machine, reached peaks)",
        vendor="this machine",
        adapter="cpu",
        torch_device="cpu",
        unit="socket",
        arch=achieved.fingerprint,
        checked=achieved.made[:10],
        software=achieved.software,
        peak_tflops={dtype: figure(rate / 1e12) for dtype, rate in achieved.gemm_flops.items()},
        memory=Memory(
            type="DDR",
            size_gb=figure(memory_bytes / 1e9),
            bandwidth_gb_per_s=figure(achieved.bytes_per_s / 1e9),
            cache_mb=figure(cache_bytes / 1e6),
        ),
        notes=["Made by `bench calibrate -d cpu`; peaks are the best rates reached, so utilization is of those."],
    )


def profile_of(kernels: list[OwnKernel], achieved: Achieved, cache_bytes: int) -> Profile:
    """Fit a profile to this machine's own kernels."""
    peaks = Peaks(achieved.gemm_flops[DTYPE], achieved.bytes_per_s, float(cache_bytes))
    rules: list[Rule] = []
    for kind in dict.fromkeys(kernel.kind for kernel in kernels):
        part = [kernel for kernel in kernels if kernel.kind == kind]
        form = "pointwise" if kind == "rms_norm" else kind
        dtype = "" if form == "pointwise" else DTYPE
        dims = {name: np.array([kernel.dims[name] for kernel in part]) for name in part[0].dims}
        if kind == "moe":
            dims["padded"] = dims["rows"]
        seconds = np.array([kernel.seconds for kernel in part])
        sample = Sample(form, dtype, dict(dims), seconds, peaks, np.ones(len(part)))
        rule = fit_rule(sample, "", f"{len(part)} kernels timed here", NAME)
        rule = msgspec.structs.replace(rule, padded=kind != "moe")
        rules.append(rule)
        for other in STANDS_FOR.get(kind, ()):
            numbers = rule.numbers
            rules.append(Rule(kind=other, dtype=dtype, numbers=numbers, evidence=rule.evidence))
    return Profile(
        device=NAME,
        software=achieved.software.split()[1] if achieved.software else "torch",
        summary="this machine's CPU",
        made=achieved.made[:10],
        command=achieved.command,
        eager=True,
        rules=rules,
    )
