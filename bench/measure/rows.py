"""Rows from cases: the identity every row has, the work of its step, and modelled rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from bench import project
from bench.devices.emulated.pricing import Priced, PricedKernel, price
from bench.devices.emulated.profile import Engine, engine, profiles
from bench.devices.sheet import Sheet, known_sheets, load_sheet
from bench.errors import Unsupported
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.operators.kernel import Kernel, Work
from bench.results.normalize import fill_per_peak, fill_rates, fill_utilization
from bench.results.record import KernelCost, Row, Source
from bench.units import data_size
from bench.workloads.model import load_model
from bench.workloads.schema import Case

# Engines leave about a tenth of device memory to buffers, graphs and fragmentation.
USABLE_MEMORY = 0.9


def new_row(case: Case, *, device: str, device_name: str, unit: Any, source: Source) -> Row:
    """Return a row that says which case on which device, and nothing else yet."""
    own_most = None if case.model is None else load_model(case.model).max_context
    beyond = own_most is not None and (case.context or 0) > own_most
    return Row(
        notes=[f"context {case.context} is beyond the model's own maximum of {own_most}"] if beyond else [],
        case_id=case.case_id,
        workload=case.workload,
        phase=case.phase,
        dtype=case.dtype,
        definition_hash=case.definition_hash,
        definition=msgspec.to_builtins(case),
        model=case.model,
        kernel=case.kernel,
        batch=case.batch,
        input_len=case.input_len,
        context=case.context,
        deployment=msgspec.to_builtins(case.deployment),
        routing=None if case.routing is None else case.routing.label,
        device=device,
        device_name=device_name,
        unit=unit,
        source=source,
        status="error",
    )


def case_of(row: Row) -> Case:
    """Return the case that a row is of, from the definition it carries."""
    return msgspec.convert(row.definition, Case)


def set_work(row: Row, work: Work) -> None:
    """Fill FLOPs, bytes, memory and kernels of one step on one device."""
    row.flops = float(work.total("flops"))
    row.read_bytes = float(work.total("read_bytes"))
    row.written_bytes = float(work.total("written_bytes"))
    row.link_bytes = float(work.total("link_bytes"))
    row.memory_bytes = float(work.memory_bytes)
    row.imbalance = work.imbalance
    row.kernels = _merged([_cost(kernel) for kernel in work.kernels])


def _cost(kernel: Kernel, priced: PricedKernel | None = None, rounds: int = 1) -> KernelCost:
    return KernelCost(
        name=kernel.name,
        kind=kernel.kind,
        dtype=kernel.dtype,
        count=kernel.count * rounds,
        flops=float(kernel.flops),
        read_bytes=float(kernel.read_bytes),
        written_bytes=float(kernel.written_bytes),
        link_bytes=float(kernel.link_bytes),
        seconds=None if priced is None else float(priced.seconds),
        bound=None if priced is None else priced.bound,
        tier=None if priced is None else priced.chosen.tier,
    )


def _merged(costs: list[KernelCost]) -> list[KernelCost]:
    """Kernels of one name and size as one entry."""
    merged: dict[tuple[Any, ...], KernelCost] = {}
    for cost in costs:
        key = (cost.name, cost.kind, cost.dtype, cost.flops, cost.read_bytes)
        before = merged.get(key)
        merged[key] = cost if before is None else msgspec.structs.replace(before, count=before.count + cost.count)
    return list(merged.values())


def modelled_rows(case: Case, device: str) -> list[Row]:
    """Return the modelled rows of a case on a sheet: one per torch device, and one per package where that is several.

    A case that the sheet cannot price, or that does not fit its memory, is a row with its reason.
    """
    sheet = load_sheet(device)
    row = new_row(case, device=device, device_name=sheet.name, unit=sheet.unit, source="modelled")
    try:
        work = read_cost(case.program(), case.step(), case.dtype)
        set_work(row, work)
        priced = price_step(case, case.step(), device, sheet)
        _check_room(work, sheet, project.shown(known_sheets()[device]))
    except Unsupported as error:
        row.status, row.reason = "unsupported", str(error)
    except _TooBig as error:
        row.status, row.reason = "skipped", str(error)
    else:
        _fill_modelled(row, case, sheet, priced)
    return [row, *_package_row(row, sheet)]


def price_step(case: Case, step: Step, device: str, sheet: Sheet, inside: Engine | None = None) -> Priced:
    """Price one step of a case's program on a device; the step's dimensions may be arrays.

    inside: the engine's numbers; by default the shipped ones for a model's step, none for a kernel or layer alone.
    Raises: Unsupported where the sheet lacks a figure.
    """
    deployment, rounds = case.deployment, 1
    if deployment.overlap == "two-micro-batches" and np.any(np.asarray(step.batch) > 1):
        # Each half computes while the other's rows travel; a batch of one alone cannot be halved.
        step, rounds = replace(step, batch=np.asarray(step.batch) / 2), 2
    model = None if case.model is None else load_model(case.model)
    return price(
        read_cost(case.program(), step, case.dtype),
        device,
        sheet,
        project.shown(known_sheets()[device]),
        network_gb_per_s=deployment.scale_out_gb_per_s,
        overlap=deployment.overlap if rounds == 2 or deployment.overlap == "partial" else "none",
        overlap_share=deployment.overlap_share,
        rounds=rounds,
        inside=inside or _engine_of(case, device),
        block_scaled=model is not None and model.native_dtype == "fp8",
        only_experts=model is not None and model.native_dtype == "mxfp4",
    )


class _TooBig(Exception):
    pass


def _check_room(work: Work, sheet: Sheet, where: str) -> None:
    if sheet.memory_bytes is None:
        return
    need, room = float(work.memory_bytes), sheet.memory_bytes * USABLE_MEMORY
    if need > room:
        raise _TooBig(
            f"needs {data_size(need)} a device, {data_size(room)} usable of {data_size(sheet.memory_bytes)} ({where})"
        )


def _fill_modelled(row: Row, case: Case, sheet: Sheet, priced: Priced) -> None:
    row.status = "ok"
    row.step_s = float(priced.step_s)
    low, high = priced.interval
    row.interval = (float(low), float(high))
    row.interval_kind = "P10 to P90 of what the calibration missed"
    row.tier, row.notes = priced.tier, row.notes + priced.notes
    row.tier_shares = {tier: share for tier, share in priced.shares.items() if share > 0}
    row.bound = priced.bound
    row.kernels = _merged([_cost(k.kernel, k, priced.rounds) for k in priced.kernels])
    if case.deployment.devices > 1:
        how = {"none": "without overlap", "partial": f"{case.deployment.overlap_share:.0%} of the shorter side hidden"}
        row.scope = (
            f"one device of {case.deployment.devices}, links included"
            f" ({how.get(priced.overlap, 'two micro-batches overlap')})"
        )
    fill_rates(row)
    fill_per_peak(row, sheet.peak_flops(case.dtype))
    fill_utilization(row, sheet.peak_flops(case.dtype), sheet.memory_bytes_per_s, achieved=False)


def _package_row(die: Row, sheet: Sheet) -> list[Row]:
    """The same case seen per package: its dies work beside each other, so a step takes as long and yields more."""
    count = sheet.devices_per_package
    if count == 1:
        return []
    row = msgspec.structs.replace(die, unit="package", devices=count, kernels=[], notes=[*die.notes])
    row.notes.append(f"a package is {count} devices beside each other: the same step, {count} times the tokens")
    for key in ("flops", "read_bytes", "written_bytes", "link_bytes", "memory_bytes"):
        value = getattr(die, key)
        setattr(row, key, None if value is None else value * count)
    fill_rates(row, devices_in_unit=count)
    return [row]


def _engine_of(case: Case, device: str) -> Engine | None:
    """The engine that runs a model's step from a graph; none for a kernel or layer alone, or on an eager device."""
    own = profiles().get(device)
    if case.phase not in ("prefill", "decode") or (own is not None and own.eager):
        return None
    return engine()


def price_sweep(case: Case, device: str, batch: Any, context: Any) -> Priced:
    """Price a whole grid of (batch, context) points of a case at once; arrays of one shape in, arrays out.

    Raises: Unsupported where the sheet lacks a figure.
    """
    new = np.asarray(context) if case.phase == "prefill" else 1
    step = Step(case.phase, np.asarray(batch), new, np.asarray(context))
    return price_step(case, step, device, load_sheet(device))
