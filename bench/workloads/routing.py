"""Where tokens go in a mixture of experts: deterministic, counter-based, the same on every device.

Real routers are skewed, and skew decides MoE speed, so a workload states its distribution. A token's experts depend
only on (seed, token number, expert number): drawn with Philox, a counter-based generator (Salmon et al., SC'11), and
chosen by an exponential race, which is weighted sampling without replacement (Efraimidis and Spirakis, 2006).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.errors import DefinitionError
from bench.operators.interface import ExpertPlan
from bench.operators.kernel import Dim
from bench.operators.loads import RankLoad, counted_load, expected_load, heaviest_block, inclusion_chances

# Above this many (token, expert) draws a plan is an expectation. What executes needs every choice; what is only priced
# does not, and with this many tokens chance hardly moves the loads.
MOST_DRAWS = 64_000_000
MOST_DRAWS_PRICED = 500_000


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
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"routing seed is {self.seed}; it must lie between 0 and 2**63 - 1")

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
        ids = _from_trace(routing, experts, top_k)
        return np.asarray(ids[np.arange(tokens) % len(ids)])
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


def inclusion(routing: Routing, experts: int, top_k: int) -> NDArray[np.float64]:
    """Return the chance that a token goes to each expert, [experts], summing to top_k."""
    if routing.kind == "trace":
        ids = _from_trace(routing, experts, top_k)
        return np.asarray(np.bincount(ids.ravel(), minlength=experts) / len(ids))
    _check_hot(routing, experts, top_k)
    return inclusion_chances(popularity(routing, experts), top_k)


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


def _from_trace(routing: Routing, experts: int, top_k: int) -> NDArray[np.int64]:
    """Return the trace's experts, [lines, top_k], ascending within a line, checked against the model."""
    ids, lines = _trace(routing.file or "")
    where = f"routing trace {routing.file}"
    if ids.shape[1] < top_k:
        raise DefinitionError(f"{where}: {ids.shape[1]} experts a line, but the model chooses {top_k}")
    ordered = np.sort(ids[:, :top_k], axis=1)
    outside = ordered[:, -1] >= experts
    if outside.any():
        bad = int(np.argmax(outside))
        raise DefinitionError(
            f"{where}: line {lines[bad]} names expert {ordered[bad, -1]}; the model has 0 to {experts - 1}"
        )
    repeated = (np.diff(ordered, axis=1) == 0).any(axis=1)
    if repeated.any():
        raise DefinitionError(f"{where}: line {lines[int(np.argmax(repeated))]} names an expert twice")
    return ordered


@lru_cache(maxsize=8)
def _trace(file: str) -> tuple[NDArray[np.int64], list[int]]:
    """Return (expert ids [lines, width], the number of each line in the file)."""
    try:
        text = Path(file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise DefinitionError(f"routing trace {file!r}: cannot be read ({type(error).__name__})") from None
    rows: list[list[int]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.replace(",", " ").split()
        if not parts or parts[0].startswith("#"):
            continue
        if not all(_is_id(p) for p in parts) or (rows and len(parts) != len(rows[0])):
            raise DefinitionError(
                f"routing trace {file}: line {number} is {line[:40]!r}; write equally many expert ids on every line"
            )
        rows.append([int(p) for p in parts])
        lines.append(number)
    if not rows:
        raise DefinitionError(f"routing trace {file}: holds no expert ids")
    return np.array(rows, dtype=np.int64), lines


def _is_id(text: str) -> bool:
    # Nine digits: str.isdigit alone lets superscripts and numbers beyond 64 bits through.
    return text.isascii() and text.isdigit() and len(text) <= 9


def trace_hash(routing: Routing) -> str | None:
    """Return a hash of the trace file's content; None where the routing is no trace, or its file cannot be read."""
    if routing.kind != "trace":
        return None
    try:
        return hashlib.sha256(Path(routing.file or "").read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None
