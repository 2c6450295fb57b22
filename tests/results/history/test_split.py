"""Changes of modelled values."""

from __future__ import annotations

import pytest

from bench.results.history.split import Split, exact_splits


def test_modelled_values_change_wherever_they_differ():
    (first, second) = exact_splits([2.0, 2.0, 2.5, 2.5, 2.0])
    assert first == Split(at=2, before=2.0, after=2.5, share=0.25, interval=None)
    assert (second.at, second.share) == (4, pytest.approx(-0.2))


def test_modelled_values_that_differ_by_rounding_are_the_same():
    assert exact_splits([1.0, 1.0 + 1e-12, 1.0]) == []
    assert exact_splits([1.0]) == exact_splits([]) == []
