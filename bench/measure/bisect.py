"""Finds the largest batch in time on a device that is here, by measuring a few more where those measured say.

A batch is tried where the straight line between the nearest two crosses the target, above the largest by doubling,
below the smallest by halving; at most four for each workload and target, and none once two measured ones lie next to
each other or within 5 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from bench.measure.rows import case_of
from bench.measure.runner import Limits, Listen, Planned, run_cases
from bench.measure.targets import LARGEST_BATCH
from bench.results.interpolate import batch_between, bracket, families, near
from bench.results.record import Row
from bench.results.sessions import fold
from bench.results.store import Journal
from bench.results.target import Target, of_model

MOST = 4


def bisect_cases(
    planned: list[Planned], targets: Sequence[Target], journal: Journal, listen: Listen, limits: Limits = Limits()
) -> None:
    """Measure more batches of what was run until each target is bracketed closely; rows go to the same journal.

    Raises: KeyboardInterrupt and ResultError as `run_cases` does.
    """
    tried: Counter[str] = Counter()
    while more := _next(planned, targets, journal.run.rows, tried):
        run_cases(more, journal, listen, limits)


def _next(planned: list[Planned], targets: Sequence[Target], rows: list[Row], tried: Counter[str]) -> list[Planned]:
    """Return the next batch of each family and target that is not yet bracketed; counts what is tried."""
    found: dict[tuple[str, str], Planned] = {}
    known = {(row.device, row.case_id) for row in rows}
    here = {each.device: each for each in planned if each.present}
    for phase in ("prefill", "decode"):
        for family in families(fold(rows), phase):
            row = next(iter(family.values()))
            for target in targets:
                limits = of_model(target, row.model)
                limit_s = None if isinstance(limits, str) else limits.limit_s(phase)
                batch = None if limit_s is None or row.device not in here else next_batch(family, limit_s)
                if batch is None:
                    continue
                case = msgspec.structs.replace(case_of(row), batch=batch)
                name = f"{row.device} {msgspec.structs.replace(case, batch=1).case_id} {target}"
                # What was tried and failed is not tried again.
                if tried[name] < MOST and (row.device, case.case_id) not in known:
                    tried[name] += 1
                    each = msgspec.structs.replace(here[row.device], case=case)
                    found[each.key] = each
    return list(found.values())


def next_batch(family: dict[int, Row], limit_s: float) -> int | None:
    """Return the batch to measure next, or None where the limit is bracketed closely or cannot be."""
    inside, beyond = bracket(family, limit_s)
    if inside is None:
        smallest = min(family)
        return smallest // 2 if smallest > 1 else None
    if beyond is None:
        return min(inside * 2, LARGEST_BATCH) if inside < LARGEST_BATCH else None
    if near(inside, beyond):
        return None
    return min(max(batch_between(family, inside, beyond, limit_s), inside + 1), beyond - 1)
