"""Measures one case on one device, in the process it is called in; the worker calls it in a process of its own."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

from bench.devices.achieved import fingerprint, load_achieved
from bench.devices.adapter import Adapter
from bench.devices.sheet import load_sheet
from bench.errors import Unsupported
from bench.measure.correctness import check, plan_check
from bench.measure.launch import Timed, prepare
from bench.measure.others import Others, disturbed
from bench.measure.rows import new_row, set_work
from bench.measure.sampler import Sampler, Window
from bench.measure.timer import Samples, sample
from bench.operators.cost import read_cost
from bench.operators.kernel import Work
from bench.results.normalize import fill_energy, fill_rates, fill_utilization
from bench.results.record import Row
from bench.results.summary import FEWEST_FOR_P90, FEWEST_FOR_P99, WITH_TREND, median, oddities, percentile
from bench.units import data_size
from bench.workloads.schema import Case

# Operands outgrow the last-level cache by this factor, in at most so many copies. A guest sees less cache than it gets.
CACHE_FACTOR = 8
MOST_COPIES = 64
# Time for the launch-by-launch figure beside a captured decode step's.
EAGER_SHARE = 0.2

Report = Callable[[str], None]


def measure(case: Case, adapter: Adapter, report: Report) -> Row:
    """Return the measured row of a case: room, correctness, then time.

    report: told which phase begins ("weights", "check", "timing").
    Raises: Unsupported where the device has no path for the case.
    """
    start = time.perf_counter()
    program, step = case.program(), case.step()
    work = read_cost(program, step, case.dtype)
    row = new_row(case, device=adapter.name, device_name=adapter.facts()["name"], unit=adapter.unit, source="measured")
    set_work(row, work)
    copies = copies_needed(case, work, adapter.cache_bytes())
    need, room = memory_need(case, work, copies), _room(case, adapter)
    if need > room:
        row.status = "skipped"
        row.reason = f"needs {data_size(need)} of memory, {data_size(room)} to be had"
        return row

    report("check")
    operators = adapter.operators(step, case.dtype, copies, case.deployment.layers)
    plan = plan_check(program, step, case.dtype)
    checked_by = operators if plan.step is step else adapter.operators(plan.step, case.dtype, 1, 1)
    checked = check(program, checked_by, plan, case.dtype)
    row.correct, row.correct_detail = checked.correct, checked.detail
    if not checked.correct:
        row.status, row.reason = "invalid", f"the answer is wrong: {checked.detail}"
        return row
    if checked_by is not operators:
        del checked_by

    report("timing")
    with _inference():
        timed = prepare(program, operators, adapter)
        time_into(row, timed, adapter, case.time_s)
        if timed.launch.how == "graph" and case.phase == "decode":
            report("eager")
            launches = prepare(program, operators, adapter, eager=True)
            row.eager_step_s = median(sample(launches.once, case.time_s * EAGER_SHARE).seconds)
    row.scope = _scope(case, operators)
    row.operators = dict(operators.used)
    row.memory_peak_bytes = adapter.memory_peak()
    fill_roofs(row, adapter)
    row.wall_s = time.perf_counter() - start
    return row


def time_into(row: Row, timed: Timed, adapter: Adapter, time_s: float) -> None:
    """Sample what was made ready; fill the row's time, what the device said meanwhile, and what others took."""
    with Sampler(adapter.read) as sampler, Others() as others:
        samples = sample(timed.once, time_s)
    _fill_time(row, samples, timed)
    _fill_telemetry(row, sampler.window)
    row.others_cores = others.cores
    if disturbed(others.cores, on_cpu=adapter.unit in ("machine", "socket")):
        row.flags = [*row.flags, "disturbed"]


def copies_needed(case: Case, work: Work, cache_bytes: int) -> int:
    """How many sets of operands a kernel or layer alone needs to come from memory."""
    if case.phase not in ("kernel", "moe"):
        return 1
    operands = max(float(work.total("read_bytes")), 1.0)
    return max(1, min(MOST_COPIES, math.ceil(CACHE_FACTOR * cache_bytes / operands)))


def memory_need(case: Case, work: Work, copies: int) -> float:
    """Return the bytes a case holds: a part of the weights where only some layers run, copies of what is rotated."""
    weights = work.weight_bytes
    if case.deployment.layers is not None:
        # What lies outside the layers stays; the layers that run are counted by their kind's share.
        inside = sum(size for name, (_, size) in work.weights.items() if "*" in name.split(".")[0])
        weights = work.weight_bytes - inside + inside * _layer_share(case)
    inputs = sum(float(k.read_bytes) for k in work.kernels) - work.weight_bytes if case.phase == "kernel" else 0.0
    return (weights + float(work.cache_bytes) + max(inputs, 0.0)) * copies + float(work.activation_bytes)


def _layer_share(case: Case) -> float:
    from bench.workloads.model import load_model

    model = load_model(case.model or "")
    fewest = min(n for n in (model.dense_layers, model.moe_layers) if n)
    return min(1.0, (case.deployment.layers or 1) / fewest)


def _room(case: Case, adapter: Adapter) -> float:
    room = float(adapter.memory_room())
    return room if case.memory_gb is None else min(room, case.memory_gb * 1e9)


def _inference() -> contextlib.AbstractContextManager[Any]:
    import torch

    return torch.inference_mode()


def _scope(case: Case, operators: Any) -> str | None:
    """What the number covers, where that is not the whole model on all its devices."""
    parts: list[str] = []
    partial = [f"{runs} of {count} {kind} layers" for kind, (count, runs) in operators.repeated.items() if runs < count]
    if partial:
        parts.append(f"{', '.join(partial)} run, scaled")
    if case.deployment.devices > 1:
        parts.append(f"one rank of {case.deployment.devices}")
    if operators.left_out:
        parts.append("not included: " + ", ".join(sorted(operators.left_out)))
    return "; ".join(parts) or None


def _fill_time(row: Row, samples: Samples, timed: Timed) -> None:
    row.status = "ok"
    row.launch, row.launch_reason = timed.launch.how, timed.launch.why
    row.step_s = median(samples.seconds)
    row.samples_s = [float(f"{s:.6g}") for s in samples.seconds]
    row.interval = samples.interval
    row.flags = oddities(samples.seconds) + ([] if samples.stable else ["unstable"])
    drifts = f"; {WITH_TREND}" if any(flag.startswith("trend") for flag in row.flags) else ""
    row.interval_kind = f"95 % of the median, order statistics, one process{drifts}" if samples.interval else None
    row.p90_s = percentile(samples.seconds, 0.9, FEWEST_FOR_P90)
    row.p99_s = percentile(samples.seconds, 0.99, FEWEST_FOR_P99)
    row.warmup_s, row.warmup_samples = samples.warmup_s, samples.warmup_samples
    row.timed_s, row.stop_reason = samples.timed_s, samples.stop_reason
    row.calls_per_sample = timed.calls
    row.stable = samples.stable
    fill_rates(row)


def _fill_telemetry(row: Row, window: Window) -> None:
    row.power_w, row.power_basis = window.power_w, window.power_basis
    row.power_samples, row.power_validity = window.power_samples, window.power_validity
    row.device_utilization, row.temperature_c = window.utilization, window.temperature_max_c
    row.clock_hz, row.lowest_clock_hz = window.clock_mean_hz, window.clock_lowest_hz
    row.throttle = None if window.throttle is None else list(window.throttle)
    shown = {"power_w": "power_w", "utilization": "device_utilization", "temperature_max_c": "temperature_c",
             "clock_mean_hz": "clock_hz", "throttle": "throttle"}  # fmt: skip
    row.telemetry_missing = {field: window.missing[name] for name, field in shown.items() if name in window.missing}


def fill_roofs(row: Row, adapter: Adapter) -> None:
    """Fill utilization of the device's peaks, those of its sheet and those reached here, and energy."""
    sheet_id = adapter.sheet()
    if sheet_id is not None:
        sheet = load_sheet(sheet_id)
        fill_utilization(row, sheet.peak_flops(row.dtype), sheet.memory_bytes_per_s, achieved=False)
    roof = load_achieved(fingerprint(adapter.facts()))
    if roof is not None:
        fill_utilization(row, roof.gemm_flops.get(row.dtype), roof.bytes_per_s, achieved=True)
    fill_energy(row)


def unsupported_row(case: Case, device: str, device_name: str, unit: str, error: Unsupported) -> Row:
    """Return the row of a case that this device has no path for."""
    row = new_row(case, device=device, device_name=device_name, unit=unit, source="measured")
    row.status, row.reason = "unsupported", str(error)
    return row
