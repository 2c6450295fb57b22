"""What was run: workloads with their models, sizes and deployment, and whether what they compute was checked."""

from __future__ import annotations

from bench.report.document import Column, Section, Table
from bench.report.parts.numbers import of, rate_of
from bench.report.rows import short_names
from bench.report.sides import Side
from bench.results.record import Row
from bench.units import short_count

SIZES = ("batch", "input_len", "context")
NAMES = {"batch": "batch", "input_len": "prompt", "context": "context"}


def work(sides: list[Side]) -> Section:
    """Return the table of workloads over all sides."""
    section = Section(id="workloads", title="What was run")
    found: dict[str, list[Row]] = {}
    for side in sides:
        for row in side.rows:
            found.setdefault(row.workload, []).append(row)
    table = Table(id="workloads-data", title="Workloads", columns=[
        Column(name="workload"), Column(name="phase"), Column(name="model or kernel"), Column(name="precision"),
        Column(name="sizes"), Column(name="deployment"), Column(name="experts"), Column(name="checked"),
    ])  # fmt: skip
    for name, rows in found.items():
        first = rows[0]
        table.rows.append([
            name, first.phase, ", ".join(dict.fromkeys(row.model or row.kernel or "" for row in rows)),
            ", ".join(dict.fromkeys(row.dtype for row in rows)), _sizes(rows), _deployment(first),
            ", ".join(dict.fromkeys(row.routing for row in rows if row.routing)), _checked(rows),
        ])  # fmt: skip
    table.notes = [
        "Weights and inputs are random from a fixed seed: times do not depend on them, and no answer is judged.",
        "One step of steady prefill or decode; no prefix cache and no speculative decoding unless a row says so.",
    ]
    section.tables = [table]
    return section


def in_short(side: Side) -> Section:
    """Return the case that yields the most of one side alone, by workload and precision; none at a service target."""
    best: dict[tuple[str, str], Row] = {}
    for row in side.bought(side.rows):
        rate = getattr(row, rate_of(row)) if row.status == "ok" else None
        key = (row.workload, row.dtype)
        if rate and row.phase in ("prefill", "decode") and rate > (getattr(best.get(key), rate_of(row), None) or 0):
            best[key] = row
    section = Section(id="ratios", title="In short")
    if not best:
        section.text = ["No case yields tokens; every case is in the table below."]
        return section
    short, notes = short_names([row.case_id for row in best.values()])
    table = Table(id="in-short", title="The case of each workload that yields the most", columns=[
        Column(name="workload"), Column(name="precision"), Column(name="at"), Column(name="tokens"),
        Column(name="yields", number=True), Column(name="time of a step", number=True),
        Column(name="energy", number=True),
    ], notes=notes)  # fmt: skip
    for (name, dtype), row in best.items():
        why = row.telemetry_missing.get("power_w", "no power measured")
        kind = "prompt" if row.phase == "prefill" else "output"
        table.rows.append([
            name, dtype, short[row.case_id], kind, of(row, rate_of(row)), of(row, "step_s"),
            of(row, "joules_per_token", why),
        ])  # fmt: skip
    section.tables = [table]
    return section


def _sizes(rows: list[Row]) -> str:
    parts = []
    for key in SIZES:
        values = sorted({value for row in rows if (value := getattr(row, key)) is not None})
        # Of a prompt and its context one is enough; a decode step's prompt is one token.
        if values and not (key == "input_len" and rows[0].phase == "decode") and not (
            key == "context" and rows[0].phase == "prefill"
        ):  # fmt: skip
            shown = [short_count(value) for value in values]
            parts.append(f"{NAMES[key]} {', '.join(shown if len(shown) < 6 else [*shown[:2], '...', shown[-1]])}")
    return "; ".join(parts) or "in the case's name"


def _deployment(row: Row) -> str:
    given = row.deployment
    ranks = ", ".join(f"{key} {given[key]}" for key in ("tp", "dp", "ep") if (given.get(key) or 1) > 1)
    overlap = given.get("overlap") or "none"
    return (ranks or "one device") + ("" if overlap == "none" else f"; {overlap} overlap")


def _checked(rows: list[Row]) -> str:
    told = [row.correct for row in rows if row.correct is not None]
    if not told:
        return "not run here" if all(row.source == "modelled" for row in rows) else "no check"
    return f"{sum(told)} of {len(told)} agree with float32"
