"""What the gate says of one metric of one case, with every number it rests on; the words and the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, SupportsFloat, get_args

import msgspec

from bench.results.gate.look import Look, Rule, in_doubt
from bench.results.metrics import METRICS
from bench.results.record import Source
from bench.units import percent, signed

Verdict = Literal["regressed", "improved", "same", "cannot tell", "new", "gone", "not comparable", "learning"]
# What two sides must agree in; a person may ask to cross each by name.
Border = Literal["source", "machine", "definition", "precision"]
BORDERS: tuple[Border, ...] = get_args(Border)
StepUnit = Literal["1", "log", "share"]


# More cores than this, taken by others beside one side only, can explain a slowdown.
DISTURBED_CORES = 0.25
# On log time: no two of our times are further apart (0.5 us and 8 minutes), but an interval of two pairs may reach
# so far that its exponential is no number.
FURTHEST = math.log(1e9)
# A look that does not see a doubling is said to see nothing: how much more it would take helps nobody.
DOUBLING = 1.0


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of one metric of one case in one session (one pass of the benchmark), with what they were made of.

    sitting: sessions that followed each other at once share the machine's state of that hour and have one name here;
    they count as one session, of their mean. None: a sitting of its own. count, quartiles: of the samples that
    `samples` stands for, where it is their median alone. others: cores that others took of the CPU meanwhile. machine:
    the facts behind the fingerprint, where they are known.
    """

    label: str
    sitting: str | None = None
    samples: Sequence[float]
    count: int | None = None
    quartiles: tuple[float, float] | None = None
    others: float | None = None
    source: Source
    fingerprint: str
    machine: Mapping[str, str] = {}
    definition_hash: str
    dtype: str

    def side_of(self, border: Border) -> str:
        """Return what this session is on one of the borders."""
        return {
            "source": self.source, "machine": self.fingerprint, "definition": self.definition_hash,
            "precision": self.dtype,
        }[border]  # fmt: skip


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions of one metric of one case on one device, on one side; lower is better.

    apart: each session counts for itself, although some share a sitting.
    """

    device: str = ""
    case_id: str
    metric: str
    sessions: Sequence[Session]
    apart: bool = False

    @property
    def sittings(self) -> int:
        """In how many sittings the sessions were made; one without a name is of its own."""
        named = {session.sitting for session in self.sessions if session.sitting is not None}
        return len(named) + sum(session.sitting is None for session in self.sessions)


class Median(msgspec.Struct, frozen=True):
    """The median of one session's samples, on a log scale, in the metric's unit; of a sitting, its sessions' mean.

    count, quartiles: of the samples behind it, where they are known. others: cores that others took meanwhile.
    sessions: of a sitting of several, the medians whose mean it is.
    """

    label: str
    value: float
    count: int | None = None
    quartiles: tuple[float, float] | None = None
    others: float | None = None
    sessions: list[Median] = []


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the arithmetic: a quantity, how it follows from those before, and its value.

    unit: "1" (a number), "log" (a difference of logarithms) or "share" (0.05 is 5 %).
    """

    name: str
    formula: str
    value: float
    unit: StepUnit


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """All that a verdict rests on. `paired`: medians at one position of both sides belong together.

    spread: standard deviation of one session (of one pair's difference, where paired) on log time. k: what the spread
    is multiplied by for the limit. unseen: variance between sittings that the baseline's sessions do not show, taken
    to be as large as theirs: 1 / its sittings, where these are fewer than its values. made_of: what the sessions of
    both sides are on every border.
    """

    baseline: list[Median]
    candidate: list[Median]
    paired: bool
    metrics: int
    degrees: int
    spread: float
    k: float
    made_of: dict[Border, list[str]]
    steps: list[Step]
    unseen: float = 0.0


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one metric of one case. A number that does not exist is null.

    ratio: candidate over baseline, above 1 is slower; interval: its two-sided 95 % interval. limit: the slowdown that
    an alarm needs; detects: the one that raises it in 95 of 100 looks, null where that is more than a doubling; both as
    shares (0.042: 4.2 %). second_look: an alarm, or a slowdown of the budget that is not excluded. estimated: a number
    behind it was not measured, and whoever prints the verdict has to say so. crossed: the borders between its sessions.
    """

    device: str = ""
    case_id: str
    metric: str
    verdict: Verdict
    reason: str
    second_look: bool = False
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    limit: float | None = None
    detects: float | None = None
    baseline: float | None = None
    candidate: float | None = None
    estimated: bool = False
    crossed: list[Border] = []
    why: Why | None = None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """What a second look makes of a first verdict. `judged` is the second look's own, from its own samples alone."""

    outcome: Literal["confirmed", "withdrawn"]
    reason: str
    judged: Judged


def typical(medians: Sequence[Median]) -> float | None:
    """Return the geometric mean of session medians, in their unit."""
    if not medians:
        return None
    return math.exp(math.fsum(math.log(one.value) for one in medians) / len(medians))


def mean_others(medians: Sequence[Median]) -> float | None:
    """Return how many cores others took on average, or None where it is not known of most."""
    told = [one.others for one in medians if one.others is not None]
    return math.fsum(told) / len(told) if 2 * len(told) > len(medians) else None


def undisturbed(one: Judged) -> Judged:
    """Return a verdict from sessions that were not interleaved; an alarm that other work can explain is none.

    Where others took more of the CPU beside the slower side, the machine may have made it slow. Pairs need no such
    care: other work falls on both of a pair.
    """
    if one.why is None or one.verdict not in ("regressed", "improved") or METRICS[one.metric].unit == "B":
        return one
    old, new = mean_others(one.why.baseline), mean_others(one.why.candidate)
    slower, other = (new, old) if one.verdict == "regressed" else (old, new)
    if slower is None or slower - (other or 0.0) <= DISTURBED_CORES:
        return one
    known = ["a number of cores that is not known" if each is None else f"{each:.1f} cores" for each in (new, old)]
    sides = f"others took {known[0]} beside the candidate and {known[1]} beside the baseline"
    return msgspec.structs.replace(
        one, verdict="cannot tell", reason=f"{one.reason}; but {sides}: measure again on a quiet machine"
    )


def judged(
    key: tuple[str, str, str], baseline: list[Median], candidate: list[Median], found: Look, rule: Rule, *,
    metrics: int, paired: bool, made_of: dict[Border, list[str]], unseen: tuple[float, float] = (0.0, 0.0),
) -> Judged:  # fmt: skip
    """Put one look into words and shares; `metrics` is the number of them the limit was widened for.

    unseen: variance that the sessions of each side do not show, see `Why`.
    """
    estimated = made_of["source"] != ["measured"]
    ratio, interval = _exp(found.estimate.change), (_exp(found.low), _exp(found.high))
    limit, detects = _share(found.limit), _share(found.detects)
    verdict = _verdict(found)
    budget = percent(_share(found.budget))
    end = {
        "regressed": f"beyond the limit of {signed(limit)}",
        "improved": f"beyond the limit of {signed(_share(-found.limit))}",
        "same": f"a slowdown of {budget} is excluded",
    }.get(verdict, f"{budget} is neither seen nor excluded, this look {_seen(detects)}")
    device, case_id, metric = key
    what = {"s": "time", "B": "memory", "J/token": "energy"}.get(METRICS[metric].unit, metric)
    reason = f"{what} {signed(ratio - 1)}, interval {signed(interval[0] - 1)} to {signed(interval[1] - 1)}"
    return Judged(
        device=device, case_id=case_id, metric=metric, verdict=verdict, second_look=bool(in_doubt(found)),
        reason=f"{'estimated: ' if estimated else ''}{reason}: {end}",
        ratio=ratio, interval=interval, limit=limit, detects=detects if detects <= DOUBLING else None,
        baseline=typical(baseline), candidate=typical(candidate), estimated=estimated,
        crossed=[border for border, sides in made_of.items() if len(sides) > 1],
        why=Why(
            baseline=baseline, candidate=candidate, paired=paired, metrics=metrics, degrees=found.estimate.degrees,
            spread=float(found.estimate.spread), k=found.k, made_of=made_of,
            steps=_steps(found, rule, metrics, len(baseline), len(candidate), paired=paired, unseen=sum(unseen)),
            unseen=unseen[0],
        ),
    )  # fmt: skip


def _seen(detects: float) -> str:
    return f"detects {percent(detects)} or more" if detects <= DOUBLING else "cannot detect even a doubling"


def _exp(log: SupportsFloat) -> float:
    return math.exp(min(float(log), FURTHEST))


def _share(log: SupportsFloat) -> float:
    return math.expm1(min(float(log), FURTHEST))


def _verdict(found: Look) -> Verdict:
    known: tuple[Verdict, ...] = ("regressed", "improved", "same")
    return next((verdict for verdict in known if found.verdict == verdict), "cannot tell")


def _steps(
    found: Look, rule: Rule, metrics: int, old: int, new: int, *, paired: bool, unseen: float
) -> list[Step]:  # fmt: skip
    """Return the arithmetic in the order in which it can be followed by hand."""
    estimate = found.estimate
    degrees = estimate.degrees
    factor = f"sqrt(1/{old})" if paired else f"sqrt(1/{old} + 1/{new}{f' + {unseen:.3g}' if unseen else ''})"
    if paired:
        change, spread = "mean log(candidate / baseline) of the pairs", "standard deviation over the pairs"
    else:
        change = "mean log(candidate) - mean log(baseline)"
        spread = "standard deviation of log medians within the sides, pooled"
    floors = f"log(1 + {rule.floor:g})"
    if rule.floor_s:
        floors += f", log(1 + {rule.floor_s:g} s / {estimate.base_s:.6g} s)"
    lines: list[tuple[str, str, float, StepUnit]] = [
        ("change", change, float(estimate.change), "log"),
        ("spread", spread, float(estimate.spread), "log"),
        ("error", f"spread * {factor}", float(estimate.error), "log"),
        ("t interval", f"Student's t, {rule.confidence:g} two-sided, {degrees}", found.t_interval, "1"),
        ("low", "change - t interval * error", float(found.low), "log"),
        ("high", "change + t interval * error", float(found.high), "log"),
        ("zone", f"max({floors})", float(found.zone), "log"),
        ("t alarm", f"Student's t, {rule.false_alarms:g} / {metrics} one-sided, {degrees}", found.t_alarm, "1"),
        ("k", f"t alarm * {factor}", found.k, "1"),
        ("limit", "max(zone, k * spread)", float(found.limit), "log"),
        ("t power", f"Student's t, {1 - rule.power:.3g} one-sided, {degrees}", found.t_power, "1"),
        ("detects", "max(zone + t interval * error, limit) + t power * error", float(found.detects), "log"),
        ("ratio", "exp(change)", _exp(estimate.change), "1"),
        ("limit as share", "exp(limit) - 1", _share(found.limit), "share"),
        ("detects as share", "exp(detects) - 1", _share(found.detects), "share"),
    ]
    return [Step(name=name, formula=formula, value=value, unit=unit) for name, formula, value, unit in lines]
