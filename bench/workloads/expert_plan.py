"""What expert-parallel ranks get to do: tokens drawn one by one where they are few, expected where they are many."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.operators.interface import ExpertPlan
from bench.operators.kernel import Dim
from bench.operators.loads import RankLoad, counted_load, expected_load, heaviest_block
from bench.workloads.routing import Routing, assign, inclusion

# Above this many (token, expert) draws a plan is an expectation. What executes needs every choice; what is only priced
# does not, and with this many tokens chance hardly moves the loads.
MOST_DRAWS = 64_000_000
MOST_DRAWS_PRICED = 500_000


def plan_experts(
    routing: Routing, tokens: Dim, experts: int, top_k: int, ranks: int = 1, *, executes: bool = True
) -> ExpertPlan:
    """Plan where pooled tokens go and what the heaviest of `ranks` expert-parallel ranks has to do.

    tokens: all tokens pooled over the data-parallel ranks that share the experts; one number, or one per sweep point.
    executes: whether every token's choice is needed, or only how many there are.
    What is not too large is drawn exactly, a sweep's points too; a number too large to draw is an expectation.
    """
    most = MOST_DRAWS if executes else MOST_DRAWS_PRICED
    if np.ndim(tokens) == 0 and float(tokens) * experts <= most:
        return _drawn_plan(routing, int(tokens), experts, top_k, ranks)
    expected = _expected_plan(routing, tokens, experts, top_k, ranks)
    few = np.asarray(tokens) * experts <= most
    if not few.any():
        return expected
    return replace(expected, load=_drawn_where(few, expected.load, tokens, routing, experts, top_k, ranks))


def _drawn_where(
    few: NDArray[np.bool_], expected: RankLoad, tokens: Dim, routing: Routing, experts: int, top_k: int, ranks: int
) -> RankLoad:  # fmt: skip
    """A sweep's load: counted where there are few tokens, as a plan of that number alone would be."""
    counts, at = np.unique(np.asarray(tokens)[few].astype(np.int64), return_inverse=True)
    ids = _few_ids(routing, experts, top_k)[: counts[-1]]
    loads = np.cumsum([np.bincount(part.ravel(), minlength=experts) for part in np.split(ids, counts[:-1])], axis=0)
    drawn = [counted_load(_heaviest(each, ranks)[1]) for each in loads]

    found: dict[str, Dim] = {}
    for name in ("rows", "touched", "padded", "busiest"):
        values = np.array(getattr(expected, name), dtype=np.float64)
        values[few] = np.array([float(getattr(load, name)) for load in drawn])[at]
        found[name] = values
    return RankLoad(**found)


@lru_cache(maxsize=16)
def _few_ids(routing: Routing, experts: int, top_k: int) -> NDArray[np.int64]:
    """The experts of all tokens that are drawn for a price; the first n choose alike however many come after them."""
    return assign(routing, max(MOST_DRAWS_PRICED // experts, 1), experts, top_k)


def _heaviest(loads: NDArray[np.int64], ranks: int) -> tuple[int, NDArray[np.int64]]:
    """Return (index, rows of each expert) of the rank that has the most rows."""
    blocks = loads.reshape(ranks, -1)
    index = int(np.argmax(blocks.sum(axis=1)))
    return index, blocks[index]


@lru_cache(maxsize=64)
def _drawn_plan(routing: Routing, tokens: int, experts: int, top_k: int, ranks: int) -> ExpertPlan:
    drawn = tokens * experts <= MOST_DRAWS_PRICED
    ids = _few_ids(routing, experts, top_k)[:tokens].copy() if drawn else assign(routing, tokens, experts, top_k)
    loads = np.bincount(ids.ravel(), minlength=experts)
    here = experts // ranks
    heaviest, block = _heaviest(loads, ranks)
    return ExpertPlan(
        ids=ids,
        load=counted_load(block),
        first_expert=heaviest * here,
        experts_here=here,
        top_k=top_k,
        imbalance=float(loads.max() / loads.mean()),
    )


def _expected_plan(routing: Routing, tokens: Dim, experts: int, top_k: int, ranks: int) -> ExpertPlan:
    chances = inclusion(routing, experts, top_k)
    heaviest, block = heaviest_block(chances, ranks)
    here = experts // ranks
    load = expected_load(block, tokens, ranks, top_k)
    return ExpertPlan(None, load, heaviest * here, here, top_k, _expected_imbalance(chances, tokens))


def _expected_imbalance(chances: NDArray[np.float64], tokens: Dim) -> float | None:
    """Largest over mean load, for one number of tokens: the popular expert's mean and what chance adds to the largest.

    The largest of n alike loads stands about sqrt(2 ln n) deviations above their mean (extreme value theory).
    """
    if np.ndim(tokens):
        return None
    count = float(np.asarray(tokens))
    spread = np.sqrt(count * chances * (1 - chances)) * np.sqrt(2 * np.log(len(chances)))
    return float(min((count * chances + spread).max(), count) / (count * chances.mean()))
