"""Where tokens go in a mixture of experts: deterministic, counter-based, the same on every device.

Real routers are skewed, and skew decides MoE speed, so a workload states its distribution. A token's experts depend
only on (seed, token number, expert number): drawn with Philox, a counter-based generator (Salmon et al., SC'11), and
chosen by an exponential race, which is weighted sampling without replacement (Efraimidis and Spirakis, 2006).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.errors import DefinitionError
from bench.operators.loads import inclusion_chances


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
