"""Service targets: the most a device yields while every sequence gets its next token in time.

For each target the largest batch is solved on the cost model, as one array over batches, within the device's memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.devices.sheet import Sheet, load_sheet
from bench.errors import DefinitionError, Unsupported
from bench.measure.rows import USABLE_MEMORY, modelled_rows, price_sweep
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.results.record import Row
from bench.units import seconds
from bench.workloads.schema import Case

LARGEST_BATCH = 4096
USUAL_TARGETS_S = (0.015, 0.030, 0.050)
EIGHT_BIT = ("fp8", "int8")

_TARGET = re.compile(r"^(?:tpot=)?(\d+(?:\.\d+)?)(ms|s|tok/s/user|tok/s)$")


def parse_targets(text: str) -> list[float]:
    """Read "tpot=15ms,30ms", "0.05s" or "30tok/s/user" as seconds per output token.

    Raises: DefinitionError naming the part that cannot be read.
    """
    found: list[float] = []
    for part in text.split(","):
        match = _TARGET.match(part.strip())
        if match is None or float(match[1]) <= 0:
            raise DefinitionError(f"--at: {part.strip()!r} is not a target; write tpot=50ms, 0.05s or 30tok/s/user")
        value = float(match[1])
        found.append(value / 1000 if match[2] == "ms" else value if match[2] == "s" else 1 / value)
    return list(dict.fromkeys(found))


def rows_at_targets(cases: Iterable[Case], device: str, targets_s: Iterable[float]) -> list[Row]:
    """Return a device's modelled rows at each target, for each decode workload, context and precision.

    Beside each precision there is "8-bit": the device's own 8-bit path, fp8 where its sheet has it, else int8, so that
    two vendors' can be put side by side in the open.
    """
    targets = list(targets_s)
    rows: list[Row] = []
    for case in _one_per_batch(cases):
        rows += _at(case, device, targets, case.dtype)
    sheet = load_sheet(device)
    for case in _one_per_batch(msgspec.structs.replace(c, dtype="fp8") for c in cases if c.dtype in EIGHT_BIT):
        own = next((dtype for dtype in EIGHT_BIT if sheet.peak_flops(dtype) is not None), EIGHT_BIT[0])
        rows += _at(msgspec.structs.replace(case, dtype=own), device, targets, "8-bit")
    return rows


def _one_per_batch(cases: Iterable[Case]) -> list[Case]:
    """Decode cases that differ in more than their batch."""
    found: dict[str, Case] = {}
    for case in cases:
        if case.phase == "decode":
            alone = msgspec.structs.replace(case, batch=1)
            found.setdefault(alone.case_id, alone)
    return list(found.values())


def _at(case: Case, device: str, targets_s: list[float], label: str) -> list[Row]:
    rows: list[Row] = []
    try:
        times = _sweep(case, device)
    except Unsupported:
        return [_named(row, target, label) for target in targets_s for row in modelled_rows(case, device)]
    for target in targets_s:
        fits = np.flatnonzero(times <= target)
        if len(fits) == 0:
            rows += [_missed(row, target, label) for row in modelled_rows(case, device)]
            continue
        rows += [_named(row, target, label) for row in _within(case, device, int(fits[-1]) + 1, target)]
    return rows


def _sweep(case: Case, device: str) -> NDArray[np.float64]:
    """Return the step seconds of every batch that fits the memory, made not to decrease."""
    most = _most_in_memory(case, load_sheet(device))
    batches = np.arange(1, max(most, 1) + 1)
    times = np.asarray(price_sweep(case, device, batches, np.full(len(batches), case.context)).step_s)
    return np.minimum.accumulate(times[::-1])[::-1]


def _most_in_memory(case: Case, sheet: Sheet) -> int:
    if sheet.memory_bytes is None:
        return LARGEST_BATCH
    step = Step("decode", np.arange(1, LARGEST_BATCH + 1), 1, case.context or 1)
    need = np.broadcast_to(np.asarray(read_cost(case.program(), step, case.dtype).memory_bytes), (LARGEST_BATCH,))
    return int(np.count_nonzero(need <= sheet.memory_bytes * USABLE_MEMORY))


def _within(case: Case, device: str, batch: int, target_s: float) -> list[Row]:
    """Rows at this batch; a drawn routing can be a little slower than the expected one, then a little less fits."""
    for _ in range(20):
        rows = modelled_rows(msgspec.structs.replace(case, batch=batch), device)
        if rows[0].step_s is None or rows[0].step_s <= target_s or batch == 1:
            return rows
        batch = max(1, batch - max(1, batch // 50))
    return rows


def _named(row: Row, target_s: float, label: str) -> Row:
    """A row under the name of its target, so that devices are joined on the target and not on the batch."""
    head, _, inside = row.case_id.partition("[")
    target = f"tpot<={seconds(target_s)}".replace(" ", "")
    parts = [target if part.startswith("b=") else part for part in inside.rstrip("]").split(",")]
    name = ",".join(label if part == row.dtype else part for part in parts)
    return msgspec.structs.replace(row, case_id=f"{head}[{name}]", definition_hash=f"target:{row.workload}:{label}")


def _missed(row: Row, target_s: float, label: str) -> Row:
    named = _named(row, target_s, label)
    if row.status != "ok":
        return named
    return msgspec.structs.replace(
        named, status="skipped", reason=f"even a batch of 1 takes ~{seconds(row.step_s)}", step_s=None, interval=None,
        tpot_s=None, output_tokens_per_s=None,
    )  # fmt: skip
