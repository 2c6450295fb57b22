"""Change points of a series: E-divisive, with the significance of a permutation test.

The strongest split of a series is the one whose two sides lie furthest apart by the energy distance; it counts where
hardly any shuffling of the series has a split as strong. Nothing is assumed of the noise but that it would be as likely
in any order. Both sides are then searched in the same way.

Source: Matteson and James, A nonparametric approach for multiple change point analysis of multivariate data, JASA 109,
2014. Performance teams use it (Daly and others, ICPE 2020; Fleming and others, ICPE 2023); the latter put a t test in
the place of the permutations, which does not know that the split was chosen for being the strongest.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.results.history.split import FLOOR, Split

Values = NDArray[np.float64]

# A level needs this many runs.
FEWEST = 3
# None of them may have a split as strong: a permutation test at 1 %.
SHUFFLES = 99
SEED = 20261122
# Changes that are within the floor, one by one, look like moods too; beyond this they would hide what they add up to.
HIGHEST_CORRELATION = 0.6
# Numbers in an array while shuffling: 128 kB. Larger arrays are fetched from the system anew each time: twice the time.
MOST_NUMBERS = 16_000


def splits(values: Sequence[float]) -> list[Split]:
    """Return the change points of a series of measured values above 0, in order of time.

    Of the splits that are found those stay whose size lies beyond the floor of 1 % with its whole 95 % interval. The
    one that misses this by most goes first and its two levels become one: several small steps may add up.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    found: set[int] = set()
    todo = [(0, len(logs))]
    while todo:
        start, end = todo.pop()
        at = strongest(logs[start:end])
        if at is not None:
            found.add(start + at)
            todo += [(start, start + at), (start + at, end)]
    while found:
        kept = _sized(logs, sorted(found))
        weakest = min(kept, key=_beyond)
        if _beyond(weakest) > FLOOR:
            return kept
        found.remove(weakest.at)
    return []


def strongest(logs: Values) -> int | None:
    """Return the position of the strongest split of a series, or None where it is not significant.

    Shuffling stops at the first order that has one as strong (Besag and Clifford, Biometrika 78, 1991).
    """
    n = len(logs)
    # Without a pair of values that lie further apart than the floor there can be no change beyond it.
    if n < 2 * FEWEST or np.ptp(logs) <= math.log1p(FLOOR):
        return None
    strength = strengths(logs[None])[0]
    at, seen = int(np.argmax(strength.max(axis=1))) + 1, float(strength.max())
    together = max(1, MOST_NUMBERS // n**2)
    # From the values: the same runs have the same answer, and no two series share their luck.
    rng = np.random.default_rng([SEED, zlib.crc32(logs.tobytes())])
    for done in range(0, SHUFFLES, together):
        orders = np.argsort(rng.random((min(together, SHUFFLES - done), n)), axis=1)
        # The sums of a shuffled series are rounded differently.
        if (strengths(logs[orders]).max(axis=(1, 2)) >= seen * (1 - 1e-9)).any():
            return None
    return at


def strengths(series: Values) -> Values:
    """Return q of every split of each of several series (m, n): [m, t - 1, k - 1] sets values 0..t against t..k.

    q = ab/(a+b) (2 mean|x-y| - mean|x-x'| - mean|y-y'|) for sides of a and b values; 0 where either has too few. The
    second side need not reach to the end, so that a slower spell is found although it is over. |x-y| is to the power
    1/2, not 1: a single run that lies far out counts for less. Source: Matteson and James, (5) to (7).
    """
    q = np.sqrt(np.abs(series[:, :, None] - series[:, None, :]))
    # The sum of distances of the first t from the first k values.
    np.cumsum(q, axis=1, out=q)
    np.cumsum(q, axis=2, out=q)
    across, first, second = _weights(series.shape[1])
    inside = np.diagonal(q, axis1=1, axis2=2)
    return q * across + inside[:, :, None] * first + inside[:, None, :] * second


@cache
def _weights(n: int) -> tuple[Values, Values, Values]:
    """Return what the sums S(t, k), S(t, t) and S(k, k) count in q, each of shape (n, n).

    Sums over x-x' are S(t, t), over x-y S(t, k) - S(t, t), over y-y' S(k, k) - 2 S(t, k) + S(t, t).
    """
    t, k = np.arange(1.0, n + 1)[:, None], np.arange(1.0, n + 1)[None, :]
    a, b = np.broadcast_arrays(t, k - t)
    fits = (a >= FEWEST) & (b >= FEWEST)
    a, b = np.where(fits, a, 2), np.where(fits, b, 2)
    xy, xx, yy = 2 / (a + b), b / ((a + b) * (a - 1)), a / ((a + b) * (b - 1))
    return np.where(fits, xy + 2 * yy, 0), np.where(fits, -xy - xx - yy, 0), np.where(fits, -yy, 0)


def _sized(logs: Values, found: list[int]) -> list[Split]:
    """Return splits with their sizes, each from the runs of the two levels beside it."""
    levels = np.split(logs, found)
    factor = _widening(levels)
    splits = []
    for at, (before, after) in zip(found, itertools.pairwise(levels), strict=True):
        change, low, high = _difference(before, after, factor)
        splits.append(Split(
            at=at, before=math.exp(np.median(before)), after=math.exp(np.median(after)), share=math.expm1(change),
            interval=(math.expm1(low), math.expm1(high)),
        ))  # fmt: skip
    return splits


def _difference(before: Values, after: Values, factor: float) -> tuple[float, float, float]:
    """Return by how much `after` lies higher and the 95 % interval of that, `factor` wider than for independent runs.

    The median of all differences, and those between which the rank sum test puts it: runs far out do not move them.
    Source: Hodges and Lehmann, Annals of Mathematical Statistics 34, 1963; normal approximation of Mann and Whitney.
    """
    differences = np.sort((after[:, None] - before[None, :]).ravel())
    pairs = len(differences)
    spread = math.sqrt(pairs * (len(before) + len(after) + 1) / 12)
    beyond = math.floor(pairs / 2 - 1.959964 * factor * spread - 0.5)
    change = float(np.median(differences))
    if beyond < 0:
        return change, -math.inf, math.inf
    return change, float(differences[beyond]), float(differences[pairs - 1 - beyond])


def _widening(levels: list[Values]) -> float:
    """Return by how much intervals grow where a run resembles the one before, as on a machine with moods.

    sqrt((1 + r) / (1 - r)), r the correlation of neighbours within levels. A centre taken from a level's own runs makes
    r look smaller by one over their number. Source: Bayley and Hammersley, Journal of the Royal Statistical Society 8,
    1946.
    """
    apart = [level - np.median(level) for level in levels]
    squares = sum(float((each**2).sum()) for each in apart)
    if squares == 0:
        return 1.0
    neighbours = sum(float((each[1:] * each[:-1]).sum()) for each in apart)
    r = neighbours / squares + len(levels) / sum(map(len, levels))
    r = min(max(r, 0.0), HIGHEST_CORRELATION)
    return math.sqrt((1 + r) / (1 - r))


def _beyond(split: Split) -> float:
    """Return the end of a split's interval that is nearest to no change, as a slowdown; below 0 if it holds that."""
    low, high = split.interval or (split.share, split.share)
    return low if split.share > 0 else 1 / (1 + high) - 1
