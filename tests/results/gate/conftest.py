"""Runs to gather, rows of a case with as many sessions as times are given; and a baseline of five of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.results.gate.baseline import Baseline
from bench.results.gate.gather import gather
from bench.results.record import Run

CPU = {"name": "A CPU", "cores": "2", "threads": "2", "memory": "25.2 GB"}


@pytest.fixture
def ran(row: Callable[..., object], environment: Callable[..., object]) -> Callable[..., Run]:
    """Return a function that makes a run: case id -> one time for each session (seconds)."""

    def make(run_id: str, times: dict[str, list[float]], *, told=None, created=None, commit="c0ffee", **changes) -> Run:
        hour = run_id.rpartition("-")[2]
        rows = [
            row(case_id=case_id, workload=case_id.partition("[")[0], session=index + 1, samples_s=[seconds] * 3,
                step_s=seconds, **changes)
            for case_id, every in times.items()
            for index, seconds in enumerate(every)
        ]  # fmt: skip
        made = environment(
            devices={"cpu": told or CPU}, created=created or f"2026-11-21T{hour:0>2}:00:00+00:00", commit=commit
        )
        return Run(id=run_id, environment=made, rows=rows)

    return make


@pytest.fixture
def base(ran: Callable[..., Run]) -> Baseline:
    """A baseline of five sittings: tiny[b=1] around 1 s, tiny[b=2] around 2 s."""
    made = Baseline(name="main")
    for hour in range(1, 6):
        made.add(gather(ran(f"run-{hour}", {"tiny[b=1]": [1.0], "tiny[b=2]": [2.0]}))[0])
    return made
