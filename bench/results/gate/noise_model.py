"""The gate and simpler rules on simulated noise: how often each cries wolf, and how often it sees a real slowdown.

A sample's logarithm is state + process + noise: `noise` differs from sample to sample, `process` from session to
session, and `state` (clock, heat, neighbours) is what two sessions that run in turns have in common. All are normal.
Only what the gate sees is drawn: raw samples, which go through the same functions as measured ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.results.gate.look import Look, Rule, Values, from_pairs, from_sessions, in_doubt, look, student_t

Flags = NDArray[np.bool_]
SEED = 20261121


@dataclass(frozen=True)
class Noise:
    """Standard deviations on log time: 0.01 is about 1 %."""

    name: str
    within: float
    between: float
    # Of the variance between sessions, the share that two sessions in turns have in common.
    common: float = 0.5
    # By how much each session is slower than the one before, whatever the code.
    drift: float = 0.0
    # This share of sessions is slower by so much.
    slow_share: float = 0.0
    slow_by: float = 0.0
    # The candidate's sessions follow each other at once: they share one state, and the gate is told so.
    one_sitting: bool = False


NOISES = (
    Noise("quiet", 0.005, 0.005),
    Noise("typical", 0.01, 0.02),
    Noise("busy", 0.03, 0.08),
    Noise("drifting", 0.01, 0.01, drift=0.0075),
    Noise("two modes", 0.01, 0.01, slow_share=0.25, slow_by=0.06),
    Noise("nothing in common", 0.01, 0.02, common=0.0),
    Noise("one sitting", 0.01, 0.02, one_sitting=True),
)


@dataclass(frozen=True)
class Plan:
    """The size of a simulated check."""

    metrics: int = 200
    baseline: int = 8
    candidate: int = 3
    samples: int = 5
    pairs: int = 12
    # Where a slowdown is injected: in how many of the metrics, and how much.
    slowed: int = 10
    slowdown: float = 0.05


@dataclass
class Rates:
    """What came of many checks. Alarms are per check, of all metrics; shares are of the metrics that were slowed."""

    noise: str
    # rule -> (false alarms per check with nothing changed, share of the slowed that it alarms)
    rules: dict[str, tuple[float, float]] = field(default_factory=dict)
    # Of the slowed, by the gate with its second look: told from nothing changed wrongly, and left open.
    slowed_same: float = 0.0
    slowed_open: float = 0.0
    # Metrics looked at again per check with nothing changed.
    second_looks: float = 0.0


def simulate(noise: Noise, checks: int, plan: Plan | None = None, rule: Rule | None = None, seed: int = SEED) -> Rates:
    """Return the rates over `checks` checks with nothing changed, and a quarter as many with slowdowns injected."""
    plan, rule = plan or Plan(), rule or Rule()
    rng = np.random.default_rng(seed)
    quiet = [_check(noise, plan, rule, rng, slowed=0) for _ in range(checks)]
    slowed = [_check(noise, plan, rule, rng, slowed=plan.slowed) for _ in range(max(checks // 4, 1))]
    rates = Rates(noise.name)
    for name in quiet[0].alarms:
        false = float(np.mean([one.alarms[name].sum() for one in quiet]))
        seen = float(np.mean([one.alarms[name][: plan.slowed].mean() for one in slowed]))
        rates.rules[name] = (false, seen)
    rates.slowed_same = float(np.mean([one.same[: plan.slowed].mean() for one in slowed]))
    rates.slowed_open = float(np.mean([one.left_open[: plan.slowed].mean() for one in slowed]))
    rates.second_looks = float(np.mean([one.looked_at for one in quiet]))
    return rates


@dataclass
class _Outcome:
    alarms: dict[str, Flags]
    same: Flags
    left_open: Flags
    looked_at: int


FIRST_LOOK = "the gate, first look"
CONFIRMED = "the gate, confirmed in pairs"
ALONE = "the gate, confirmed by the candidate alone"


def _check(noise: Noise, plan: Plan, rule: Rule, rng: np.random.Generator, slowed: int) -> _Outcome:
    """Run one check of all metrics; the first `slowed` of them are slower."""
    shift = np.zeros(plan.metrics)
    shift[:slowed] = math.log1p(plan.slowdown)
    shape = (plan.metrics, plan.baseline + plan.candidate)
    state = rng.normal(0, noise.between * math.sqrt(noise.common), shape)
    age = np.arange(shape[1], dtype=np.float64)
    if noise.one_sitting:
        state[:, plan.baseline :] = state[:, plan.baseline, None]
        age[plan.baseline :] = plan.baseline
    logs = _samples(noise, state + noise.drift * age, plan.samples, rng)
    logs[:, plan.baseline :] += shift[:, None, None]
    old, new = logs[:, : plan.baseline], logs[:, plan.baseline :]
    alarms = {name: naive(old, new) for name, naive in NAIVE.items()}
    medians, candidate = np.median(old, axis=-1), np.median(new, axis=-1)
    if noise.one_sitting:
        candidate = candidate.mean(axis=-1, keepdims=True)
    first = look(from_sessions(medians, candidate), plan.metrics, rule)
    doubt = in_doubt(first)
    alarms[FIRST_LOOK] = first.verdict == "regressed"
    verdict = first.verdict.copy()
    chosen = np.flatnonzero(doubt)
    alone = np.zeros(plan.metrics, dtype=np.bool_)
    if len(chosen):
        verdict[chosen] = _in_pairs(noise, plan, rule, rng, shift[chosen]).verdict
        again = _again(noise, plan, rng, shift[chosen])
        alone[chosen] = look(from_sessions(medians[chosen], again), plan.metrics, rule).verdict == "regressed"
    alarms[CONFIRMED], alarms[ALONE] = verdict == "regressed", alone
    return _Outcome(alarms, verdict == "same", verdict == "cannot tell", len(chosen))


def _in_pairs(noise: Noise, plan: Plan, rule: Rule, rng: np.random.Generator, shift: Values) -> Look:
    state = rng.normal(0, noise.between * math.sqrt(noise.common), (len(shift), plan.pairs))
    old = np.median(_samples(noise, state, plan.samples, rng), axis=-1)
    new = np.median(_samples(noise, state, plan.samples, rng), axis=-1) + shift[:, None]
    return look(from_pairs(old, new), len(shift), rule)


def _again(noise: Noise, plan: Plan, rng: np.random.Generator, shift: Values) -> Values:
    """Return one value per metric: as many new sessions of the candidate as there are pairs, in one sitting."""
    state = rng.normal(0, noise.between * math.sqrt(noise.common), (len(shift), 1))
    late = noise.drift * (plan.baseline + plan.candidate)
    logs = _samples(noise, state + late + np.zeros(plan.pairs), plan.samples, rng) + shift[:, None, None]
    values: Values = np.median(logs, axis=-1).mean(axis=-1, keepdims=True)
    return values


def _samples(noise: Noise, state: Values, samples: int, rng: np.random.Generator) -> Values:
    """Return log samples (..., sessions, samples) of sessions with the given states (..., sessions)."""
    process = rng.normal(0, noise.between * math.sqrt(1 - noise.common), state.shape)
    if noise.slow_share:
        process = process + noise.slow_by * (rng.random(state.shape) < noise.slow_share)
    logs: Values = (state + process)[..., None] + rng.normal(0, noise.within, (*state.shape, samples))
    return logs


def alarms_after_accepting(noise: Noise, checks: int, plan: Plan | None = None, seed: int = SEED) -> dict[str, float]:
    """Return whose ratio moved the level -> share of accepted slowdowns of which the next check confirms one more.

    In every check the slowdowns that pairs confirm are accepted. The next check is of new sessions of the same code,
    and its pairs of the same two commits: nothing has changed since. Noises that drift or sit are not drawn here.
    """
    plan, rule = plan or Plan(), Rule()
    rng = np.random.default_rng(seed)
    alarms: dict[str, list[Flags]] = {"first look": [], "pairs": []}
    shift = np.zeros(plan.metrics)
    shift[: plan.slowed] = math.log1p(plan.slowdown)
    for _ in range(checks):
        old = _medians(noise, plan, plan.baseline, rng)
        found = look(
            from_sessions(old, _medians(noise, plan, plan.candidate, rng) + shift[:, None]), plan.metrics, rule
        )
        chosen = np.flatnonzero(in_doubt(found))
        if not len(chosen):
            continue
        pairs = _in_pairs(noise, plan, rule, rng, shift[chosen])
        told = (pairs.verdict == "regressed") & (chosen < plan.slowed)
        taken, later = chosen[told], _medians(noise, plan, plan.candidate, rng) + shift[:, None]
        for name, ratio in (("first look", found.estimate.change[taken]), ("pairs", pairs.estimate.change[told])):
            level = np.zeros(plan.metrics)
            level[taken] = ratio
            again = np.flatnonzero(in_doubt(look(from_sessions(old + level[:, None], later), plan.metrics, rule)))
            alarm = np.zeros(plan.metrics, dtype=np.bool_)
            if len(again):
                alarm[again] = _in_pairs(noise, plan, rule, rng, (shift - level)[again]).verdict == "regressed"
            alarms[name].append(alarm[taken])
    return {name: float(np.concatenate(every).mean()) for name, every in alarms.items()}


def _medians(noise: Noise, plan: Plan, sessions: int, rng: np.random.Generator) -> Values:
    """Return log medians (metrics, sessions) of sessions of sittings of their own."""
    state = rng.normal(0, noise.between * math.sqrt(noise.common), (plan.metrics, sessions))
    medians: Values = np.median(_samples(noise, state, plan.samples, rng), axis=-1)
    return medians


# The rules below are used on one run against the run before it, as most are, or on all samples as if of one session.


def _mean_over(old: Values, new: Values) -> Flags:
    return np.asarray(np.exp(new[:, 0]).mean(-1) > 1.05 * np.exp(old[:, -1]).mean(-1))


def _median_over(old: Values, new: Values) -> Flags:
    return np.asarray(np.median(new[:, 0], axis=-1) - np.median(old[:, -1], axis=-1) > math.log(1.05))


def _within_run_interval(old: Values, new: Values) -> Flags:
    """Whether the 95 % interval of the difference of two runs' means, from their samples, lies above 0."""
    a, b = old[:, -1], new[:, 0]
    n = a.shape[-1]
    error = np.sqrt((a.var(-1, ddof=1) + b.var(-1, ddof=1)) / n)
    return np.asarray(b.mean(-1) - a.mean(-1) > student_t(0.025, 2 * n - 2) * error)


def _rank_sum(old: Values, new: Values) -> Flags:
    return mann_whitney(old[:, -1], new[:, 0])


def _median_over_all(old: Values, new: Values) -> Flags:
    return np.asarray(np.median(_pooled(new), axis=-1) - np.median(_pooled(old), axis=-1) > math.log(1.05))


def _rank_sum_all(old: Values, new: Values) -> Flags:
    return mann_whitney(_pooled(old), _pooled(new))


def _pooled(logs: Values) -> Values:
    return logs.reshape(len(logs), -1)


def mann_whitney(a: Values, b: Values) -> Flags:
    """Whether b is larger than a at 5 % two-sided, per row, by the normal approximation with continuity correction.

    Source: Mann and Whitney, Annals of Mathematical Statistics 18, 1947. No ties: samples are continuous.
    """
    n, m = a.shape[-1], b.shape[-1]
    larger = (b[:, :, None] > a[:, None, :]).sum((1, 2))
    z = (larger - n * m / 2 - 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
    return np.asarray(z > 1.959964)


NAIVE: dict[str, Callable[[Values, Values], Flags]] = {
    "mean + 5 %, run against run": _mean_over,
    "median + 5 %, run against run": _median_over,
    "Mann-Whitney at 5 %, run against run": _rank_sum,
    "within-run 95 % interval": _within_run_interval,
    "median + 5 %, all sessions pooled": _median_over_all,
    "Mann-Whitney at 5 %, all sessions pooled": _rank_sum_all,
}


def coverage(trials: int, plan: Plan | None = None, resamples: int = 400, seed: int = SEED) -> tuple[float, float]:
    """Return how often a 95 % interval holds the true change: from a hierarchical bootstrap, and from Student's t.

    The bootstrap resamples sessions, then samples within, and takes the 2.5 and 97.5 % points of the difference of mean
    log medians; after Kalibera and Jones, ISMM 2013.
    """
    plan = plan or Plan()
    rng = np.random.default_rng(seed)
    noise = NOISES[1]
    held = np.zeros(2)
    for _ in range(trials):
        sessions = np.zeros(plan.baseline + plan.candidate)
        state = rng.normal(0, noise.between * math.sqrt(noise.common), sessions.shape)
        logs = _samples(noise, state, plan.samples, rng)
        old, new = logs[: plan.baseline], logs[plan.baseline :]
        change = _resampled(new, resamples, rng) - _resampled(old, resamples, rng)
        low, high = np.quantile(change, [0.025, 0.975])
        found = look(from_sessions(np.median(old, -1), np.median(new, -1)), 1, Rule())
        held += [low <= 0 <= high, found.low <= 0 <= found.high]
    return float(held[0] / trials), float(held[1] / trials)


def _resampled(logs: Values, resamples: int, rng: np.random.Generator) -> Values:
    sessions, samples = logs.shape
    chosen = rng.integers(0, sessions, (resamples, sessions))
    within = rng.integers(0, samples, (resamples, sessions, samples))
    means: Values = np.median(logs[chosen[..., None], within], axis=-1).mean(-1)
    return means
