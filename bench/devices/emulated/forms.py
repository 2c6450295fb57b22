"""The formulas: for each kind of kernel, time from its dimensions, a sheet's peaks and a handful of fitted numbers.

All are arrays in, arrays out. A form's numbers are shares of the sheet's peaks and times of a launch, so that they mean
the same on every device and can be carried over to one that was never measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.devices.emulated.form import (
    USUAL_CACHE_MB,
    USUAL_CLOCK_HZ,
    USUAL_NETWORK_GB_PER_S,
    Bounds,
    Dims,
    Form,
    Numbers,
    Parts,
    Peaks,
    logs,
)
from bench.devices.emulated.links import LINK_FORMS, LINKED, OTHER_LINK_FORMS
from bench.devices.sheet import Figure, Sheet
from bench.errors import Unsupported
from bench.operators.kernel import BYTES, Dim
from bench.units import GIGA

# Query heads per key head beyond which decode attention leaves the grouped kernel.
WIDEST_GROUP = 32
# What a dtype of a kernel table is to a sheet.
SHEET_DTYPE = {"fp8_block": "fp8"}


def element_bytes(dtype: str) -> float:
    """Bytes of one weight of a dtype as kernel tables write it."""
    return BYTES[SHEET_DTYPE.get(dtype, dtype)]


def _joined(compute: Dim, memory: Dim, sharpness: float) -> Dim:
    """p-norm of two times: their maximum when they overlap perfectly, their sum when not at all."""
    largest = np.maximum(np.maximum(compute, memory), 1e-30)
    total: Dim = largest * ((compute / largest) ** sharpness + (memory / largest) ** sharpness) ** (1 / sharpness)
    return total


def _product(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    """t0 + ((2mnk / (c F))^s + (bytes / (w B))^s)^(1/s); `batch` alike products in one launch."""
    batch = d.get("batch", 1)
    flops = 2 * batch * d["m"] * d["n"] * d["k"]
    moved = batch * ((d["m"] + d["n"]) * d["k"] * width + 2 * d["m"] * d["n"])
    compute, memory = flops / (p["compute"] * peaks.flops), moved / (p["memory"] * peaks.bytes_per_s)
    launch = peaks.launch(p["launch_us"])
    return Parts(launch + _joined(compute, memory, p["sharpness"]), compute, memory, 0.0, launch)


def _experts(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    """Both grouped products of a MoE layer on the heaviest rank: padded rows, touched weights, rows in and out."""
    hidden, inner = d["hidden"], d["inner"]
    compute = 6 * d["padded"] * hidden * inner / (p["compute"] * peaks.flops)
    moved = 3 * d["touched"] * hidden * inner * width + d["rows"] * (8 * hidden + 12 * inner)
    memory = moved / (p["memory"] * peaks.bytes_per_s)
    launch = peaks.launch(p["launch_us"] + p["expert_us"] * d["experts"])
    return Parts(launch + _joined(compute, memory, p["sharpness"]), compute, memory, 0.0, launch)


def _gathered(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    """The same where two kernels compete, as on a CPU: one reads an expert's weights for each row, the other once.

    t0 + min(touched weights / (g B) + the further rows' weights, from the cache, / (r B),
    touched weights / (w B) + flops / (c F)).
    """
    weight, io = 3 * d["hidden"] * d["inner"] * width, d["rows"] * (8 * d["hidden"] + 12 * d["inner"])
    first, again = p["gathered"] * peaks.bytes_per_s, p["again"] * peaks.bytes_per_s
    by_row = (d["touched"] * weight + io) / first + (d["rows"] - d["touched"]) * weight / again
    memory = (d["touched"] * weight + io) / (p["memory"] * peaks.bytes_per_s)
    compute = 6 * d["padded"] * d["hidden"] * d["inner"] / (p["compute"] * peaks.flops)
    launch = peaks.launch(p["launch_us"] + p["expert_us"] * d["experts"])
    seconds = launch + np.minimum(by_row, memory + compute)
    return Parts(seconds, compute, np.minimum(by_row, memory), 0.0, launch)


def _pairs(d: Dims) -> Dim:
    """Query-key pairs of one sequence and head: causal, unless it is told how many."""
    if "pairs" in d:
        return d["pairs"]
    return d["q_len"] * d["kv_len"] - d["q_len"] * (d["q_len"] - 1) / 2


def _prefill(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    """t0 + flops / (c F) x (1 + ramp / length) + bytes / (w B): long sequences fill the machine better."""
    flops = 2 * d["batch"] * d["heads"] * _pairs(d) * (d["head_dim"] + d["v_dim"])
    compute = flops / (p["compute"] * peaks.flops) * (1 + p["ramp_tokens"] / d["kv_len"])
    kv_heads = d.get("kv_heads", d["heads"])
    sides = d["q_len"] * d["heads"] + d["kv_len"] * kv_heads
    memory = 2 * d["batch"] * sides * (d["head_dim"] + d["v_dim"]) / (p["memory"] * peaks.bytes_per_s)
    launch = peaks.launch(p["launch_us"])
    return Parts(launch + compute + memory, compute, memory, 0.0, launch)


def _decode(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    """t0 + cached bytes / (w B), less what the cache keeps, plus a ramp once it no longer does.

    Keys without groups, and groups too wide for the grouped kernel, have shares of their own.
    """
    cached = 2 * d["batch"] * d["kv_len"] * d["kv_heads"] * (d["head_dim"] + d["v_dim"])
    group = d["heads"] / d["kv_heads"]
    share = np.where(np.asarray(group) == 1, p["memory_ungrouped"], p["memory"])
    hit = 1 / (1 + (cached / (p["cache_share"] * peaks.cache_bytes)) ** 2)
    read = cached * (1 - np.minimum(p["hit"], 1.0) * hit)
    memory = read / (share * peaks.bytes_per_s) + peaks.launch(p["ramp_us"]) * (1 - hit)
    flops = 2 * d["batch"] * d["heads"] * d["kv_len"] * (d["head_dim"] + d["v_dim"])
    reached = np.where(np.asarray(group) > WIDEST_GROUP, p["compute_wide"], 0.5)
    compute = flops / (reached * peaks.flops)
    launch = peaks.launch(p["launch_us"])
    return Parts(launch + np.maximum(memory, compute), compute, memory, 0.0, launch)


def _mla_decode(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    """Absorbed latent attention: the latent is read once for all heads."""
    flops = 2 * d["batch"] * d["q_len"] * d["heads"] * d["kv_len"] * (d["head_dim"] + d["v_dim"])
    compute = flops / (p["compute"] * peaks.flops)
    memory = 2 * d["batch"] * d["kv_len"] * d["head_dim"] / (p["memory"] * peaks.bytes_per_s)
    launch = peaks.launch(p["launch_us"])
    return Parts(launch + _joined(compute, memory, p["sharpness"]), compute, memory, 0.0, launch)


def _pointwise(p: Numbers, d: Dims, peaks: Peaks, width: float) -> Parts:
    memory = d["moved_bytes"] / (p["memory"] * peaks.bytes_per_s)
    launch = peaks.launch(p["launch_us"])
    return Parts(launch + memory, 0.0, memory, 0.0, launch)


def _decode_features(d: Dims) -> list[Dim]:
    group = np.minimum(np.asarray(d["heads"] / d["kv_heads"]), 2 * WIDEST_GROUP)
    return [np.log(np.asarray(d["batch"] * d["kv_heads"])), np.log(group), np.log(np.asarray(d["kv_len"]))]


def _expert_features(d: Dims) -> list[Dim]:
    return [
        np.log1p(d["rows"]),
        np.log(np.asarray(d["hidden"])),
        np.log(np.asarray(d["inner"])),
        np.log(np.asarray(d["experts"])),
        np.log(d["busiest"] + 0.1),
    ]


_SHARP = (2.5, 0.7, 8.0)
_PRODUCT: Bounds = {
    "compute": (0.7, 0.02, 2.0), "memory": (0.8, 0.05, 2.0), "launch_us": (5.0, 0.2, 60.0), "sharpness": _SHARP,
}  # fmt: skip
_PREFILL: Bounds = {
    "compute": (0.57, 0.02, 2.0), "ramp_tokens": (600.0, 1.0, 8000.0), "launch_us": (15.0, 0.5, 80.0),
    "memory": (0.8, 0.05, 2.0),
}  # fmt: skip

FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("gemm", _PRODUCT, _product, logs("m", "n", "k")),
        Form("batched_gemm", _PRODUCT, _product, logs("m", "n", "k")),
        Form(
            "moe",
            {**_PRODUCT, "launch_us": (25.0, 1.0, 120.0), "expert_us": (0.05, 0.001, 2.0)},
            _experts,
            _expert_features,
        ),
        Form("attention_prefill", _PREFILL, _prefill, logs("batch", "heads", "kv_heads", "kv_len")),
        Form("mla_prefill", _PREFILL, _prefill, logs("batch", "heads", "kv_len")),
        Form(
            "attention_decode",
            {
                "memory": (0.85, 0.05, 2.0),
                "memory_ungrouped": (0.85, 0.05, 2.0),
                "launch_us": (11.0, 0.5, 60.0),
                "ramp_us": (10.0, 0.01, 80.0),
                "hit": (0.5, 0.01, 1.0),
                "cache_share": (0.6, 0.05, 2.0),
                "compute_wide": (0.007, 0.0005, 0.5),
            },
            _decode,
            _decode_features,
        ),
        Form("mla_decode", _PRODUCT, _mla_decode, logs("batch", "heads", "kv_len")),
        *LINK_FORMS,
        Form("indexer", _PREFILL, _prefill, logs("batch", "heads", "kv_len")),
        Form("pointwise", {"memory": (0.7, 0.05, 2.0), "launch_us": (3.0, 0.2, 60.0)}, _pointwise, lambda d: [], False),
    )
}

# Another formula that some software's kernels of a kind follow: rule's `form` -> formula.
OTHER_FORMS = OTHER_LINK_FORMS | {
    "gathered": Form(
        "moe",
        {
            "gathered": (0.8, 0.02, 2.0), "again": (2.0, 0.05, 20.0), "memory": (0.5, 0.02, 2.0),
            "compute": (0.5, 0.02, 2.0), "launch_us": (25.0, 1.0, 120.0), "expert_us": (0.05, 0.001, 20.0),
        },
        _gathered,
        lambda d: [],
        starts=tuple({"again": again, "memory": m} for again in (1.0, 3.0) for m in (0.15, 0.5)),
    ),
}  # fmt: skip


def peaks_of(sheet: Sheet, kind: str, dtype: str, where: str, network_gb_per_s: float | None = None) -> Peaks:
    """Return the peaks that a kind of kernel runs against.

    Raises: Unsupported naming the sheet and the figure that nobody published; nothing is guessed.
    """
    form = FORMS[kind]
    links = kind in LINKED
    flops = sheet.peak_flops(SHEET_DTYPE.get(dtype, dtype)) if form.matrix else 1.0
    if flops is None:
        known = [d for d, figure in sheet.peak_tflops.items() if figure.value is not None]
        beside = f" (it gives {', '.join(known)})" if known else ""
        raise Unsupported(f"cannot be modelled: no published {SHEET_DTYPE.get(dtype, dtype)} peak in {where}{beside}")
    bandwidth = sheet.memory_bytes_per_s
    if bandwidth is None:
        raise Unsupported(f"cannot be modelled: {where} gives no memory bandwidth")
    link = sheet.link_bytes_per_s
    if links and link is None:
        raise Unsupported(f"cannot be modelled: {where} gives no link rate to peers")
    cache = _value(sheet.memory.cache_mb) or USUAL_CACHE_MB
    network = (network_gb_per_s or USUAL_NETWORK_GB_PER_S) * GIGA
    clock = None if sheet.cores is None else _value(sheet.cores.clock_mhz)
    clock_hz = USUAL_CLOCK_HZ if clock is None else clock * 1e6
    return Peaks(flops, bandwidth, cache * 1e6, link or 0.0, _value(sheet.link.domain_devices), network, clock_hz)


def assumed_figures(sheet: Sheet, kind: str, dims: Dims, network_gb_per_s: float | None, *, own: bool) -> Iterator[str]:
    """Yield what stands for figures that a kind of kernel needs and neither sheet nor deployment gives.

    own: the numbers were fitted on this device, so that the clock they are told at does not matter.
    """
    if kind == "attention_decode" and _value(sheet.memory.cache_mb) is None:
        yield f"assumed: a cache of {USUAL_CACHE_MB:.0f} MB, the sheet gives none"
    domain = _value(sheet.link.domain_devices)
    if kind in LINKED and network_gb_per_s is None and domain is not None and np.any(dims["ranks"] > domain):
        yield f"assumed: a network of {USUAL_NETWORK_GB_PER_S:.0f} GB/s a device, the deployment gives none"
    if not own and (sheet.cores is None or _value(sheet.cores.clock_mhz) is None):
        yield f"assumed: launches as at {USUAL_CLOCK_HZ / GIGA:.2f} GHz, the sheet gives no clock"


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value


def form_of(kind: str, other: str = "") -> Form:
    """Return the formula of a kind of kernel, or the other one that a rule names."""
    return OTHER_FORMS[other] if other else FORMS[kind]


def roofline(kind: str, dims: Dims, peaks: Peaks, width: float) -> Any:
    """Return what a plain roofline says: all peaks reached, nothing to launch. For comparison only.

    Of two protocols it is the bulk one, which sends what must be sent.
    """
    perfect: Numbers = {
        "compute": 1.0, "memory": 1.0, "memory_ungrouped": 1.0, "sharpness": 60.0, "launch_us": 0.0, "expert_us": 0.0,
        "ramp_tokens": 0.0, "ramp_us": 0.0, "hit": 0.0, "cache_share": 1.0, "compute_wide": 1.0, "per_rank_us": 0.0,
        "link_quick": 1e-12, "link_bulk": 1.0, "bulk_launch": 1.0, "near": 1.0, "far": 1.0,
    }  # fmt: skip
    parts = FORMS[kind].price(perfect, dims, peaks, width)
    return np.maximum(np.maximum(parts.compute, parts.memory), parts.link)
