"""The gate: whether a candidate is slower than its baseline sessions, case by case, and a second look before an alarm.

    found = check(baseline, candidate)                    a verdict for every (case, metric) of either side
    again = [one for one in found if one.second_look]     to be run again, baseline and candidate in turns
    confirm(one, candidate=..., baseline=..., looked_at=len(again))

Pure: nothing is read, run or printed here. The rule is in `look`, its rates of false alarms in docs/gate.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from bench.errors import DefinitionError, ResultError, listed
from bench.results.environment import changes
from bench.results.gate.look import Rule, from_pairs, from_sessions, look
from bench.results.gate.verdict import (
    BORDERS,
    Border,
    Confirmed,
    Judged,
    Median,
    Series,
    Session,
    judged,
    mean_others,
    typical,
    undisturbed,
)
from bench.results.metrics import METRICS

Key = tuple[str, str, str]
ALARMS = ("regressed", "improved")
NOTHING = Series(case_id="", metric="", sessions=())


def check(
    baseline: Sequence[Series], candidate: Sequence[Series], rule: Rule | None = None, cross: Collection[Border] = (),
    rules: Mapping[Key, Rule] | None = None,
) -> list[Judged]:  # fmt: skip
    """Judge every (device, case, metric) of either side, in their order; limits widen with the number judged together.

    rules: of single keys, where they differ from `rule`. cross: borders asked to be crossed: "source", "machine",
    "definition", "precision".
    Raises: ResultError for values that cannot be or a series given twice; DefinitionError for an unknown border.
    """
    rule, rules = rule or Rule(), rules or {}
    for border in cross:
        if border not in BORDERS:
            raise DefinitionError(f"cross: {border!r} is no border between results; these are: {listed(BORDERS)}")
    old, new = _by_key(baseline, "baseline"), _by_key(candidate, "candidate")
    keys = list(dict.fromkeys([*old, *new]))
    early = {
        key: _without_statistics(key, old.get(key, NOTHING), new.get(key, NOTHING), rules.get(key, rule), cross)
        for key in keys
    }
    # What has no noise raises no false alarm.
    metrics = sum(found is None and not _noiseless(old[key], new[key]) for key, found in early.items())
    return [early[key] or _judged(key, old[key], new[key], metrics, rules.get(key, rule)) for key in keys]


def confirm(
    first: Judged,
    *,
    candidate: Sequence[Session],
    baseline: Sequence[Session] | None = None,
    looked_at: int,
    rule: Rule | None = None,
) -> Confirmed:
    """Judge a first verdict by new samples: confirmed where these alone raise an alarm in the same direction.

    With `baseline`: position i of both is a pair, run in turns (A B, B A, ...), and `looked_at`, the number of metrics
    looked at again, widens the limit. The pairs know nothing of the first look, so that no more than
    `rule.false_alarms` per check are confirmed on average, whatever raised the first: noise, drift, a busy machine.
    Without: the candidate's new sessions, each sitting counted once, against the first look's baseline. A baseline that
    was fast by chance speaks in both looks then, so that the limit is that of all metrics of the first look; a machine
    that has become slower since is taken for a slower candidate.
    Raises: ResultError for samples that cannot be, pairs that do not match, too few of them, sessions made of
    something else than those of the first look, or, without pairs, an alarm that other work can explain.
    """
    rule = _rule_for(first.metric, rule or Rule())
    where = f"{first.case_id} {first.metric}"
    why = first.why
    if why is None or first.verdict not in (*ALARMS, "cannot tell"):
        raise ResultError(f"{where}: '{first.verdict}' needs no second look; give a verdict that is in doubt")
    if looked_at < 1:
        raise ResultError(f"{where}: looked_at is {looked_at}; it counts this metric too, so that 1 is the least")
    _same_make(where, [*(baseline or ()), *candidate], why.made_of)
    new = _medians(where, "second look's candidate", candidate)
    unseen = (0.0, 0.0)
    if baseline is None:
        if not new:
            raise ResultError(f"{where}: the second look has no sessions; run the candidate again")
        old, new, metrics = why.baseline, _sittings(candidate, new), max(why.metrics, looked_at)
        unseen = (why.unseen, 1 / len(new) if why.unseen else 0.0)
        estimate = from_sessions(_logs(old), _logs(new), sum(unseen))
    else:
        old, metrics = _medians(where, "second look's baseline", baseline), looked_at
        if len(old) != len(new) or len(old) < 2:
            raise ResultError(
                f"{where}: the second look has {len(old)} baseline and {len(new)} candidate sessions; pairs need as"
                " many of both, 2 at least (or leave the baseline out)"
            )
        estimate = from_pairs(_logs(old), _logs(new))
    second = judged(
        (first.device, first.case_id, first.metric), old, new, look(estimate, metrics, rule), rule, metrics=metrics,
        paired=baseline is not None, made_of=why.made_of, unseen=unseen,
    )  # fmt: skip
    if baseline is None and undisturbed(second) is not second:
        # It neither confirms nor withdraws: others were there beside it, not beside the first.
        raise ResultError(f"{where}: {undisturbed(second).reason}")
    if second.verdict in ALARMS and first.verdict in (second.verdict, "cannot tell"):
        return Confirmed(outcome="confirmed", reason=f"second look: {second.reason}", judged=second)
    return Confirmed(outcome="withdrawn", reason=f"second look, {second.verdict}: {second.reason}", judged=second)


def _by_key(series: Sequence[Series], side: str) -> dict[Key, Series]:
    found: dict[Key, Series] = {}
    for one in series:
        key = (one.device, one.case_id, one.metric)
        if key in found:
            raise ResultError(f"{one.case_id} {one.metric}: given twice in the {side}; join its sessions in one series")
        found[key] = one
    return found


def _without_statistics(key: Key, a: Series, b: Series, rule: Rule, cross: Collection[Border]) -> Judged | None:
    """Return the verdict where none can be worked out, or None. Samples that cannot be are refused either way."""
    device, case_id, metric = key
    old, new = _values(a, f"{case_id} {metric}", "baseline"), _values(b, f"{case_id} {metric}", "candidate")
    made_of = _made_of([*a.sessions, *b.sessions])
    found = Judged(
        device=device, case_id=case_id, metric=metric, verdict="learning", reason="", baseline=typical(old),
        candidate=typical(new), estimated=made_of["source"] != ["measured"],
        crossed=[border for border, sides in made_of.items() if len(sides) > 1],
    )  # fmt: skip
    if found.baseline is None and found.candidate is None:
        raise ResultError(f"{case_id} {metric}: no sessions on either side; leave the series out")
    if found.baseline is None:
        return replace(found, verdict="new", reason="the baseline has no session of this case")
    if found.candidate is None:
        return replace(found, verdict="gone", reason="the candidate has no session of this case")
    problem = _apart(a.sessions, b.sessions, cross)
    if problem:
        return replace(found, verdict="not comparable", reason=problem)
    if len(old) >= rule.fewest_sessions or _noiseless(a, b):
        return None
    reason = f"{len(old)} of {rule.fewest_sessions} baseline sessions: how much they spread is not known yet"
    return replace(found, reason=reason, ratio=found.candidate / found.baseline)


def _judged(key: Key, a: Series, b: Series, metrics: int, rule: Rule) -> Judged:
    old, new = _values(a), _values(b)
    rule = _rule_for(key[2], rule)
    noiseless = _noiseless(a, b)
    if noiseless:
        # Every difference is a change of the model, and what it said last is the level.
        old, new = old[-1:], new[-1:]
    # What a machine does from sitting to sitting is not in the spread of one; it is taken to be as much.
    unseen = (1 / a.sittings, 1 / b.sittings) if a.apart and a.sittings < len(old) else (0.0, 0.0)
    found = look(from_sessions(_logs(old), _logs(new), sum(unseen)), metrics, rule)
    first = undisturbed(judged(
        key, old, new, found, rule, metrics=max(metrics, 1), paired=False,
        made_of=_made_of([*a.sessions, *b.sessions]), unseen=unseen,
    ))  # fmt: skip
    return replace(first, second_look=False) if noiseless else first


def _noiseless(a: Series, b: Series) -> bool:
    """Whether both sides are modelled: the same again gives the same."""
    return {session.source for session in (*a.sessions, *b.sessions)} == {"modelled"}


def _rule_for(metric: str, rule: Rule) -> Rule:
    """Return the rule for one metric: a floor in seconds says nothing of bytes."""
    return rule if METRICS[metric].unit == "s" else dataclasses.replace(rule, floor_s=0.0)


def _made_of(sessions: Sequence[Session]) -> dict[Border, list[str]]:
    return {border: sorted({session.side_of(border) for session in sessions}) for border in BORDERS}


def _apart(a: Sequence[Session], b: Sequence[Session], cross: Collection[Border]) -> str | None:
    """Return in words why two sides must not be compared, or None."""
    old, new = _made_of(a), _made_of(b)
    problems = {}
    for border in BORDERS:
        if border in cross or (old[border] == new[border] and len(old[border]) == 1):
            continue
        if old[border] == new[border]:
            found = f"both sides mix {listed(old[border])}"
        else:
            found = f"baseline {listed(old[border])}, candidate {listed(new[border])}"
        problems[border] = f"{border} differs ({(border == 'machine' and _facts_apart(a, b)) or found})"
    if not problems:
        return None
    asked = " ".join(f"--cross {border}" for border in problems)
    return f"{'; '.join(problems.values())}: not compared without {asked}"


def _facts_apart(a: Sequence[Session], b: Sequence[Session]) -> str:
    """Return what differs between two machines, of several those most alike; "" where nobody knows."""
    known = [(dict(old.machine), dict(new.machine)) for old in a for new in b if old.machine and new.machine]
    ways = [found for found in (changes(*pair) for pair in known) if found]
    nearest = min(ways, key=len, default=[])
    return listed(nearest, 4) if nearest else ""


def _same_make(where: str, sessions: Sequence[Session], made_of: dict[Border, list[str]]) -> None:
    """Refuse sessions of a second look that are made of something the first look's were not."""
    for session in sessions:
        for border in BORDERS:
            side = session.side_of(border)
            if side not in made_of[border]:
                raise ResultError(
                    f"{where}: second look's session '{session.label}' has {border} {side}, the first look's had"
                    f" {listed(made_of[border])}; run it again as the first was"
                )


def _medians(where: str, side: str, sessions: Sequence[Session]) -> list[Median]:
    """Return the median of each session on log time: of an even number, it scales and inverts as single samples do.

    Raises: ResultError naming the session and the sample that cannot be.
    """
    found = []
    for session in sessions:
        place = f"{where}: {side} session '{session.label}'"
        if len(session.samples) == 0:
            raise ResultError(f"{place} has no samples; leave it out, or run it again")
        for sample in session.samples:
            if not (math.isfinite(sample) and sample > 0):
                raise ResultError(f"{place}: sample {sample} cannot be; samples are finite and above 0")
        value = math.exp(float(np.median(np.log(session.samples))))
        count = len(session.samples) if session.count is None else session.count
        found.append(Median(session.label, value, count, session.quartiles, session.others))
    return found


def _values(series: Series, where: str = "", side: str = "") -> list[Median]:
    """Return what counts as one value each: the sittings, or the sessions where these count for themselves."""
    medians = _medians(where, side, series.sessions)
    return medians if series.apart else _sittings(series.sessions, medians)


def _sittings(sessions: Sequence[Session], medians: list[Median]) -> list[Median]:
    """Return one value per sitting: the mean on log time of its sessions' medians."""
    found: dict[tuple[str, int], list[Median]] = {}
    for index, (session, one) in enumerate(zip(sessions, medians, strict=True)):
        key = ("", index) if session.sitting is None else (session.sitting, -1)
        found.setdefault(key, []).append(one)
    return [group[0] if len(group) == 1 else _sitting(group) for group in found.values()]


def _sitting(group: list[Median]) -> Median:
    label = listed((one.label for one in group), limit=3)
    return Median(label, typical(group) or 0.0, others=mean_others(group), sessions=group)


def _logs(medians: Sequence[Median]) -> list[float]:
    return [math.log(one.value) for one in medians]
