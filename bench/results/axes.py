"""What two sides are on each axis: throughput, latency, utilization, energy; price is added by whoever knows prices.

Each axis has its measures, a metric of rows of one phase. A measure is read case by case; several cases of it give one
geometric mean, always with its list. At service targets each target is read by itself; a workload that has such
readings is judged on throughput by them alone, and what it yields at the same batch stands beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.results.compare import Operand, basis_of, is_measured, one_sided, ratio_of, source_of
from bench.results.doubt import doubt
from bench.results.reading import Interval, reading, reading_of_many, together
from bench.results.record import Row
from bench.results.target import ACROSS, NO_LIMITS, OPEN
from bench.results.verdict import AXES, NEITHER, WHY_NONE, Axis, Verdict, worst
from bench.units import times

# A package of two devices has twice the users at the same batch per device, each of whom may wait longer for a token.
SAME_BATCH = "same batch per device, not the same service"


@dataclass(frozen=True)
class Measure:
    """A metric of rows of one phase, as it stands for an axis. note: what two rows of one case do not share."""

    axis: Axis
    metric: str
    phase: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    note: str = ""


MEASURES = (
    Measure("throughput", "prompt_tokens_per_s", "prefill", "prefill at equal batch per device, prompt tokens", "tok/s",
            "higher", SAME_BATCH),
    Measure("throughput", "output_tokens_per_s", "decode", "decode at equal batch per device, output tokens", "tok/s",
            "higher", SAME_BATCH),
    Measure("latency", "ttft_s", "prefill", "time to first token", "s", "lower"),
    Measure("latency", "tpot_s", "decode", "time per output token at equal batch per device", "s", "lower"),
    Measure("latency", "step_s", "moe", "time of a MoE layer", "s", "lower"),
    Measure("latency", "step_s", "kernel", "time of a kernel", "s", "lower"),
    Measure("utilization", "mfu", "prefill", "share of peak FLOP/s in prefill (MFU)", "share", "higher"),
    Measure("utilization", "mbu", "decode", "share of peak bandwidth in decode (MBU)", "share", "higher"),
    Measure("energy", "joules_per_token", "prefill", "energy per prompt token", "J/token", "lower"),
    Measure("energy", "joules_per_token", "decode", "energy per output token", "J/token", "lower"),
)  # fmt: skip
AT_TARGET = {
    "decode": Measure(
        "throughput", "output_tokens_per_s", "decode", "decode in time, output tokens", "tok/s", "higher"
    ),
    "prefill": Measure(
        "throughput", "prompt_tokens_per_s", "prefill", "prefill in time, prompt tokens", "tok/s", "higher"
    ),
}


def every_verdict(
    a: Operand, b: Operand, in_time: tuple[Operand, Operand] | None = None, more: Sequence[Verdict] = ()
) -> list[Verdict]:  # fmt: skip
    """Return all that can be said of two sides, axis by axis; an axis of which nothing can is there with its reason.

    in_time: the two sides at service targets. What the sides define otherwise stays out of it, though the target's
    name be the same. more: verdicts from elsewhere, on prices for example.
    """
    apart = other_definitions(a, b)
    solved = [
        Operand(side.label, [row for row in side.rows if row.workload not in apart]) for side in in_time or ()
    ]  # fmt: skip
    at = verdicts_at(*solved) if solved else []
    served = {(row.workload, row.phase) for side in solved for row in side.rows
              if row.case_id in {verdict.target for verdict in at}}  # fmt: skip
    found = [*at, *verdicts(a, b, served), *more]
    read = {verdict.axis for verdict in found}
    found += [missing(axis, a, b) for axis in AXES if axis not in read]
    return sorted(found, key=lambda verdict: AXES.index(verdict.axis))


def verdicts(a: Operand, b: Operand, served: Collection[tuple[str, str]] = ()) -> list[Verdict]:
    """Return what every measure says of two sides, per unit that is bought; nothing for a measure without a case.

    served: (workload, phase) of which there are readings at service targets: their throughput is judged by those,
    unless as many devices were measured at the same batch on both sides, which is surer than an interpolation.
    """
    found: list[Verdict] = []
    pairs = [(x, y) for x, y in matched(a, b) if x.status == y.status == "ok"]
    for measure in MEASURES:
        groups: dict[str, list[tuple[Row, Row]]] = {}
        for x, y in pairs:
            if x.phase == measure.phase:
                # Precisions and workloads are read apart; their ratios are never merged.
                groups.setdefault(f"{x.workload}, {x.dtype}", []).append((x, y))
        for target, group in groups.items():
            verdict = _read(measure, target, group, a, b)
            if verdict is not None:
                surer = all(is_measured(x) and is_measured(y) and x.devices == y.devices for x, y in group)
                in_time = measure.note and (group[0][0].workload, measure.phase) in served
                verdict.counted = surer or not in_time
                found.append(verdict)
    return found


def verdicts_at(a: Operand, b: Operand) -> list[Verdict]:
    """Return what each service target says of two sides; the rows' names are their targets'."""
    found: list[Verdict] = []
    for x, y in matched(a, b):
        if x.status == y.status == "ok":
            found += filter(None, [_read(AT_TARGET[x.phase], x.case_id, [(x, y)], a, b)])
        elif {x.status, y.status} == {"ok", "skipped"}:
            found.append(_only_one(x, y, a, b))
        elif x.status == y.status == "skipped" and NO_LIMITS not in (*x.flags, *y.flags):
            found.append(_neither(x, y, a, b))
    return found


def _neither(x: Row, y: Row, a: Operand, b: Operand) -> Verdict:
    """Both sides are too slow or too small for a target: what they yield at the same batch is no answer to it."""
    measure = AT_TARGET[x.phase]
    front = "" if is_measured(x) and is_measured(y) else "estimated: "
    told = doubt(x, y) or _why_open(x, y)
    return Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, per=_per(a, b),
        target=x.case_id, a_source=_known(x), b_source=_known(y), a_doubt=doubt(x), b_doubt=doubt(y),
        reading=f"{front}cannot tell: {told}" if told else f"{front}{NEITHER}",
        source=worst(_known(x), _known(y)), why=f"{a.label}: {x.reason}; {b.label}: {y.reason}",
    )  # fmt: skip


def _why_open(x: Row, y: Row) -> str:
    """Why it is open which of two rows keeps their target, or ""."""
    return next((words for flag, words in OPEN.items() if flag in x.flags or flag in y.flags), "")


def _only_one(x: Row, y: Row, a: Operand, b: Operand) -> Verdict:
    """One side is too slow or too small for a target that the other keeps."""
    measure = AT_TARGET[x.phase]
    can, cannot = (a, y) if x.status == "ok" else (b, x)
    front = "" if is_measured(x) and is_measured(y) else "estimated: "
    told = doubt(cannot)
    why_open = _why_open(x, y)
    # What others slowed down may well be in time without them; what is in time beside others is without them, too.
    words = f"{front}cannot tell: {told or why_open}" if told or why_open else f"{front}only {can.label} can"
    reasons = [f"{(b if can is a else a).label}: {cannot.reason}"]
    reasons += ["by its interval it may be in time"] * (ACROSS in cannot.flags)
    reasons += [f"{can.label} may be late, by the interval of its own"] * (ACROSS in (y if can is b else x).flags)
    return Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, per=_per(a, b),
        target=x.case_id, a_value=getattr(x, measure.metric), b_value=getattr(y, measure.metric),
        a_source=_known(x), b_source=_known(y), reading=words,
        a_doubt=told if cannot is x else "", b_doubt=told if cannot is y else "",
        source=worst(_known(x), _known(y)),
        why="; ".join(reasons),
    )  # fmt: skip


def _known(row: Row) -> str:
    """Where a row's numbers come from; what is not priced at all, too large for the memory, is known by its sheet."""
    return "modelled:sheet" if row.source == "modelled" and row.tier is None else source_of(row)


def bought(side: Operand) -> str:
    """Return the unit that is bought: a package where rows are of dies and of packages."""
    units = side.units
    return "package" if "package" in units else (units or ["machine"])[0]


def matched(a: Operand, b: Operand) -> list[tuple[Row, Row]]:
    """Return the rows of one case and one definition that both sides have, per unit that is bought."""
    mine, theirs = (_by_case(side) for side in (a, b))
    pairs = ((x, theirs[case_id]) for case_id, x in mine.items() if case_id in theirs)
    return [(x, y) for x, y in pairs if x.definition_hash == y.definition_hash]


def _by_case(side: Operand) -> dict[str, Row]:
    unit = bought(side)
    return {row.case_id: row for row in side.rows if row.unit == unit}


def other_definitions(a: Operand, b: Operand) -> set[str]:
    """Return the workloads of which both sides have a case by the same name, but by another definition."""
    mine, theirs = _by_case(a), _by_case(b)
    return {
        row.workload for case_id, row in mine.items()
        if case_id in theirs and row.definition_hash != theirs[case_id].definition_hash
    }  # fmt: skip


def missing(axis: Axis, a: Operand, b: Operand) -> Verdict:
    """Return the verdict of an axis on which nothing can be said, with the reason."""
    mine, theirs = _by_case(a), _by_case(b)
    same = [case_id for case_id in mine if case_id in theirs]
    apart = [case_id for case_id in same if mine[case_id].definition_hash != theirs[case_id].definition_hash]
    why = WHY_NONE[axis]
    if same and len(apart) == len(same):
        why = "the two sides have other definitions of the same cases; run both again with the same files"
    elif not same and axis != "price/performance":
        why = "the two sides have no case in common, so there is nothing to divide"
    return Verdict(axis=axis, metric="", a=a.label, b=b.label, reading="no verdict", why=why)


def _metric(measure: Measure, x: Row, y: Row) -> str:
    """Utilization is of published peaks where both sides have them, else of those that both reached; never mixed."""
    own = all(getattr(row, measure.metric) is not None for row in (x, y))
    return measure.metric if own or measure.axis != "utilization" else f"{measure.metric}_achieved"


def _per(a: Operand, b: Operand) -> str:
    return bought(a) if bought(a) == bought(b) else f"{bought(a)} | {bought(b)}"


def _read(
    measure: Measure, target: str, pairs: Sequence[tuple[Row, Row]], a: Operand, b: Operand
) -> Verdict | None:  # fmt: skip
    found = [(x, y, *ratio_of(x, y, _metric(measure, x, y))) for x, y in pairs]
    read = [(x, y, ratio, interval) for x, y, ratio, interval in found if ratio is not None]
    if not read:
        return None
    # Beside cases that are sure, those in doubt are left out of the mean, and told.
    sure = [each for each in read if not doubt(*each[:2])] or read
    ratios = {x.case_id: ratio for x, _, ratio, _ in sure}
    intervals: list[Interval | None] = [interval for *_, interval in sure]
    used = [(x, y) for x, y, *_ in sure]
    names, higher = (a.label, b.label), measure.better == "higher"
    basis = basis_of(*(row for pair in used for row in pair))
    verdict = Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, better=measure.better,
        target=target, note=measure.note,
        source=worst(*(source_of(row) for pair in used for row in pair)), reading="", per=_per(a, b),
        a_source=worst(*(source_of(x) for x, _ in used)), b_source=worst(*(source_of(y) for _, y in used)),
        a_doubt=doubt(*(x for x, _ in used)), b_doubt=doubt(*(y for _, y in used)), unstable=basis.unstable,
        left_out={x.case_id: (ratio, doubt(x, y)) for x, y, ratio, _ in read if x.case_id not in ratios},
    )  # fmt: skip
    if len(used) == 1:
        x, y = used[0]
        metric = _metric(measure, x, y)
        verdict.a_value, verdict.b_value = getattr(x, metric), getattr(y, metric)
        verdict.ratio, verdict.interval = ratios[x.case_id], intervals[0]
        verdict.reading = reading(verdict.ratio, verdict.interval, names, higher=higher, basis=basis)
        ends = one_sided(x, y, metric)
        if ends is not None:
            verdict.why = (
                f"{times(ends[0])} to {times(ends[1])} by the interval of {a.label if x.interval else b.label} alone"
            )
        return verdict
    values = list(ratios.values())
    verdict.ratio, verdict.interval = together(values, intervals)
    verdict.cases = ratios
    verdict.reading = reading_of_many(values, intervals, names, higher=higher, basis=basis)
    return verdict
