"""One look at a change: how much slower, how sure, and what it could have seen; for one metric or for arrays of them.

The unit is the session: one value each, the median of the logarithms of its samples. Samples of one session share the
state of their process and machine, so that their number says nothing about the next session (Georges, Buytaert and
Eeckhout, OOPSLA 2007; Kalibera and Jones, ISMM 2013). Changes are differences of logarithms: +0.0488 is 5 % slower.

Why a t interval and no bootstrap: an alarm of one metric among 200 is judged at a tail of 0.05 / 200. A resampled mean
of eight sessions does not reach that far, one candidate session cannot be resampled at all, and already at 95 % such
intervals are too narrow (`coverage` in `noise_model` counts it). The t interval is exact for log-normal sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

# Further out, 1 - A(t) has too few digits left for the quantile to be right to 1e-6.
SMALLEST_TAIL = 1e-10


@dataclass(frozen=True)
class Rule:
    """What counts as a change, and how many false alarms are accepted. Shares are of the baseline: 0.05 is 5 %."""

    # A slowdown of this much must not pass as "same".
    budget: float = 0.05
    # Smaller changes are no news, however sure.
    floor: float = 0.01
    # The same in seconds, for short kernels: the resolution of an event timer ("around 0.5 microseconds",
    # cudaEventElapsedTime in the CUDA runtime's manual).
    floor_s: float = 0.5e-6
    # Of the two-sided interval of one metric.
    confidence: float = 0.95
    # False alarms per check, all metrics together.
    false_alarms: float = 0.05
    # "detects": the slowdown that raises an alarm with this probability.
    power: float = 0.95
    # With fewer the spread is not known well enough: "learning".
    fewest_sessions: int = 5

    def __post_init__(self) -> None:
        for name in ("confidence", "power"):
            if not 0.5 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0.5 and 1")
        for name in ("budget", "floor", "floor_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 < self.false_alarms < 1:
            raise ValueError(f"false_alarms is {self.false_alarms}; it must lie between 0 and 1")
        if self.fewest_sessions < 2:
            raise ValueError(f"fewest_sessions is {self.fewest_sessions}; one session has no spread, 2 is the least")


def student_t(tail: float, degrees: int) -> float:
    """Return the t that a Student variable exceeds with probability `tail` (one-sided, 0 < tail <= 0.5).

    Solved for by halving the angle atan(t / sqrt(degrees)), in which the distribution is a finite series.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    Raises: ValueError for a tail outside 1e-10 .. 0.5 or fewer than one degree of freedom.
    """
    if not SMALLEST_TAIL <= tail <= 0.5 or degrees < 1:
        raise ValueError(f"no t for tail {tail} and {degrees} degrees of freedom")
    return _student_t(tail, degrees)


@cache
def _student_t(tail: float, degrees: int) -> float:
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        if _tail_beyond(middle, degrees) > tail:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _tail_beyond(angle: float, degrees: int) -> float:
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2 == 1
    term = cosine if odd else 1.0
    total = 0.0
    # Terms cos^1, cos^3 ... for odd, cos^0, cos^2 ... for even degrees, up to cos^(degrees - 2).
    for power in range(int(odd), degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 - inside) / 2


@dataclass(frozen=True)
class Estimate:
    """A change on log time with its error, per metric.

    change: log of candidate over baseline. spread: standard deviation of one session (of one pair, where paired).
    factor: the change's standard error in units of `spread`. base_s: the smaller of the two typical times, seconds.
    """

    change: Values
    spread: Values
    factor: float
    degrees: int
    base_s: Values

    @property
    def error(self) -> Values:
        return self.spread * self.factor


def from_sessions(baseline: ArrayLike, candidate: ArrayLike, unseen: float = 0.0) -> Estimate:
    """Estimate a change from log session medians, shapes (..., B) and (..., C).

    Both sides are taken to have one spread, pooled from both: a candidate's one or three sessions alone could not tell
    theirs. The error of the difference of means is spread * sqrt(1/B + 1/C + unseen), B + C - 2 degrees of freedom.
    unseen: variance of the difference that the sessions do not show, in units of their own.
    One value of each side has a spread of 0: to be asked so only of values without noise.
    """
    a, b = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    n, m = a.shape[-1], b.shape[-1]
    # Centred on an element, so that equal sessions have a spread of exactly 0.
    squares = _squares(a) + _squares(b)
    mean_a, mean_b = _mean(a), _mean(b)
    degrees = max(n + m - 2, 1)
    return Estimate(
        change=mean_b - mean_a, spread=np.sqrt(squares / degrees), factor=math.sqrt(1 / n + 1 / m + unseen),
        degrees=degrees, base_s=np.exp(np.minimum(mean_a, mean_b)),
    )  # fmt: skip


def from_pairs(baseline: ArrayLike, candidate: ArrayLike) -> Estimate:
    """Estimate a change from log medians of interleaved sessions, both (..., P), P >= 2: position i of both is a pair.

    What the two of a pair have in common (clock, heat, neighbours) cancels in their difference.
    """
    a, b = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    difference = b - a
    pairs = difference.shape[-1]
    return Estimate(
        change=_mean(difference), spread=np.sqrt(_squares(difference) / (pairs - 1)), factor=1 / math.sqrt(pairs),
        degrees=pairs - 1, base_s=np.exp(np.minimum(_mean(a), _mean(b))),
    )  # fmt: skip


def _mean(values: Values) -> Values:
    first = values[..., :1]
    mean: Values = first[..., 0] + np.mean(values - first, axis=-1)
    return mean


def _squares(values: Values) -> Values:
    total: Values = np.sum((values - _mean(values)[..., None]) ** 2, axis=-1)
    return total


@dataclass(frozen=True)
class Look:
    """What one look says, per metric; on log time, but for k and the quantiles t."""

    estimate: Estimate
    t_interval: float
    t_alarm: float
    t_power: float
    k: float
    # Changes within are no news: the floor, or the floor in seconds where that is more.
    zone: Values
    # The rule's, or the zone where that is more.
    budget: Values
    limit: Values
    low: Values
    high: Values
    detects: Values
    verdict: NDArray[Any]


def look(estimate: Estimate, metrics: int, rule: Rule) -> Look:
    """Judge estimates, one metric among `metrics` that are judged together.

    limit   = max(zone, k * spread), k = t(1 - false_alarms / metrics) * factor   (Bonferroni: holds however the
              metrics hang together; the expected number of false alarms of all of them is at most `false_alarms`)
    detects = max(zone + t(interval) * error, limit) + t(power) * error
    regressed   the change is beyond the limit and the whole interval beyond the zone; improved: its mirror image
    same        the interval lies within the budget on both sides (two one-sided tests: Schuirmann 1987)
    cannot tell anything else: a change of the budget is neither seen nor excluded
    """
    t_alarm = student_t(max(rule.false_alarms / max(metrics, 1), SMALLEST_TAIL), estimate.degrees)
    t_interval = student_t((1 - rule.confidence) / 2, estimate.degrees)
    t_power = student_t(1 - rule.power, estimate.degrees)
    zone = np.maximum(math.log1p(rule.floor), np.log1p(rule.floor_s / estimate.base_s))
    # What is within the floor is never news, be it more than the budget of a very short kernel.
    budget = np.maximum(math.log1p(rule.budget), zone)
    k = t_alarm * estimate.factor
    limit = np.maximum(zone, k * estimate.spread)
    low, high = estimate.change - t_interval * estimate.error, estimate.change + t_interval * estimate.error
    slower = (estimate.change > limit) & (low > zone)
    faster = (estimate.change < -limit) & (high < -zone)
    same = (low > -budget) & (high < budget)
    return Look(
        estimate=estimate, t_interval=t_interval, t_alarm=t_alarm, t_power=t_power, k=k,
        zone=zone, budget=budget, limit=limit, low=low, high=high,
        detects=np.maximum(zone + t_interval * estimate.error, limit) + t_power * estimate.error,
        verdict=np.select([slower, faster, same], ["regressed", "improved", "same"], "cannot tell"),
    )  # fmt: skip


def in_doubt(found: Look) -> NDArray[np.bool_]:
    """Return where a slowdown deserves a second look: an alarm, or a slowdown of the budget is not excluded."""
    reaches = found.high >= found.budget
    doubt: NDArray[np.bool_] = (found.verdict == "regressed") | ((found.verdict == "cannot tell") & reaches)
    return doubt


def pairs_needed(spread: float, looked_at: int, rule: Rule, most: int = 40) -> int | None:
    """Return the fewest interleaved pairs that detect the budget, or None where more than `most` would be needed.

    spread: standard deviation of one session on log time. A pair's difference spreads by sqrt(2) as much at worst,
    where the two have nothing in common that cancels.
    """
    for pairs in range(4, most + 1, 2):
        estimate = Estimate(
            np.zeros(()), np.asarray(spread * math.sqrt(2)), 1 / math.sqrt(pairs), pairs - 1, np.asarray(math.inf)
        )
        if look(estimate, looked_at, rule).detects <= math.log1p(rule.budget):
            return pairs
    return None
