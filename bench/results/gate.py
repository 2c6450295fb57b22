"""The gate: whether a candidate is slower than its baseline sessions, case by case, and a second look before an alarm.

    judged = check(baseline, candidate)              a verdict for every (case, metric) of either side
    again = [j for j in judged if j.second_look]     what to run once more, candidate and baseline in turns
    confirm(j, candidate=..., baseline=..., looked_at=len(again))

Pure: nothing is read, run or printed here. The rule is in `look`, its rates of false alarms in docs/gate.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal, get_args

import msgspec
import numpy as np

from bench.errors import DefinitionError, ResultError, listed
from bench.results.look import Estimate, Look, Rule, from_pairs, from_sessions, in_doubt, look
from bench.results.record import Source
from bench.units import percent, seconds

Verdict = Literal[
    "regressed", "improved", "same", "cannot tell", "new", "gone", "not comparable", "learning",
]  # fmt: skip
# What two sides must agree in; a person may ask to cross each by name.
Border = Literal["source", "machine", "definition", "precision"]
BORDERS: tuple[Border, ...] = get_args(Border)

_NAMES: dict[Border, tuple[str, str]] = {
    "source": ("source", "source"),
    "machine": ("fingerprint", "machine"),
    "definition": ("definition_hash", "definition"),
    "precision": ("dtype", "precision"),
}


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of one case in one session (one run of the benchmark), in seconds, with what they were made of."""

    label: str
    samples_s: Sequence[float]
    source: Source
    fingerprint: str
    definition_hash: str
    dtype: str


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions of one metric of one case, on one side; lower is better."""

    case_id: str
    metric: str
    sessions: Sequence[Session]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the arithmetic: a quantity, how it follows from those before, its value and unit."""

    name: str
    formula: str
    value: float
    unit: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """All that a verdict rests on. Shares: 0.05 is 5 %. `paired`: medians at one position belong together."""

    baseline: list[tuple[str, float]]
    candidate: list[tuple[str, float]]
    paired: bool
    metrics: int
    degrees: int
    spread: float
    k: float
    steps: list[Step]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one metric of one case. A number that does not exist is null.

    ratio: candidate over baseline, above 1 is slower; interval: its two-sided 95 % interval. limit: the slowdown that
    is needed for an alarm; detects: the one that raises it in 95 of 100 looks, both as shares (0.042: 4.2 %).
    estimated: a number behind it was not measured, and whoever prints the verdict has to say so.
    """

    case_id: str
    metric: str
    verdict: Verdict
    reason: str
    second_look: bool = False
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    limit: float | None = None
    detects: float | None = None
    baseline_s: float | None = None
    candidate_s: float | None = None
    estimated: bool = False
    crossed: list[Border] = []
    why: Why | None = None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """What a second look makes of a first verdict. `judged` is the second look's own, from its own samples alone."""

    outcome: Literal["confirmed", "withdrawn"]
    reason: str
    judged: Judged


def check(
    baseline: Sequence[Series], candidate: Sequence[Series], rule: Rule | None = None, cross: Collection[Border] = ()
) -> list[Judged]:
    """Judge every (case, metric) of either side; the limits widen with the number of metrics judged together.

    cross: borders that are asked to be crossed: "source", "machine", "definition", "precision".
    Raises: ResultError for samples that are no times, or a series given twice; DefinitionError for an unknown border.
    """
    rule = rule or Rule()
    unknown = [border for border in cross if border not in BORDERS]
    if unknown:
        raise DefinitionError(f"cross: {unknown[0]!r} is no border between results; these are: {listed(BORDERS)}")
    sides = _by_key(baseline, "baseline"), _by_key(candidate, "candidate")
    keys = list(dict.fromkeys([*sides[0], *sides[1]]))
    early = {key: _without_statistics(key, sides[0].get(key, []), sides[1].get(key, []), rule, cross) for key in keys}
    metrics = sum(found is None for found in early.values())
    return [early[key] or _judged(key, sides[0][key], sides[1][key], metrics, rule) for key in keys]


def confirm(
    first: Judged,
    *,
    candidate: Sequence[Session],
    baseline: Sequence[Session] | None = None,
    looked_at: int,
    rule: Rule | None = None,
) -> Confirmed:
    """Judge a first verdict by new samples: confirmed where they alone lead to an alarm in the same direction.

    With `baseline`: position i of both is a pair, run in turns (A B, B A, ...); `looked_at` is the number of metrics
    looked at again, for which the limit widens. The pairs know nothing of the first look, so that at most
    `rule.false_alarms` are confirmed per check whatever made the first look raise them: noise, drift, another machine.
    Without: the candidate's new sessions against the baseline sessions of the first look. A baseline that was fast by
    chance, or a machine that has become slower, then speaks in both looks: the limit is that of all metrics of the
    first look, and a drift is confirmed.
    Raises: ResultError for sessions that are no times, not as many on both sides, too few, or not comparable.
    """
    rule = rule or Rule()
    where = f"{first.case_id} {first.metric}"
    if first.verdict not in ("regressed", "improved", "cannot tell") or first.why is None:
        raise ResultError(f"{where}: {first.verdict!r} needs no second look; give one that is in doubt")
    if looked_at < 1:
        raise ResultError(f"{where}: looked_at is {looked_at}; it counts this metric too, so 1 is the least")
    b = _medians(where, candidate, "second look's candidate")
    if baseline is None:
        if not b:
            raise ResultError(f"{where}: the second look has no sessions; run the candidate again")
        a = first.why.baseline
        found = look(from_sessions(_logs(a), _logs(b)), max(first.why.metrics, looked_at), rule)
    else:
        a = _medians(where, baseline, "second look's baseline")
        if len(a) != len(b) or len(a) < 2:
            raise ResultError(
                f"{where}: {len(a)} baseline and {len(b)} candidate sessions; interleaved pairs need"
                " as many of both, 2 or more"
            )
        found = look(from_pairs(_logs(a), _logs(b)), looked_at, rule)
    sessions = [*(baseline or ()), *candidate]
    problem = _border(sessions, sessions, [*first.crossed])
    if problem:
        raise ResultError(f"{where}: second look: {problem}")
    metrics = looked_at if baseline is not None else max(first.why.metrics, looked_at)
    estimated = first.estimated or any(session.source != "measured" for session in sessions)
    judged = _record(
        (first.case_id, first.metric), a, b, found, metrics, rule, estimated=estimated, crossed=first.crossed,
        paired=baseline is not None,
    )  # fmt: skip
    alarm = judged.verdict in ("regressed", "improved")
    if alarm and first.verdict in (judged.verdict, "cannot tell"):
        return Confirmed(outcome="confirmed", reason=f"second look: {judged.reason}", judged=judged)
    return Confirmed(outcome="withdrawn", reason=f"second look, {judged.verdict}: {judged.reason}", judged=judged)


Key = tuple[str, str]
Medians = list[tuple[str, float]]


def _by_key(series: Sequence[Series], side: str) -> dict[Key, list[Session]]:
    found: dict[Key, list[Session]] = {}
    for one in series:
        key = (one.case_id, one.metric)
        if key in found:
            raise ResultError(f"{one.case_id} {one.metric}: given twice in the {side}; join its sessions in one series")
        found[key] = list(one.sessions)
    return found


def _without_statistics(
    key: Key, a: list[Session], b: list[Session], rule: Rule, cross: Collection[Border]
) -> Judged | None:
    """Return the verdict where none can be worked out, or None; samples that are no times are refused here."""
    case_id, metric = key
    old, new = _medians(f"{case_id} {metric}", a, "baseline"), _medians(f"{case_id} {metric}", b, "candidate")
    if not a:
        reason = "the baseline has no such case" if b else "no sessions on either side"
        return Judged(
            case_id=case_id, metric=metric, verdict="new", reason=reason, candidate_s=_typical(new),
            estimated=_estimated(b),
        )  # fmt: skip
    if not b:
        return Judged(
            case_id=case_id, metric=metric, verdict="gone", reason="the candidate has no such case",
            baseline_s=_typical(old), estimated=_estimated(a),
        )  # fmt: skip
    problem = _border(a, b, cross)
    if problem:
        return Judged(
            case_id=case_id, metric=metric, verdict="not comparable", reason=problem, estimated=_estimated([*a, *b]),
        )  # fmt: skip
    if len(a) >= rule.fewest_sessions:
        return None
    before, after = _typical(old), _typical(new)
    return Judged(
        case_id=case_id, metric=metric, verdict="learning", baseline_s=before, candidate_s=after,
        reason=f"{len(a)} of {rule.fewest_sessions} baseline sessions; the spread between sessions is not known yet",
        ratio=after / before if after and before else None, estimated=_estimated([*a, *b]),
        crossed=_crossed([*a, *b]),
    )  # fmt: skip


def _judged(key: Key, a: list[Session], b: list[Session], metrics: int, rule: Rule) -> Judged:
    old, new = _medians("", a, "baseline"), _medians("", b, "candidate")
    found = look(from_sessions(_logs(old), _logs(new)), metrics, rule)
    return _record(
        key, old, new, found, metrics, rule, estimated=_estimated([*a, *b]), crossed=_crossed([*a, *b]), paired=False
    )


def _estimated(sessions: list[Session]) -> bool:
    return any(session.source != "measured" for session in sessions)


def _values(sessions: Sequence[Session], border: Border) -> list[str]:
    return list(dict.fromkeys(str(getattr(session, _NAMES[border][0])) for session in sessions))


def _crossed(sessions: Sequence[Session]) -> list[Border]:
    """Return the borders that lie between these sessions."""
    return [border for border in BORDERS if len(_values(sessions, border)) > 1]


def _border(a: Sequence[Session], b: Sequence[Session], cross: Collection[Border]) -> str | None:
    """Return in words why sessions must not be put side by side, or None."""
    problems = []
    for border in _crossed([*a, *b]):
        if border not in cross:
            old, new = _values(a, border), _values(b, border)
            found = f"baseline {listed(old)}, candidate {listed(new)}" if old != new else listed(old)
            problems.append(f"{_NAMES[border][1]} differs ({found}); not compared unless asked to cross '{border}'")
    return "; ".join(problems) or None


def _medians(where: str, sessions: Sequence[Session], side: str) -> Medians:
    """Return (label, median of the samples on log time, in seconds) of each session.

    Raises: ResultError naming the session and the sample.
    """
    found = []
    for session in sessions:
        place = f"{where}: {side} session {session.label!r}"
        if not session.samples_s:
            raise ResultError(f"{place} has no samples; leave the session out, or run it again")
        for sample in session.samples_s:
            if not (math.isfinite(sample) and sample > 0):
                raise ResultError(f"{place}: sample {sample!r} is no time; samples are seconds above 0")
        # On log time, so that the middle of an even number scales and inverts as single samples do.
        found.append((session.label, float(np.exp(np.median(np.log(np.asarray(session.samples_s, dtype=float)))))))
    return found


def _logs(medians: Medians) -> list[float]:
    return [math.log(median_s) for _, median_s in medians]


def _typical(medians: Medians) -> float | None:
    """Return the geometric mean of session medians, seconds."""
    return math.exp(math.fsum(_logs(medians)) / len(medians)) if medians else None


def _record(
    key: Key, a: Medians, b: Medians, found: Look, metrics: int, rule: Rule, *, estimated: bool,
    crossed: list[Border], paired: bool,
) -> Judged:  # fmt: skip
    """Put one look into words and shares."""
    estimate = found.estimate
    verdict: Verdict = str(found.verdict)  # type: ignore[assignment]
    low, high = math.exp(found.low), math.exp(found.high)
    ratio = math.exp(estimate.change)
    limit, detects = math.expm1(found.limit), math.expm1(found.detects)
    change = f"{_slower(ratio)}, interval {ratio_text(low)} to {ratio_text(high)}"
    reason = {
        "regressed": f"{change}; beyond the limit of {percent(limit)}",
        "improved": f"{change}; beyond the limit of {percent(limit)}",
        "same": f"{change}; a change of {percent(rule.budget)} is excluded",
        "cannot tell": f"{change}; a change of {percent(rule.budget)} is neither seen nor excluded,"
        f" this look detects {percent(detects)} or more",
    }[verdict]
    return Judged(
        case_id=key[0], metric=key[1], verdict=verdict, reason=("estimated: " if estimated else "") + reason,
        second_look=bool(in_doubt(found, rule)), ratio=ratio, interval=(low, high), limit=limit, detects=detects,
        baseline_s=_typical(a), candidate_s=_typical(b), estimated=estimated, crossed=crossed,
        why=Why(
            baseline=a, candidate=b, paired=paired, metrics=metrics, degrees=estimate.degrees,
            spread=float(estimate.spread), k=found.k, steps=_steps(found, metrics, rule, len(a), len(b), paired=paired),
        ),
    )  # fmt: skip
