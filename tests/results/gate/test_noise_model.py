"""The simulation behind docs/gate.md: its noise is what it says, its rules are those of the books, its seed decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.results.gate.noise_model import (
    CONFIRMED,
    NAIVE,
    NOISES,
    Noise,
    Plan,
    _samples,
    alarms_after_accepting,
    mann_whitney,
    simulate,
)

SMALL = Plan(metrics=20, slowed=4)


def test_the_noise_has_the_spread_it_claims():
    noise = Noise("test", within=0.01, between=0.02, common=0.5)
    rng = np.random.default_rng(1)
    state = rng.normal(0, 0.02 * math.sqrt(0.5), (20_000, 1))
    logs = _samples(noise, state, 5, rng)
    assert logs.shape == (20_000, 1, 5)
    assert logs.std(axis=-1, ddof=1).mean() == pytest.approx(0.94 * 0.01, rel=0.02)  # c4 of five samples
    assert logs[..., 0].std() == pytest.approx(math.hypot(0.01, 0.02), rel=0.02)


def test_one_seed_gives_one_result():
    assert simulate(NOISES[1], 5, SMALL) == simulate(NOISES[1], 5, SMALL)
    assert simulate(NOISES[1], 5, SMALL) != simulate(NOISES[1], 5, SMALL, seed=2)


def test_without_noise_every_rule_sees_a_large_slowdown_and_nothing_else():
    still = Noise("still", within=1e-9, between=1e-9)
    found = simulate(still, 4, Plan(metrics=20, slowed=4, slowdown=0.2))
    for name in NAIVE:
        assert found.rules[name][1] == 1.0
    assert found.rules[CONFIRMED] == (0.0, 1.0)
    assert found.slowed_same == 0.0


def test_without_noise_an_accepted_slowdown_is_none_again_by_either_look():
    still = Noise("still", within=1e-9, between=1e-9)
    assert alarms_after_accepting(still, 3, SMALL) == {"first look": 0.0, "pairs": 0.0}


def test_mann_whitney_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, (60, 40)), rng.normal(0.5, 1, (60, 15))
    expected = [
        stats.mannwhitneyu(y, x, alternative="greater", method="asymptotic").pvalue < 0.025
        for x, y in zip(a, b, strict=True)
    ]
    assert mann_whitney(a, b).tolist() == expected
    assert 0 < sum(expected) < 60


def test_the_noises_are_told_apart_by_name():
    assert len({noise.name for noise in NOISES}) == len(NOISES)
