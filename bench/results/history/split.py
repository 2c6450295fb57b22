"""A change between two levels of a series; and those found before, so that none is searched for twice."""

from __future__ import annotations

import hashlib
import itertools
import math
from array import array
from collections.abc import Sequence

import msgspec

# Raised when the search finds something else in the same values.
METHOD = b"e-divisive 4"
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


class Memo:
    """Change points by the values they were found in. known: from before; new: what had to be searched for."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.known = known or {}
        self.new: dict[str, str] = {}
        self.used: set[str] = set()

    def splits(self, values: Sequence[float]) -> list[Split]:
        """Return the change points of a series of measured values above 0."""
        if not values or max(values) <= min(values) * (1 + FLOOR):
            return []
        digest = hashlib.sha256(METHOD + array("d", values).tobytes()).hexdigest()
        self.used.add(digest)
        if digest in self.known:
            return msgspec.json.decode(self.known[digest], type=list[Split])
        # numpy takes its time to be imported.
        from bench.results.history.changes import splits

        found = splits(values)
        self.new[digest] = msgspec.json.encode(found).decode()
        return found
