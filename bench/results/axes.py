"""What two sides are on each axis: throughput, latency, utilization, energy; price is added by whoever knows prices.

Each axis has its measures, a metric of rows of one phase. A measure is read case by case; several cases of it give one
geometric mean, always with its list. At service targets each target is read by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from bench.results.compare import Operand, is_measured, ratio_of, source_of
from bench.results.reading import Interval, reading, reading_of_many, together
from bench.results.record import Row

Axis = Literal["throughput", "latency", "utilization", "energy", "price/performance"]
AXES: tuple[Axis, ...] = ("throughput", "latency", "utilization", "energy", "price/performance")

# From the surest to the least sure; a derived number is as sure as its least sure input (`worst`).
SOURCES = (
    "measured", "interpolated", "published", "modelled:calibrated", "modelled:transferred", "modelled:sheet", "assumed",
    "missing",
)  # fmt: skip


class Verdict(msgspec.Struct, kw_only=True):
    """One reading of two systems on one axis: `a` over `b` of `metric`, at a target where there is one.

    ratio, interval: None where there is nothing to divide; then `why` says so.
    a_value, b_value: in `unit`, where the ratio is of one case; None for a geometric mean.
    reading: words of bench.results.reading. source: the least sure of what went in.
    cases: the ratios that a geometric mean is of, by case; empty where the ratio is of one case.
    """

    axis: Axis
    metric: str
    a: str
    b: str
    unit: str = ""
    target: str = ""
    better: Literal["higher", "lower"] = "higher"
    a_value: float | None = None
    b_value: float | None = None
    a_source: str = ""
    b_source: str = ""
    ratio: float | None = None
    interval: Interval | None = None
    reading: str
    source: str = "missing"
    cases: dict[str, float] = {}
    why: str = ""


@dataclass(frozen=True)
class Measure:
    """A metric of rows of one phase, as it stands for an axis."""

    axis: Axis
    metric: str
    phase: str
    title: str
    unit: str
    better: Literal["higher", "lower"]


MEASURES = (
    Measure("throughput", "prompt_tokens_per_s", "prefill", "prefill, prompt tokens", "tok/s", "higher"),
    Measure("throughput", "output_tokens_per_s", "decode", "decode at equal batch, output tokens", "tok/s", "higher"),
    Measure("latency", "ttft_s", "prefill", "time to first token", "s", "lower"),
    Measure("latency", "tpot_s", "decode", "time per output token at equal batch", "s", "lower"),
    Measure("latency", "step_s", "moe", "time of a MoE layer", "s", "lower"),
    Measure("latency", "step_s", "kernel", "time of a kernel", "s", "lower"),
    Measure("utilization", "mfu", "prefill", "share of peak FLOP/s in prefill (MFU)", "share", "higher"),
    Measure("utilization", "mbu", "decode", "share of peak bandwidth in decode (MBU)", "share", "higher"),
    Measure("energy", "joules_per_token", "prefill", "energy per prompt token", "J/token", "lower"),
    Measure("energy", "joules_per_token", "decode", "energy per output token", "J/token", "lower"),
)
AT_TARGET = Measure("throughput", "output_tokens_per_s", "decode", "decode in time, output tokens", "tok/s", "higher")

WHY_NONE = {
    "throughput": "no case of both sides yields tokens",
    "latency": "no case was timed on both sides",
    "utilization": "a side's peaks are not known: of a sheet, or reached by bench calibrate",
    "energy": "power was not measured on both sides; it is never taken from a design power",
    "price/performance": "no prices of both sides; give them with --prices FILE",
}


def worst(*sources: str) -> str:
    """Return the least sure of these sources."""
    return max(sources, key=SOURCES.index, default="missing")


def verdicts(a: Operand, b: Operand) -> list[Verdict]:
    """Return what every measure says of two sides, per unit that is bought; nothing for a measure without a case."""
    found: list[Verdict] = []
    for measure in MEASURES:
        pairs = [(x, y) for x, y in matched(a, b) if x.phase == measure.phase]
        verdict = _read(measure, pairs, a, b)
        if verdict is not None:
            found.append(verdict)
    return found


def verdicts_at(a: Operand, b: Operand) -> list[Verdict]:
    """Return what each service target says of two sides; the rows' names are their targets'."""
    found: list[Verdict] = []
    for x, y in matched(a, b):
        verdict = _read(AT_TARGET, [(x, y)], a, b)
        if verdict is not None:
            verdict.target = x.case_id
            found.append(verdict)
    return found


def bought(side: Operand) -> str:
    """Return the unit that is bought: a package where rows are of dies and of packages."""
    return "package" if "package" in side.units else (side.units or ["machine"])[0]


def matched(a: Operand, b: Operand) -> list[tuple[Row, Row]]:
    """Return the rows of one case and one definition that both sides have a number of, per unit that is bought."""
    pairs: list[tuple[Row, Row]] = []
    for case_id in dict.fromkeys(row.case_id for row in a.rows):
        x, y = a.row(case_id, bought(a)), b.row(case_id, bought(b))
        if x is None or y is None or x.status != "ok" or y.status != "ok" or x.definition_hash != y.definition_hash:
            continue
        pairs.append((x, y))
    return pairs


def missing(axis: Axis, a: str, b: str) -> Verdict:
    """Return the verdict of an axis on which nothing can be said, with the reason."""
    return Verdict(axis=axis, metric="", a=a, b=b, reading="no verdict", why=WHY_NONE[axis])


def _read(measure: Measure, pairs: Sequence[tuple[Row, Row]], a: Operand, b: Operand) -> Verdict | None:
    ratios: dict[str, float] = {}
    intervals: list[Interval | None] = []
    used: list[tuple[Row, Row]] = []
    for x, y in pairs:
        ratio, interval = ratio_of(x, y, measure.metric)
        if ratio is not None:
            ratios[x.case_id] = ratio
            intervals.append(interval)
            used.append((x, y))
    if not used:
        return None
    names, higher = (a.label, b.label), measure.better == "higher"
    estimated = not all(is_measured(row) for pair in used for row in pair)
    verdict = Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, better=measure.better,
        source=worst(*(source_of(row) for pair in used for row in pair)), reading="",
        a_source=worst(*(source_of(x) for x, _ in used)), b_source=worst(*(source_of(y) for _, y in used)),
    )  # fmt: skip
    if len(used) == 1:
        x, y = used[0]
        verdict.a_value, verdict.b_value = getattr(x, measure.metric), getattr(y, measure.metric)
        verdict.ratio, verdict.interval = ratios[x.case_id], intervals[0]
        verdict.target = x.case_id
        verdict.reading = reading(verdict.ratio, verdict.interval, names, higher=higher, estimated=estimated)
        return verdict
    values = list(ratios.values())
    verdict.ratio, verdict.interval = together(values, intervals)
    verdict.cases = ratios
    verdict.reading = reading_of_many(values, intervals, names, higher=higher, estimated=estimated)
    return verdict
