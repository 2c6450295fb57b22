"""Anchors: published figures, each beside the model's number for exactly the configuration that was published."""

from __future__ import annotations

from collections.abc import Collection

from bench import project
from bench.devices.sheet import known_sheets
from bench.errors import DefinitionError, nearest
from bench.measure.rows import modelled_rows
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
