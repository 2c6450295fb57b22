"""Kernel tables: measured times in one canonical form, read from CSV and checked row by row.

Columns: device, kind, dtype, the dimensions that the kind has, seconds, software, note, source. A row is one kernel.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.devices.emulated.form import Dims
from bench.devices.emulated.forms import FORMS, SHEET_DTYPE
from bench.errors import DefinitionError, listed, nearest
from bench.operators.kernel import BYTES
from bench.operators.loads import RankLoad, heaviest_block, inclusion_chances, shared_out

NEEDED = ("device", "kind", "dtype", "seconds")
DIMENSIONS = {
    "gemm": ("m", "n", "k"),
    "batched_gemm": ("batch", "m", "n", "k"),
    "grouped_gemm": ("m", "n", "k", "experts"),
    "attention_prefill": ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len"),
    "attention_decode": ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len"),
    "mla_prefill": ("batch", "heads", "q_len", "kv_len"),
    "mla_decode": ("batch", "heads", "q_len", "kv_len"),
    "moe": ("m", "hidden", "intermediate", "experts", "top_k", "tp", "ep"),
    "all_reduce": ("ranks", "message_bytes"),
    "all_gather": ("ranks", "message_bytes"),
    "reduce_scatter": ("ranks", "message_bytes"),
    "all_to_all": ("ranks", "message_bytes"),
    "ep_dispatch": ("m", "hidden", "top_k", "ranks"),
    "ep_combine": ("m", "hidden", "top_k", "ranks"),
}
# Kinds a table may hold that no formula prices: counted, never guessed.
UNPRICED = frozenset({"other"})
LONGEST_S = 3600.0
# Counts of parts that are cut or shared out: whole, and never near this many.
WHOLE = frozenset({"experts", "top_k", "tp", "ep", "ranks"})
MOST_PARTS = 1_000_000
LARGEST = 1e15
STEEPEST = 10.0
DTYPES = (*BYTES, *SHEET_DTYPE)
MLA_DIMS = {"mla_prefill": (192, 128), "mla_decode": (576, 512)}
SENT_BYTES = {"ep_dispatch": 1, "ep_combine": 2}
ROUTINGS = {"": 0.0, "balanced": 0.0, "uniform": 0.0}


def formula(kind: str) -> str:
    """Return the formula that prices a kind of a kernel table: many alike products are one batched product."""
    return "batched_gemm" if kind == "grouped_gemm" else kind


@dataclass(frozen=True)
class Timed:
    """One measured kernel: where it ran, what it was, how long it took."""

    line: int
    device: str
    kind: str
    dtype: str
    software: str
    routing: str
    note: str
    source: str
    dims: dict[str, float]
    seconds: float

    @property
    def library(self) -> str:
        """The software's name without its version: "nccl", "trtllm-custom", "HCCL"."""
        name = self.software.split()[0].rstrip(",") if self.software else ""
        return re.sub(r"[-_]?v?\d+(\.\w+)*$", "", name)


def read_table(path: Path) -> list[Timed]:
    """Read a kernel table.

    Raises: DefinitionError naming file, line and column for a missing column, an unknown kind, a dimension or a time
    that is not a positive number, or seconds above an hour (a wrong unit).
    """
    try:
        # Spreadsheets begin UTF-8 with a mark of its own, which is no part of the first name.
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DefinitionError(f"{path}: cannot be read ({reason})") from None
    reader = csv.DictReader(io.StringIO(text))
    try:
        _check_names(path, list(reader.fieldnames or []))
        # Blank lines and quoted line breaks count, so that the number is the one that an editor shows.
        rows = [_timed(path, reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DefinitionError(f"{path}: not valid CSV: {error}") from None
    if not rows:
        raise DefinitionError(f"{path}: holds no rows")
    return rows


def _check_names(path: Path, names: list[str]) -> None:
    for name in NEEDED:
        if name not in names:
            raise DefinitionError(
                f"{path}: no column '{name}'{nearest(name, names)}; a kernel table has {', '.join(NEEDED)}"
            )
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DefinitionError(f"{path}: column '{twice}' is there {names.count(twice)} times; keep one")


def _timed(path: Path, number: int, row: dict[str, str | None]) -> Timed:
    where = f"{path}: line {number}"
    if None in row:
        raise DefinitionError(f"{where}: more cells than columns; put quotes around what contains a comma")
    kind = (row.get("kind") or "").strip()
    if kind not in DIMENSIONS and kind not in UNPRICED:
        raise DefinitionError(
            f"{where}: kind '{kind}'{nearest(kind, DIMENSIONS) or '; known: ' + listed(DIMENSIONS, 20)}"
        )
    seconds = _number(row, "seconds", where)
    if seconds > LONGEST_S:
        raise DefinitionError(f"{where}: column 'seconds' is {seconds:g}, above an hour; is it in microseconds?")
    dims = {name: _number(row, name, where) for name in DIMENSIONS.get(kind, ())}
    text = {
        name: (row.get(name) or "").strip() for name in ("device", "dtype", "software", "routing", "note", "source")
    }
    if not text["device"]:
        raise DefinitionError(f"{where}: column 'device' is empty; write a sheet's id")
    if kind in DIMENSIONS:
        _check_dtype(kind, text["dtype"], where)
    _check_dims(dims, where)
    if kind == "moe":
        _alpha(text["routing"], where)
    return Timed(number, kind=kind, dims=dims, seconds=seconds, **text)


def _check_dtype(kind: str, dtype: str, where: str) -> None:
    if dtype in DTYPES or (not dtype and not FORMS[formula(kind)].matrix):
        return
    hint = nearest(dtype, DTYPES) or f"; known: {', '.join(DTYPES)}"
    raise DefinitionError(f"{where}: column 'dtype' is {dtype!r}{hint}")


def _check_dims(dims: dict[str, float], where: str) -> None:
    for name, value in dims.items():
        if value > LARGEST:
            raise DefinitionError(f"{where}: column '{name}' is {value:g}, above {LARGEST:g}")
        if name in WHOLE and (value != int(value) or value > MOST_PARTS):
            raise DefinitionError(f"{where}: column '{name}' is {value:g}; it must be whole, a million at most")
    if dims.get("q_len", 0) > dims.get("kv_len", LARGEST):
        raise DefinitionError(
            f"{where}: column 'q_len' is {dims['q_len']:g}, above kv_len {dims['kv_len']:g}; kv_len holds new keys too"
        )
    if "ep" in dims and dims["experts"] % dims["ep"]:
        raise DefinitionError(f"{where}: column 'ep' is {dims['ep']:g}; it must divide experts {dims['experts']:g}")
    if "experts" in dims and dims.get("top_k", 0) > dims["experts"]:
        raise DefinitionError(f"{where}: column 'top_k' is {dims['top_k']:g}, above experts {dims['experts']:g}")


def _number(row: dict[str, str | None], name: str, where: str) -> float:
    text = (row.get(name) or "").strip()
    try:
        value = float(text)
    except ValueError:
        raise DefinitionError(f"{where}: column '{name}' is {text!r}; it must be a positive number") from None
    if not math.isfinite(value) or value <= 0:
        raise DefinitionError(f"{where}: column '{name}' is {text}; it must be a positive number")
    return value


def _alpha(routing: str, where: str = "kernel table") -> float:
    """Exponent of a routing's power law; 0 is balanced."""
    if routing in ROUTINGS:
        return ROUTINGS[routing]
    name, _, value = routing.rpartition("_")
    try:
        if name != "power_law" or not 0 <= float(value) <= STEEPEST:
            raise ValueError
        return float(value)
    except ValueError:
        raise DefinitionError(
            f"{where}: column 'routing' is {routing!r}; write balanced or power_law_1.2 (0 to {STEEPEST:g})"
        ) from None


def dims_of(rows: list[Timed]) -> Dims:
    """Return the dimensions of rows of one kind as arrays, completed to what its formula needs."""
    kind = rows[0].kind
    # Grouped products are batched ones, whose batch is their experts; a formula may price rows of both.
    every = [_renamed(row) for row in rows]
    dims: Dims = {name: np.array([one[name] for one in every]) for name in every[0]}
    count = np.ones(len(rows))
    if kind in ("attention_prefill", "attention_decode"):
        dims["v_dim"] = dims["head_dim"]
    elif kind in MLA_DIMS:
        dims["head_dim"], dims["v_dim"] = (count * size for size in MLA_DIMS[kind])
    elif kind in SENT_BYTES:
        dims["message_bytes"] = dims["m"] * dims["top_k"] * dims["hidden"] * SENT_BYTES[kind]
    elif "message_bytes" in dims and kind != "all_reduce":
        # Some tools report one rank's message, others the gathered whole; the note says which.
        whole = np.array([row.dims["ranks"] if "per rank" in row.note else 1.0 for row in rows])
        dims["message_bytes"] = dims["message_bytes"] * whole
    elif kind == "moe":
        dims |= _moe_loads(rows)
        dims["inner"] = dims["intermediate"] / dims["tp"]
        dims["experts"] = dims["experts"] / dims["ep"]
    return dims


def _renamed(row: Timed) -> dict[str, float]:
    if row.kind != "grouped_gemm":
        return row.dims
    return {"batch" if name == "experts" else name: value for name, value in row.dims.items()}


def _moe_loads(rows: list[Timed]) -> Dims:
    loads = [_load(row) for row in rows]
    return {
        name: np.array([float(getattr(load, name)) for load in loads])
        for name in ("rows", "touched", "padded", "busiest")
    }


def _load(row: Timed) -> RankLoad:
    experts, top_k, ranks = int(row.dims["experts"]), int(row.dims["top_k"]), int(row.dims["ep"])
    alpha = _alpha(row.routing)
    # Balanced tables share rows out evenly: no rank is heavier than another.
    _, block = heaviest_block(power_law_chances(experts, top_k, alpha), ranks)
    return shared_out(block, row.dims["m"])


def power_law_chances(experts: int, top_k: int, alpha: float) -> NDArray[np.float64]:
    """Chance that a token goes to each expert under popularity 1 / rank^alpha, experts in a fixed shuffled order."""
    share = 1.0 / np.arange(1, experts + 1, dtype=np.float64) ** alpha
    order = np.random.Generator(np.random.Philox(key=[0, 9])).permutation(experts)
    return inclusion_chances(share[order] / share.sum(), top_k)
