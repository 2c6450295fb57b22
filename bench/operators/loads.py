"""How many token rows an expert-parallel rank gets: expectations from the experts' popularity.

Shared by the routing plans of a sweep and by the cost model's reading of MoE timings, so that both mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.operators.kernel import Dim

# Grouped products compute whole tiles of rows; an expert with one row pays for a tile.
TILE_ROWS = 64
# Equally likely deviations of a normal number: an expert whose mean fills a tile pays for a second one half the time.
DEVIATIONS = tuple(NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16))


@dataclass(frozen=True)
class RankLoad:
    """The heaviest rank's load: rows, experts with at least one, rows padded to tiles, the busiest expert's rows."""

    rows: Dim
    touched: Dim
    padded: Dim
    busiest: Dim


def inclusion_chances(share: NDArray[np.float64], top_k: int) -> NDArray[np.float64]:
    """Return the chance that a token goes to each expert, [experts], summing to top_k.

    share: [experts], each expert's share of a single choice. In an exponential race stopped when top_k have finished,
    expert e has finished with chance 1 - exp(-share_e t); t is solved so that the chances sum to top_k (Rosen's
    approximation to sampling without replacement, exact as experts grow).
    """
    if top_k >= np.count_nonzero(share):
        return (share > 0).astype(np.float64)
    low, high = 0.0, 1.0
    while (1 - np.exp(-share * high)).sum() < top_k:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - np.exp(-share * middle)).sum() < top_k else (low, middle)
    return np.asarray(1 - np.exp(-share * high))


def heaviest_block(chances: NDArray[np.float64], ranks: int) -> tuple[int, NDArray[np.float64]]:
    """Return (index, chances) of the rank whose contiguous block of experts expects the most rows."""
    blocks = chances.reshape(ranks, -1)
    index = int(np.argmax(blocks.sum(axis=1)))
    return index, blocks[index]


def expected_load(block: NDArray[np.float64], tokens: Dim, ranks: int = 1, top_k: int | None = None) -> RankLoad:
    """Return the load that chance gives a rank whose experts are chosen so, for one or many token counts.

    top_k: experts a token chooses at most, which bounds the rows of the heaviest of several ranks. All four numbers are
    of that one rank: what it has above its mean falls on its experts by their share of its variance.
    """
    count = np.asarray(tokens, dtype=np.float64)
    each: NDArray[Any] = np.multiply.outer(block, count)
    variance: NDArray[Any] = np.multiply.outer(block * (1 - block), count)
    rows = each.sum(axis=0)
    if ranks > 1:
        # The heaviest of n alike ranks stands about sqrt(2 ln n) deviations above their mean (extreme value theory).
        whole = variance.sum(axis=0)
        above = np.sqrt(whole) * np.sqrt(2 * np.log(ranks))
        above = np.minimum(above, count * min(len(block), top_k or len(block)) - rows)
        each = np.minimum(each + variance * above / np.maximum(whole, 1e-30), count)
        rows = rows + above
    hit = 1.0 - (1.0 - each / np.maximum(count, 1e-30)) ** count
    tiles = sum(np.ceil((np.maximum(each + z * np.sqrt(variance), 1.0) - 0.5) / TILE_ROWS) for z in DEVIATIONS)
    padded = (tiles / len(DEVIATIONS) * TILE_ROWS * hit).sum(axis=0)
    return RankLoad(_plain(rows), _plain(hit.sum(axis=0)), _plain(padded), _plain(each.max(axis=0)))


def shared_out(block: NDArray[np.float64], tokens: float) -> RankLoad:
    """Return the load where rows are shared out by the chances and none is left to chance, as kernel tables do."""
    each = block * tokens
    hit = 1.0 - (1.0 - block) ** tokens
    padded = np.ceil(np.maximum(each, 1.0) / TILE_ROWS) * TILE_ROWS * hit
    return RankLoad(float(each.sum()), float(hit.sum()), float(padded.sum()), float(each.max()))


def counted_load(counts: NDArray[np.int64]) -> RankLoad:
    """Return the load of a rank whose experts were given exactly these rows, [experts]."""
    tiles = -(-counts // TILE_ROWS)
    return RankLoad(int(counts.sum()), int(np.count_nonzero(counts)), int(tiles.sum() * TILE_ROWS), int(counts.max()))


def _plain(value: NDArray[np.float64]) -> Dim:
    return float(value) if value.ndim == 0 else value
