"""What two sides are on each axis: throughput, latency, utilization, energy; price is added by whoever knows prices.

Each axis has its measures, a metric of rows of one phase. A measure is read case by case; several cases of it give one
geometric mean, always with its list. At service targets each target is read by itself; a workload that has such
readings is judged on throughput by them alone, and what it yields at the same batch stands beside them. Of several
precisions the one that a service would run counts (bench/results/pairs.py); the others stand beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bench.results.compare import Operand, is_measured, source_of
from bench.results.doubt import doubt
from bench.results.measures import AT_TARGET, MEASURES, per, read, subject
from bench.results.pairs import EIGHT_BIT, SERVED_FIRST, by_case, eight_bit, in_eight_bit, matched, question, rank
from bench.results.record import Row
from bench.results.target import ACROSS, NO_LIMITS, OPEN
from bench.results.verdict import AXES, NEITHER, WHY_NONE, Axis, Verdict, worst


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
    _lead(found, a, b)
    told = {verdict.axis for verdict in found}
    found += [missing(axis, a, b) for axis in AXES if axis not in told]
    return sorted(found, key=lambda verdict: AXES.index(verdict.axis))


def _lead(found: Iterable[Verdict], a: Operand, b: Operand) -> None:
    """Let one precision count for each question: what a service would run; wider ones stand beside it.

    Nobody buys a device to run what it runs faster in fewer bits. Two runs of one device are no purchase: there every
    precision may have changed, and counts.
    """
    if len({row.device_name for side in (a, b) for row in side.rows}) < 2:
        return
    asked: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in found:
        if verdict.precision and verdict.counted:
            key = (verdict.axis, verdict.metric, *question(verdict.target, verdict.precision))
            asked.setdefault(key, []).append(verdict)
    for each in asked.values():
        sure = [verdict for verdict in each if not verdict.doubt] or each
        first = min(rank(verdict.precision) for verdict in sure)
        for verdict in each:
            if rank(verdict.precision) > first:
                verdict.beside = f"{SERVED_FIRST[first]} counts in its place"


def verdicts(a: Operand, b: Operand, served: Collection[tuple[str, str]] = ()) -> list[Verdict]:
    """Return what every measure says of two sides, per unit that is bought; nothing for a measure without a case.

    served: (workload, phase) of which there are readings at service targets: their throughput is judged by those,
    unless as many devices were measured at the same batch on both sides, which is surer than an interpolation.
    """
    found: list[Verdict] = []
    pairs = [(x, y, x.dtype) for x, y in matched(a, b)] + [(x, y, EIGHT_BIT) for x, y in eight_bit(a, b)]
    for measure in MEASURES:
        groups: dict[tuple[str, str], list[tuple[Row, Row]]] = {}
        for x, y, dtype in pairs:
            if x.phase == measure.phase and x.status == y.status == "ok":
                # Precisions and workloads are read apart; their ratios are never merged.
                groups.setdefault((x.workload, dtype), []).append((x, y))
        for (workload, dtype), group in groups.items():
            verdict = read(measure, f"{workload}, {dtype}", group, a, b)
            if verdict is not None:
                verdict.precision = "" if measure.phase == "kernel" else dtype
                surer = all(is_measured(x) and is_measured(y) and x.devices == y.devices for x, y in group)
                if measure.note and (workload, measure.phase) in served and not surer:
                    verdict.beside = "readings at service targets count in its place"
                found.append(verdict)
    return found


def verdicts_at(a: Operand, b: Operand) -> list[Verdict]:
    """Return what each service target says of two sides; the rows' names are their targets'."""
    found: list[Verdict] = []
    pairs = [(x, y, x.case_id) for x, y in matched(a, b)]
    pairs += [(x, y, in_eight_bit(x)) for x, y in eight_bit(a, b)]
    for x, y, target in pairs:
        if x.status == y.status == "ok":
            found += filter(None, [read(AT_TARGET[x.phase], target, [(x, y)], a, b)])
        elif {x.status, y.status} == {"ok", "skipped"}:
            found.append(_only_one(x, y, target, a, b))
        elif x.status == y.status == "skipped" and NO_LIMITS not in (*x.flags, *y.flags):
            found.append(_neither(x, y, target, a, b))
    return found


def _neither(x: Row, y: Row, target: str, a: Operand, b: Operand) -> Verdict:
    """Both sides are too slow or too small for a target: what they yield at the same batch is no answer to it."""
    measure = AT_TARGET[x.phase]
    front = "" if is_measured(x) and is_measured(y) else "estimated: "
    told = doubt(x, y) or _why_open(x, y)
    return Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, per=per(a, b),
        **subject(x, y, target), a_source=_known(x), b_source=_known(y), a_doubt=doubt(x), b_doubt=doubt(y),
        reading=f"{front}cannot tell: {told}" if told else f"{front}{NEITHER}",
        source=worst(_known(x), _known(y)), why=f"{a.label}: {x.reason}; {b.label}: {y.reason}",
    )  # fmt: skip


def _why_open(x: Row, y: Row) -> str:
    """Why it is open which of two rows keeps their target, or ""."""
    return next((words for flag, words in OPEN.items() if flag in x.flags or flag in y.flags), "")


def _only_one(x: Row, y: Row, target: str, a: Operand, b: Operand) -> Verdict:
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
    reasons += [f"by its own interval {can.label} may be late"] * (ACROSS in (y if can is b else x).flags)
    return Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, per=per(a, b),
        **subject(x, y, target), a_value=getattr(x, measure.metric), b_value=getattr(y, measure.metric),
        a_source=_known(x), b_source=_known(y), reading=words,
        a_doubt=told if cannot is x else "", b_doubt=told if cannot is y else "",
        source=worst(_known(x), _known(y)),
        why="; ".join(reasons),
    )  # fmt: skip


def _known(row: Row) -> str:
    """Where a row's numbers come from; what is not priced at all, too large for the memory, is known by its sheet."""
    return "modelled:sheet" if row.source == "modelled" and row.tier is None else source_of(row)


def other_definitions(a: Operand, b: Operand) -> set[str]:
    """Return the workloads of which both sides have a case by the same name, but by another definition."""
    mine, theirs = by_case(a), by_case(b)
    return {
        row.workload for case_id, row in mine.items()
        if case_id in theirs and row.definition_hash != theirs[case_id].definition_hash
    }  # fmt: skip


def missing(axis: Axis, a: Operand, b: Operand) -> Verdict:
    """Return the verdict of an axis on which nothing can be said, with the reason."""
    mine, theirs = by_case(a), by_case(b)
    same = [case_id for case_id in mine if case_id in theirs]
    apart = [case_id for case_id in same if mine[case_id].definition_hash != theirs[case_id].definition_hash]
    why = WHY_NONE[axis]
    if same and len(apart) == len(same):
        why = "the two sides have other definitions of the same cases; run both again with the same files"
    elif not same and axis != "price/performance":
        why = "the two sides have no case in common, so there is nothing to divide"
    return Verdict(axis=axis, metric="", a=a.label, b=b.label, reading="no verdict", why=why)
