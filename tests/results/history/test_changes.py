"""Change points: the statistic against its definition, what is found, and what is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.results.history.changes import FEWEST, splits, strengths, strongest


def noisy(levels, noise, seed=1):
    """Times around the levels, log-normal."""
    return list(np.asarray(levels) * np.exp(np.random.default_rng(seed).normal(0, noise, len(levels))))


def test_strength_is_the_energy_distance_of_two_halves_worked_out_by_hand():
    # Three at 0, three at 1: mean|x-y| is 1, within the sides 0; 3 * 3 / 6 * 2 * 1 = 3.
    q = strengths(np.array([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]))[0]
    assert q[2, 5] == pytest.approx(3.0)
    assert np.count_nonzero(q) == 1


def test_strength_of_every_split_is_that_of_the_definition_summed_pair_by_pair():
    values = np.random.default_rng(3).normal(size=12)
    q = strengths(values[None])[0]

    def mean_distance(pairs):
        distances = [abs(x - y) ** 0.5 for x, y in pairs]
        return sum(distances) / len(distances)

    for t, k in itertools.combinations(range(1, 13), 2):
        x, y = values[:t], values[t:k]
        a, b = len(x), len(y)
        expected = 0.0
        if a >= FEWEST and b >= FEWEST:
            apart = 2 * mean_distance(itertools.product(x, y))
            within = mean_distance(itertools.combinations(x, 2)) + mean_distance(itertools.combinations(y, 2))
            expected = a * b / (a + b) * (apart - within)
        assert q[t - 1, k - 1] == pytest.approx(expected, abs=1e-12)


def test_a_step_is_found_where_it_is_with_its_size_and_interval():
    (split,) = splits(noisy([2.0] * 20 + [2.1] * 15, 0.005))
    assert split.at == 20
    assert split.share == pytest.approx(0.05, abs=0.005)
    assert split.interval[0] < 0.05 < split.interval[1]
    assert (split.before, split.after) == (pytest.approx(2.0, rel=0.005), pytest.approx(2.1, rel=0.005))


def test_a_spell_that_is_over_is_two_changes():
    found = splits(noisy([1.0] * 20 + [1.06] * 8 + [1.0] * 20, 0.005))
    assert [split.at for split in found] == [20, 28]
    assert found[0].share > 0.05
    assert found[1].share < -0.05


def test_steps_up_a_stair_are_all_found_in_order_of_time():
    found = splits(noisy([1.0] * 12 + [1.1] * 12 + [1.3] * 12, 0.01))
    assert [split.at for split in found] == [12, 24]


def test_the_scale_of_the_values_does_not_matter():
    values = noisy([1.0] * 15 + [1.05] * 15, 0.01)
    small, large = splits([value * 1e-6 for value in values]), splits([value * 1e6 for value in values])
    assert [split.at for split in small] == [split.at for split in large] == [split.at for split in splits(values)]
    assert small[0].share == pytest.approx(large[0].share)


def test_five_clear_runs_are_enough_to_be_seen():
    (split,) = splits(noisy([1.0] * 25 + [1.05] * 5, 0.005))
    assert split.at == 25


def test_changes_within_the_floor_are_no_news_however_sure():
    values = noisy([1.0] * 30 + [1.008] * 30, 0.0002)
    assert strongest(np.log(values)) is None
    # With an outlier the series spans more than the floor, and the split is found but not kept.
    values[3] = 1.05
    assert strongest(np.log(values)) is not None
    assert splits(values) == []


def test_small_steps_that_add_up_are_one_change():
    # Four steps of 0.9 %: each within the floor, 3.6 % together.
    (split,) = splits(noisy([1 + 0.009 * (run // 15) for run in range(75)], 0.001))
    assert 0.01 < split.share < 0.036


@pytest.mark.parametrize("count", range(6))
def test_too_few_values_have_no_change(count):
    assert splits([1.0, 9.0, 1.0, 9.0, 9.0][:count]) == []


def test_identical_values_have_no_change():
    assert splits([0.25] * 40) == []


def test_two_constant_levels_are_one_change_without_any_spread():
    (split,) = splits([1.0] * 10 + [1.5] * 10)
    assert (split.at, split.before, split.after) == (10, 1.0, pytest.approx(1.5))
    assert split.share == pytest.approx(0.5)
    assert split.interval == (pytest.approx(0.5), pytest.approx(0.5))


def test_one_outlier_is_no_change():
    values = noisy([1.0] * 40, 0.01)
    values[17] *= 5
    assert splits(values) == []


def test_the_same_values_give_the_same_answer():
    values = noisy([1.0] * 20 + [1.03] * 10, 0.02)
    assert splits(values) == splits(values)


def test_alternating_values_have_no_change():
    assert splits([1.0, 1.1] * 20) == []


def test_six_runs_are_too_few_to_tell_a_change_from_chance():
    # Six values have 20 ways to be shared out in threes, 2 of which part the low from the high; about a tenth of the
    # shufflings are as strong, so that six runs can never be called a change.
    assert strongest(np.log([1.0, 1.001, 1.002, 2.0, 2.001, 2.002])) is None


def test_unchanged_series_are_called_changed_as_rarely_as_the_test_says():
    rng = np.random.default_rng(7)
    found = sum(strongest(row) is not None for row in rng.normal(0, 0.02, (600, 30)))
    # At 1 % six of 600 are expected; 16 or more have a probability below 0.001.
    assert found < 16
