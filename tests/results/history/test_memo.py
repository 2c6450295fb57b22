"""What is remembered of changes that were found."""

from __future__ import annotations

import sys

import pytest

from bench.results.history.memo import Memo

STEP = [1.0, 1.001, 0.999, 1.0, 1.002, 0.998, 1.5, 1.501, 1.499, 1.5, 1.502, 1.498]


def test_what_was_found_once_is_not_searched_for_again(monkeypatch):
    first = Memo()
    found = first.splits(STEP)
    assert [split.at for split in found] == [6]
    monkeypatch.setitem(sys.modules, "bench.results.history.changes", None)  # the search can no longer be imported
    second = Memo(dict(first.new))
    assert second.splits(STEP) == found
    assert second.new == {}
    assert second.used == set(first.new)


def test_other_values_are_searched_anew():
    memo = Memo()
    memo.splits(STEP)
    memo.splits(STEP[:-1])
    assert len(memo.new) == 2


@pytest.mark.parametrize("values", [[], [1.0], [0.25] * 50, [1.0, 1.009] * 20])
def test_a_series_that_stays_within_the_floor_needs_no_search(values, monkeypatch):
    monkeypatch.setitem(sys.modules, "bench.results.history.changes", None)
    assert Memo().splits(values) == []
