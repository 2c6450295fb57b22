"""bench run --at on this CPU: more batches are measured, and the table says what was measured and what was read off."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Bench = Callable[..., Any]


@pytest.mark.slow
def test_a_few_more_batches_are_measured_to_find_the_largest_in_time(bench: Bench) -> None:
    quick = ("mini-dense-decode", "--context", "64", "--time", "0.2")
    first = bench("run", *quick, "--batch", "1,256", "--format", "json").json["rows"]
    middle_ms = sum(row["step_s"] for row in first) / 2 * 1e3
    done = bench("run", *quick, "--batch", "1,256", "--at", f"tpot={middle_ms:.3f}ms")
    assert done.code == 0
    rows = json.loads(done.run_files[-1].read_text())["rows"]
    batches = [row["batch"] for row in rows]
    assert batches[:2] == [1, 256]
    assert 1 <= len(batches) - 2 <= 4
    assert len(set(batches)) == len(batches)
    assert "At service targets, the largest batch in time:" in done.out
    assert "measured" in done.out


def test_a_sheet_is_not_measured(bench: Bench) -> None:
    done = bench("run", "mini-dense-decode", "-d", "h100-sxm", "--at", "50ms")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --at measures on a device that is here; for a sheet: bench compare A B --at")
    assert done.run_files == []


def test_a_target_that_cannot_be_read_starts_nothing(bench: Bench) -> None:
    done = bench("run", "mini-dense-decode", "--at", "soon")
    assert done.code == 2
    assert "'soon' is not a target" in done.err
    assert not (done.folder / "results").exists()
