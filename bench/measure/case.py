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
from bench.errors import DeviceError, Unsupported
from bench.measure.correctness import check, plan_check
from bench.measure.rows import new_row, set_work
from bench.measure.timer import Samples, sample
from bench.operators.cost import read_cost
from bench.operators.kernel import Work
from bench.results.normalize import fill_energy, fill_rates, fill_utilization
from bench.results.record import Row
from bench.results.summary import FEWEST_FOR_P90, FEWEST_FOR_P99, median, oddities, percentile
from bench.units import data_size
from bench.workloads.schema import Case

# Operands outgrow the last-level cache by this factor, in at most so many copies. A guest sees less cache than it gets.
CACHE_FACTOR = 8
MOST_COPIES = 64
# A sample shorter than this is repeated inside, so that the clock's own cost stays below a thousandth.
SHORTEST_SAMPLE_S = 5e-4

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
    need, room = _need(case, work, copies), _room(case, adapter)
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
        once, calls = _timed(program, operators, adapter)
        samples = sample(once, case.time_s)
    _fill_time(row, samples, calls)
    row.scope = _scope(case, operators)
    row.operators = dict(operators.used)
    row.memory_peak_bytes = adapter.memory_peak()
    told = adapter.telemetry()
    row.power_w, row.power_basis = told.power_w, told.power_basis
    _fill_roofs(row, case, adapter)
    row.wall_s = time.perf_counter() - start
    return row


def copies_needed(case: Case, work: Work, cache_bytes: int) -> int:
    """How many sets of operands a kernel or layer alone needs to come from memory."""
    if case.phase not in ("kernel", "moe"):
        return 1
    operands = max(float(work.total("read_bytes")), 1.0)
    return max(1, min(MOST_COPIES, math.ceil(CACHE_FACTOR * cache_bytes / operands)))


def _need(case: Case, work: Work, copies: int) -> float:
    """Memory of the case: a part of the weights where only some layers run, copies where a kernel is rotated."""
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


def _timed(program: Callable[[Any], Any], operators: Any, adapter: Adapter) -> tuple[Callable[[], float], int]:
    """Return a function that times one sample in seconds of one call, and the calls a sample holds."""
    if operators.layers is not None:
        return _scaled(program, operators, adapter), 1
    program(operators)
    first = _clocked(adapter, lambda: program(operators))
    inner = max(1, math.ceil(SHORTEST_SAMPLE_S / max(first, 1e-9)))
    calls = inner * operators.copies

    def many() -> None:
        for _ in range(inner):
            program(operators)

    return (lambda: _clocked(adapter, many) / calls), calls


def _clocked(adapter: Adapter, step: Callable[[], Any]) -> float:
    """Return the seconds of one run of a step.

    Raises: DeviceError for a time that cannot be: it would spoil the row, and a NaN the whole run file.
    """
    seconds = adapter.time(step, 1)[0]
    if not 0 < seconds < math.inf:
        raise DeviceError(f"the clock of {adapter.name} gave {seconds} s for a step; its adapter needs repair")
    return seconds


def _scaled(program: Callable[[Any], Any], operators: Any, adapter: Adapter) -> Callable[[], float]:
    """Time a model of which only some layers run, scaled to all: the part outside layers once, each kind by its count.

    One sample is one round: nothing but embedding and head, then each kind of layer alone on top of it.
    """
    program(operators)
    kinds = {kind: (count, runs) for kind, (count, runs) in operators.repeated.items() if runs}

    def alone(kind: str) -> float:
        operators.only = kind
        try:
            return _clocked(adapter, lambda: program(operators))
        finally:
            operators.only = None

    def once() -> float:
        outside = alone("")
        total = outside
        for kind, (count, runs) in kinds.items():
            total += (alone(kind) - outside) * count / runs
        return total

    return once


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


def _fill_time(row: Row, samples: Samples, calls: int) -> None:
    row.status = "ok"
    row.step_s = median(samples.seconds)
    row.samples_s = [float(f"{s:.6g}") for s in samples.seconds]
    row.interval = samples.interval
    row.interval_kind = "95 % of the median, order statistics, one process" if samples.interval else None
    row.p90_s = percentile(samples.seconds, 0.9, FEWEST_FOR_P90)
    row.p99_s = percentile(samples.seconds, 0.99, FEWEST_FOR_P99)
    row.warmup_s, row.warmup_samples = samples.warmup_s, samples.warmup_samples
    row.timed_s, row.stop_reason = samples.timed_s, samples.stop_reason
    row.calls_per_sample = calls
    row.stable = samples.stable
    row.flags = oddities(samples.seconds) + ([] if samples.stable else ["unstable"])
    fill_rates(row)


def _fill_roofs(row: Row, case: Case, adapter: Adapter) -> None:
    sheet_id = adapter.sheet()
    if sheet_id is not None:
        sheet = load_sheet(sheet_id)
        fill_utilization(row, sheet.peak_flops(case.dtype), sheet.memory_bytes_per_s, achieved=False)
    roof = load_achieved(fingerprint(adapter.facts()))
    if roof is not None:
        fill_utilization(row, roof.gemm_flops.get(case.dtype), roof.bytes_per_s, achieved=True)
    fill_energy(row)


def unsupported_row(case: Case, device: str, device_name: str, unit: str, error: Unsupported) -> Row:
    """Return the row of a case that this device has no path for."""
    row = new_row(case, device=device, device_name=device_name, unit=unit, source="measured")
    row.status, row.reason = "unsupported", str(error)
    return row
