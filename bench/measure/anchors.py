"""Anchors: published figures, each beside the model's number for exactly the configuration that was published."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from bench import project
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, nearest
from bench.measure.rows import modelled_rows, new_row, set_work
from bench.operators.cost import read_cost
from bench.results.normalize import fill_rates, fill_utilization
from bench.results.record import Row
from bench.results.reference import Anchor, Metric, Reference, load_references
from bench.workloads.model import load_model
from bench.workloads.schema import Case
from bench.workloads.sweep import select_cases


def anchors(
    devices: Collection[str], models: Collection[str] | None = None, phases: Collection[str] | None = None
) -> list[Anchor]:
    """Return the anchors of these devices, and of these models and phases where any are named, in the files' order.

    Raises: DefinitionError where a figure names a device or model that is not here, or no single case.
    """
    found: list[Anchor] = []
    references = load_references()
    _check(references)
    for reference in references:
        other_model = models is not None and not set(models) & set(reference.models)
        other_phase = phases is not None and reference.phase not in phases
        if reference.reproduce is None or other_model or other_phase or not set(devices) & set(reference.devices):
            continue
        case = case_of_reference(reference)
        found += [_anchor(reference, case, device) for device in reference.devices if device in devices]
    return found


def case_of_reference(reference: Reference) -> Case:
    """Return the case that a published figure is reproduced by.

    Raises: DefinitionError where the workload has no such case, or several.
    """
    wanted = reference.reproduce
    if wanted is None:
        raise DefinitionError(f"published figure '{reference.id}' has no [entry.reproduce] table")
    try:
        cases = select_cases([wanted.workload], wanted.overrides)
    except DefinitionError as error:
        raise DefinitionError(f"published figure '{reference.id}': {error}") from None
    if len(cases) != 1:
        raise DefinitionError(
            f"published figure '{reference.id}': its [entry.reproduce] describes {len(cases)} cases of workload "
            f"'{wanted.workload}'; name the values until it is one"
        )
    return cases[0]


def published_rows(references: Iterable[Reference]) -> list[Row]:
    """Return published figures as rows of the cases that reproduce them, on each of their devices.

    They have no interval, so no verdict can be more than a ratio; citation and caveats are the rows' notes. Where a
    package has several dies there is a row of each, one of them worked out. Of two figures of a case the first counts.
    """
    every = [reference for reference in references if reference.reproduce is not None]
    _check(every)
    rows: dict[tuple[str, str, str], Row] = {}
    for reference in every:
        case = case_of_reference(reference)
        for device in reference.devices:
            for row in _published_rows(reference, case, device):
                rows.setdefault((row.device, row.unit, row.case_id), row)
    return list(rows.values())


def _published_rows(reference: Reference, case: Case, device: str) -> list[Row]:
    sheet = load_sheet(device)
    dies = sheet.devices_per_package
    told = 1 if reference.unit == "die" else dies
    row = new_row(case, device=device, device_name=reference.device_name, unit=sheet.unit, source="published")
    tokens = (case.batch or 1) * ((case.input_len or 1) if case.phase == "prefill" else 1)
    if reference.metric.endswith("_tokens_per_s"):
        row.step_s = tokens * told / case.deployment.tp / reference.value
    elif reference.metric == "layer_s":
        row.step_s = reference.value * load_model(case.model or "").layers
    else:
        row.step_s = reference.value
    row.status = "ok"
    row.notes = [f"{reference.id}: {reference.citation}", *reference.caveats]
    set_work(row, read_cost(case.program(), case.step(), case.dtype))
    row.kernels = []
    fill_rates(row)
    fill_utilization(row, sheet.peak_flops(case.dtype), sheet.memory_bytes_per_s, achieved=False)
    if dies == 1:
        return [row]
    package = msgspec.structs.replace(row, unit="package", devices=dies, notes=[*row.notes])
    fill_rates(package, devices_in_unit=dies)
    for each in (row, package):
        if each.devices != told:
            each.notes.append(f"published per {reference.unit}, here per {each.unit}: a package is {dies} dies")
    return [row, package]


def _check(references: list[Reference]) -> None:
    sheets, models = known_sheets(), project.definitions("workloads", "models/*.toml")
    for reference in references:
        for noun, named, known, command in (
            ("device", reference.devices, sheets, "bench devices"),
            ("model", reference.models, models, "bench workloads --models"),
        ):
            for name in named:
                if name not in known:
                    raise DefinitionError(
                        f"published figure '{reference.id}': unknown {noun} '{name}'{nearest(name, known)}"
                        f" (see: {command})"
                    )


def _anchor(reference: Reference, case: Case, device: str) -> Anchor:
    rows = modelled_rows(case, device)
    row = next((row for row in rows if row.unit == reference.unit), rows[0])
    modelled = _value(row, case, reference.metric)
    if row.status != "ok" or modelled is None or row.step_s is None or row.interval is None:
        reason = row.reason or f"a modelled {case.phase} has no {reference.metric}"
        return Anchor(reference=reference, device=device, case_id=case.case_id, reason=reason)
    low, high = (end / row.step_s for end in row.interval)
    # The interval is of the step's time; a rate is its inverse.
    ends = (1 / high, 1 / low) if reference.metric.endswith("_per_s") else (low, high)
    interval = (modelled * ends[0], modelled * ends[1])
    return Anchor(
        reference=reference,
        device=device,
        case_id=case.case_id,
        modelled=modelled,
        interval=interval,
        deviation=modelled / reference.value - 1,
        inside=interval[0] <= reference.value <= interval[1],
        tier=row.tier,
    )


def _value(row: Row, case: Case, metric: Metric) -> float | None:
    if metric == "layer_s":
        return None if row.step_s is None or case.model is None else row.step_s / load_model(case.model).layers
    value = getattr(row, metric, None)
    return None if value is None else float(value)
