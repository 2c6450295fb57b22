"""Service targets of modelled devices: the most each yields while every token comes in time.

For each target the batch with the highest rate in time is solved on the cost model, as one array over batches, within
the device's memory; reports and fleets have it from here. It is solved again with the steps' times at both ends of
their interval: a device whose steps take longer holds a smaller batch, so its throughput loses by more than its time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.devices.sheet import Sheet, load_sheet
from bench.errors import Unsupported
from bench.measure.rows import USABLE_MEMORY, modelled_rows, price_step
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.results import pairs
from bench.results.record import Row
from bench.results.target import ACROSS, NO_LIMITS, Target, asked_of, flagged, missed, named_by, unsure
from bench.units import as_given, seconds
from bench.workloads.schema import Case

LARGEST_BATCH = 4096
# Prompts in one prefill step: beyond a few the rate grows no more, and each prompt only waits for the others.
LARGEST_PREFILL_BATCH = 64
USUAL_TARGETS = tuple(Target(tpot_s=limit_s) for limit_s in (0.015, 0.030, 0.050))
# Of rates this near to each other the smaller batch's is taken.
EQUAL_RATE = 0.999
EIGHT_BIT = ("fp8", "int8")


class Swept(NamedTuple):
    """Step seconds of batch 1, 2, 3, ..., with the ends of their interval, and what ends the sweep."""

    step_s: NDArray[np.float64]
    least_s: NDArray[np.float64]
    most_s: NDArray[np.float64]
    end: str

    def best(self, limit_s: float) -> int:
        """Return the batch with the highest rate of those in time, 0 where not even one sequence is.

        Within a thousandth the smaller batch is as good: a larger one only waits longer.
        """
        rates = _rates(self.step_s, limit_s)
        return int(np.argmax(rates >= rates.max() * EQUAL_RATE)) + 1 if rates.max() > 0 else 0

    def factors(self, limit_s: float) -> tuple[float, float]:
        """Return what the rate at the best batch may be of itself, for example (0.7, 1.2).

        Each end is solved with the steps' times at that end of their interval, and has a batch of its own; it is 0
        where then not even one sequence is in time.
        """
        batch = self.best(limit_s)
        rate = batch / self.step_s[batch - 1]
        slow, fast = (_rates(times, limit_s).max() / rate for times in (self.most_s, self.least_s))
        return min(float(slow), 1.0), max(float(fast), 1.0)

    def limit(self, limit_s: float) -> str:
        """Return what keeps the batch from being larger: the target, what ends the sweep, or that it yields no more."""
        free = self.best(np.inf)
        if self.best(limit_s) < free:
            return "latency target"
        return self.end if free == len(self.step_s) else "its rate, which grows no further"


def _rates(times: NDArray[np.float64], limit_s: float) -> NDArray[np.float64]:
    """Sequences a second at batch 1, 2, 3, ..., 0 where a step takes longer than the limit."""
    return np.where(times <= limit_s, np.arange(1, len(times) + 1) / times, 0.0)


def rows_at_targets(cases: Iterable[Case], device: str, targets: Iterable[Target]) -> list[Row]:
    """Return a device's modelled rows at each target, for each prefill and decode workload, length and precision.

    Decode is solved at a target's TPOT; where it has a TTFT too, a prompt as long as the context must make that.
    Prefill is solved at its TTFT. Beside each precision there is "8-bit": the device's own 8-bit path, fp8 where its
    sheet has it, else int8, so that two vendors' can be put side by side in the open.
    """
    wanted, every = list(targets), list(cases)
    rows: list[Row] = []
    for case in _one_per_batch(every):
        rows += _at(case, device, wanted, case.dtype)
    for case in _one_per_batch(msgspec.structs.replace(c, dtype="fp8") for c in every if c.dtype in EIGHT_BIT):
        rows += _at(msgspec.structs.replace(case, dtype=own_eight_bit(device)), device, wanted, pairs.EIGHT_BIT)
    return rows


def own_eight_bit(device: str) -> str:
    """Return the device's own 8-bit precision: fp8 where its sheet has a peak of it, else int8."""
    sheet = load_sheet(device)
    return next((dtype for dtype in EIGHT_BIT if sheet.peak_flops(dtype) is not None), EIGHT_BIT[0])


def sweep(case: Case, device: str) -> Swept:
    """Return the step's time at every batch that fits the memory.

    Raises: Unsupported where the sheet lacks a figure.
    """
    sheet = load_sheet(device)
    most, end = _most_in_memory(case, sheet)
    new = 1 if case.phase == "decode" else case.input_len or 1
    found = []
    # One sequence is priced alone: it cannot be halved, as the others are where two halves take turns.
    for batches in (np.arange(1, 2), np.arange(2, most + 1)):
        if len(batches):
            priced = price_step(case, Step(case.phase, batches, new, case.context or 1), device, sheet)
            times = (priced.step_s, *priced.interval)
            found.append([np.broadcast_to(np.asarray(each, dtype=np.float64), batches.shape) for each in times])
    step_s, least_s, most_s = (np.concatenate(each) for each in zip(*found, strict=True))
    return Swept(step_s, least_s, most_s, end)


def _one_per_batch(cases: Iterable[Case]) -> list[Case]:
    """Prefill and decode cases that differ in more than their batch."""
    found: dict[str, Case] = {}
    for case in cases:
        if case.phase in ("prefill", "decode"):
            alone = msgspec.structs.replace(case, batch=1)
            found.setdefault(alone.case_id, alone)
    return list(found.values())


def _at(case: Case, device: str, targets: list[Target], label: str) -> list[Row]:
    rows: list[Row] = []
    swept: Swept | None = None
    for limits, limit_s, reason in asked_of(case.phase, case.model, targets):
        if reason:
            rows += [missed(row, limits, reason, label, NO_LIMITS) for row in modelled_rows(case, device)]
            continue
        try:
            swept = swept or sweep(case, device)
        except Unsupported:
            rows += [named_by(row, limits, label) for row in modelled_rows(case, device)]
            continue
        alone = modelled_rows(case, device)
        prompt = _prompt(case, device, limits)
        times = [(alone[0].interval, limit_s), *([(prompt.interval, prompt.limit_s)] if prompt else [])]
        flag = ACROSS if unsure(times) else ""
        late = prompt.late if prompt else ""
        found = [] if late else solved_rows(case, device, swept, limit_s)
        if not found:
            for row in alone:
                why = late or f"even a batch of 1 takes ~{seconds(row.step_s)}"
                rows.append(missed(row, limits, why, label, flag))
            continue
        rows += [flagged(named_by(row, limits, label), flag) for row in found]
    return rows


class Prompt(NamedTuple):
    """The interval of a first token's time, its limit, and why decoding cannot start in time, where it cannot."""

    interval: tuple[float, float]
    limit_s: float
    late: str


def _prompt(case: Case, device: str, target: Target) -> Prompt | None:
    """A prompt as long as a decode case's context, which must be processed within the target's TTFT."""
    if case.phase != "decode" or target.ttft_s is None:
        return None
    context = case.context or 1
    prompt = msgspec.structs.replace(case, phase="prefill", batch=1, input_len=context)
    priced = price_step(prompt, prompt.step(), device, load_sheet(device))
    first_s, (low, high) = float(priced.step_s), priced.interval
    late = f"a prompt of {context} tokens takes ~{seconds(first_s)}, more than ttft={as_given(target.ttft_s)}"
    return Prompt((float(low), float(high)), target.ttft_s, late if first_s > target.ttft_s else "")


def _most_in_memory(case: Case, sheet: Sheet) -> tuple[int, str]:
    """Return the largest batch that fits, and what ends it there."""
    most = LARGEST_BATCH if case.phase == "decode" else LARGEST_PREFILL_BATCH
    if sheet.memory_bytes is None:
        return most, f"largest batch solved, {most}"
    new = 1 if case.phase == "decode" else case.input_len or 1
    step = Step(case.phase, np.arange(1, most + 1), new, case.context or 1)
    need = np.broadcast_to(np.asarray(read_cost(case.program(), step, case.dtype).memory_bytes), (most,))
    fits = int(np.count_nonzero(need <= sheet.memory_bytes * USABLE_MEMORY))
    return fits, "memory capacity" if fits < most else f"largest batch solved, {most}"


def solved_rows(case: Case, device: str, swept: Swept, limit_s: float) -> list[Row]:
    """Return a case's rows at the batch that yields the most in time, with what they may yield; none where none is."""
    batch = swept.best(limit_s)
    if batch == 0:
        return []
    rows, (low, high) = modelled_rows(msgspec.structs.replace(case, batch=batch), device), swept.factors(limit_s)
    for row in rows:
        rate = row.output_tokens_per_s or row.prompt_tokens_per_s
        row.rate_interval = None if rate is None else (rate * low, rate * high)
    return rows
