"""MoE layers as kernel tables time them: both grouped products and what stands between them as one kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.operators.kernel import Kernel


def merged_experts(kernels: tuple[Kernel, ...]) -> Iterator[Kernel]:
    """Yield kernels with each MoE layer's grouped products, and what stands between them, as one of kind "moe".

    Kernel tables time a MoE layer whole: both products, the activation, and the rows' way in and out on one device.
    """
    held: list[Kernel] = []
    pending: Kernel | None = None
    for kernel in kernels:
        if kernel.kind == "permute" and kernel.name == "dispatch":
            pending = kernel
            continue
        if held:
            held.append(kernel)
            if kernel.name == "experts_down":
                yield _moe(held)
                held = []
            continue
        if kernel.kind == "grouped_gemm" and kernel.name == "experts_up":
            held = [kernel] if pending is None else [pending, kernel]
            pending = None
        elif kernel.kind == "permute" and kernel.name == "combine":
            # Its memory traffic is part of the layer's time; nothing is left to price.
            continue
        elif kernel.kind == "grouped_gemm":
            yield _alone(kernel)
        else:
            yield kernel


def _moe(held: list[Kernel]) -> Kernel:
    up = next(k for k in held if k.name == "experts_up")
    dims = {name: up.dims[name] for name in ("padded", "touched", "busiest", "experts")}
    dims |= {"rows": up.dims["m"], "hidden": up.dims["k"], "inner": up.dims["n"] / 2}
    return Kernel(
        "moe",
        "experts",
        up.dtype,
        sum(k.flops for k in held),
        sum(k.read_bytes for k in held),
        sum(k.written_bytes for k in held),
        count=up.count,
        dims=dims,
    )


def _alone(kernel: Kernel) -> Kernel:
    """One grouped product alone, as a third of a layer's: its 2 k n are a layer's 6 h i at i = n / 3."""
    d = kernel.dims
    dims = {"rows": d["m"], "hidden": d["k"], "inner": d["n"] / 3}
    return replace(kernel, kind="moe", dims=dims | {n: d[n] for n in ("padded", "touched", "busiest", "experts")})
