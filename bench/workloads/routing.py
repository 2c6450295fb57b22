"""Where tokens go in a mixture of experts: deterministic, counter-based, the same on every device.

Real routers are skewed, and skew decides MoE speed, so a workload states its distribution. A token's experts depend
only on (seed, token number, expert number): drawn with Philox, a counter-based generator (Salmon et al., SC'11), and
chosen by an exponential race, which is weighted sampling without replacement (Efraimidis and Spirakis, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.errors import DefinitionError
from bench.operators.interface import ExpertPlan
from bench.operators.kernel import Dim

# Above this many (token, expert) draws a plan is priced by expectation; below it is drawn exactly.
MOST_DRAWS = 64_000_000


class Routing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A distribution of tokens over experts.

    uniform: every expert alike. zipf: popularity ~ 1 / rank**s. lognormal: popularity ~ exp(sigma * normal).
    k-hot: all tokens share `hot` experts alike. trace: expert ids from a file, a line a token, repeated.
    """

    kind: Literal["uniform", "zipf", "lognormal", "k-hot", "trace"] = "uniform"
    s: float = 1.0
    sigma: float = 1.0
    hot: int | None = None
    file: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind == "zipf" and not 0 <= self.s <= 10:
            raise ValueError(f"routing s is {self.s}; it must lie between 0 (uniform) and 10")
        if self.kind == "lognormal" and not 0 <= self.sigma <= 10:
            raise ValueError(f"routing sigma is {self.sigma}; it must lie between 0 (uniform) and 10")
        if self.kind == "k-hot" and (self.hot is None or self.hot < 1):
            raise ValueError("routing kind 'k-hot' needs hot = the number of experts in use, 1 or more")
        if self.kind == "trace" and not self.file:
            raise ValueError("routing kind 'trace' needs file = a text file of expert ids, a line a token")
        if self.seed < 0:
            raise ValueError(f"routing seed is {self.seed}; it must be 0 or more")

    @property
    def label(self) -> str:
        """Short form for a case id: uniform, zipf1.2, lognormal0.5, 4-hot, trace:NAME."""
        forms = {
            "zipf": f"zipf{self.s:g}",
            "lognormal": f"lognormal{self.sigma:g}",
            "k-hot": f"{self.hot}-hot",
            "trace": f"trace:{Path(self.file or '').stem}",
        }
        return forms.get(self.kind, self.kind) + (f"@{self.seed}" if self.seed else "")


def parse_routing(text: str) -> Routing:
    """Read a command-line form: uniform, zipf:1.2, lognormal:0.5, k-hot:4, trace:FILE.

    Raises: DefinitionError with the forms that are known.
    """
    kind, _, value = text.partition(":")
    key = {"zipf": "s", "lognormal": "sigma", "k-hot": "hot", "trace": "file"}.get(kind)
    table: dict[str, object] = {"kind": kind}
    try:
        if value and key:
            table[key] = value if key == "file" else int(value) if key == "hot" else float(value)
        elif value:
            raise ValueError("takes no value")
        return msgspec.convert(table, Routing)
    except ValueError as error:
        raise DefinitionError(
            f"--routing {text!r}: {error}; write uniform, zipf:1.2, lognormal:0.5, k-hot:4 or trace:FILE"
        ) from None


def popularity(routing: Routing, experts: int) -> NDArray[np.float64]:
    """Return each expert's share of the first choice, [experts], summing to 1.

    Experts are shuffled by the seed, so that the popular ones do not all fall on the first rank.
    """
    if routing.kind == "zipf":
        weight = 1.0 / np.arange(1, experts + 1, dtype=np.float64) ** routing.s
    elif routing.kind == "lognormal":
        weight = np.exp(routing.sigma * _normals(routing.seed, experts))
    elif routing.kind == "k-hot":
        weight = np.zeros(experts)
        weight[: min(routing.hot or 1, experts)] = 1.0
    else:
        weight = np.ones(experts)
    order = np.argsort(_uniforms(routing.seed, 1, experts, stream=1)[0], kind="stable")
    return np.asarray((weight / weight.sum())[np.argsort(order, kind="stable")])


def assign(routing: Routing, tokens: int, experts: int, top_k: int) -> NDArray[np.int64]:
    """Return each token's experts, [tokens, top_k], without repeats, ascending within a token.

    Raises: DefinitionError where k-hot leaves fewer experts than top_k, or a trace does not fit.
    """
    if routing.kind == "trace":
        return _from_trace(routing, tokens, experts, top_k)
    _check_hot(routing, experts, top_k)
    share = popularity(routing, experts)
    chosen = np.empty((tokens, top_k), dtype=np.int64)
    block = max(1, 4_000_000 // experts)
    for start in range(0, tokens, block):
        stop = min(start + block, tokens)
        draws = _uniforms(routing.seed, stop - start, experts, stream=2, first_row=start)
        with np.errstate(divide="ignore"):
            finish = -np.log(draws) / share
        best = (
            np.argpartition(finish, top_k - 1, axis=1)[:, :top_k]
            if top_k < experts
            else np.tile(np.arange(experts), (stop - start, 1))
        )
        chosen[start:stop] = np.sort(best, axis=1)
    return chosen


def _check_hot(routing: Routing, experts: int, top_k: int) -> None:
    if routing.kind == "k-hot" and min(routing.hot or 1, experts) < top_k:
        raise DefinitionError(
            f"routing k-hot uses {routing.hot} experts but every token needs {top_k}; set hot to {top_k} or more"
        )


@dataclass(frozen=True)
class _Block:
    """The experts that one expert-parallel rank holds."""

    first: int
    size: int


def plan_experts(routing: Routing, tokens: Dim, experts: int, top_k: int, ranks: int = 1) -> ExpertPlan:
    """Plan where pooled tokens go and what the heaviest of `ranks` expert-parallel ranks has to do.

    tokens: all tokens pooled over the data-parallel ranks that share the experts; one number, or one per sweep point.
    One number is drawn exactly; a sweep, or a number too large to draw, uses expectations.
    """
    if np.ndim(tokens) == 0 and float(tokens) * experts <= MOST_DRAWS:
        return _drawn_plan(routing, int(tokens), experts, top_k, ranks)
    return _expected_plan(routing, tokens, experts, top_k, ranks)


@lru_cache(maxsize=64)
def _drawn_plan(routing: Routing, tokens: int, experts: int, top_k: int, ranks: int) -> ExpertPlan:
    ids = assign(routing, tokens, experts, top_k)
    loads = np.bincount(ids.ravel(), minlength=experts)
    here = experts // ranks
    by_rank = loads.reshape(ranks, here).sum(axis=1)
    heaviest = int(np.argmax(by_rank))
    block = loads[heaviest * here : (heaviest + 1) * here]
    return ExpertPlan(
        ids=ids,
        rows=int(block.sum()),
        touched=int(np.count_nonzero(block)),
        first_expert=heaviest * here,
        experts_here=here,
        imbalance=float(loads.max() / loads.mean()),
    )


def _expected_plan(routing: Routing, tokens: Dim, experts: int, top_k: int, ranks: int) -> ExpertPlan:
    chosen = inclusion(routing, experts, top_k)
    here = experts // ranks
    by_rank = chosen.reshape(ranks, here).sum(axis=1)
    heaviest = int(np.argmax(by_rank))
    block = chosen[heaviest * here : (heaviest + 1) * here]
    count = np.asarray(tokens, dtype=np.float64)
    rows = count * block.sum()
    if ranks > 1:
        # The heaviest of n alike ranks stands about sqrt(2 ln n) deviations above their mean (extreme value theory).
        spread = np.sqrt(count * (block * (1 - block)).sum())
        rows = np.minimum(rows + spread * np.sqrt(2 * np.log(ranks)), count * min(top_k, here))
    touched = sum(1.0 - (1.0 - p) ** count for p in block)
    return ExpertPlan(None, rows, touched, heaviest * here, here, None)


def inclusion(routing: Routing, experts: int, top_k: int) -> NDArray[np.float64]:
    """Return the chance that a token goes to each expert, [experts], summing to top_k.

    In an exponential race stopped when top_k have finished, expert e has finished with chance 1 - exp(-p_e t);
    t is solved so that the chances sum to top_k (Rosen's approximation, exact as experts grow).
    """
    if routing.kind == "trace":
        ids = _trace(routing.file or "")
        return np.bincount(ids[:, :top_k].ravel(), minlength=experts)[:experts] / len(ids)
    _check_hot(routing, experts, top_k)
    share = popularity(routing, experts)
    if top_k == np.count_nonzero(share):
        return (share > 0).astype(np.float64)
    low, high = 0.0, 1.0
    while (1 - np.exp(-share * high)).sum() < top_k:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - np.exp(-share * middle)).sum() < top_k else (low, middle)
    return 1 - np.exp(-share * high)


def _uniforms(seed: int, rows: int, columns: int, stream: int, first_row: int = 0) -> NDArray[np.float64]:
    """Numbers in (0, 1), [rows, columns], a function of (seed, stream, row, column) alone."""
    # Philox yields four 64-bit words per counter step; a row is padded to whole steps so that it can start anywhere.
    steps = -(-columns // 4)
    generator = np.random.Philox(key=[seed, stream], counter=[first_row * steps, 0, 0, 0])
    words = generator.random_raw(rows * steps * 4).reshape(rows, steps * 4)[:, :columns]
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _normals(seed: int, count: int) -> NDArray[np.float64]:
    """Standard normal numbers by Box and Muller, [count]."""
    first, second = _uniforms(seed, 2, count, stream=3)
    return np.asarray(np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second))


def _from_trace(routing: Routing, tokens: int, experts: int, top_k: int) -> NDArray[np.int64]:
    ids = _trace(routing.file or "")
    where = f"routing trace {routing.file}"
    if ids.shape[1] < top_k:
        raise DefinitionError(f"{where}: {ids.shape[1]} experts a line, but the model chooses {top_k}")
    ids = ids[:, :top_k]
    if ids.min() < 0 or ids.max() >= experts:
        raise DefinitionError(
            f"{where}: expert ids run from {ids.min()} to {ids.max()}; the model has 0 to {experts - 1}"
        )
    ordered = np.sort(ids, axis=1)
    if top_k > 1 and (np.diff(ordered, axis=1) == 0).any():
        line = int(np.argmax((np.diff(ordered, axis=1) == 0).any(axis=1))) + 1
        raise DefinitionError(f"{where}: line {line} names an expert twice")
    return np.asarray(ordered[np.arange(tokens) % len(ordered)])


@lru_cache(maxsize=8)
def _trace(file: str) -> NDArray[np.int64]:
    try:
        text = Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"routing trace {file}: cannot be read ({type(error).__name__})") from None
    rows: list[list[int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.replace(",", " ").split()
        if not parts or parts[0].startswith("#"):
            continue
        if not all(p.isdigit() for p in parts) or (rows and len(parts) != len(rows[0])):
            raise DefinitionError(
                f"routing trace {file}: line {number} is {line[:40]!r}; write equally many expert ids on every line"
            )
        rows.append([int(p) for p in parts])
    if not rows:
        raise DefinitionError(f"routing trace {file}: holds no expert ids")
    return np.array(rows, dtype=np.int64)
