"""A change between two levels of a series, and the limits of what counts as one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec

# As the gate: changes within are no news, however sure.
FLOOR = 0.01
# In fewer runs hardly any change can be told from chance.
ENOUGH = 10


class Split(msgspec.Struct, frozen=True):
    """A change between two levels of a series, each the median of its runs.

    at: position of the first run after it. share: the median of what runs after it are more than runs before it (0.05
    is 5 % more), with its 95 % interval; None where the values carry no noise.
    """

    at: int
    before: float
    after: float
    share: float
    interval: tuple[float, float] | None = None


def exact_splits(values: Sequence[float]) -> list[Split]:
    """Return every change of a series without noise: modelled values differ only where the model does."""
    return [
        Split(at, before, after, after / before - 1)
        for at, (before, after) in enumerate(itertools.pairwise(values), 1)
        if not math.isclose(before, after, rel_tol=1e-9)
    ]
