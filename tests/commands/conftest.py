"""A folder of one's own with tiny definitions, and a CPU that is always alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.measure.runner import Event, Planned
from bench.results.record import Row
from bench.workloads.schema import Case


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, without a shell's settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("BENCH_RESULTS", "COLUMNS", "CI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def case() -> Callable[..., Case]:
    """Return a function that makes the case of a small product, changed as named."""
    return lambda **changes: Case(
        **{"workload": "tiny", "phase": "kernel", "kernel": "gemm", "dtype": "bf16",
           "dims": {"m": 1, "n": 64, "k": 64}, "time_s": 2.0, **changes}
    )  # fmt: skip


@pytest.fixture
def row(case: Callable[..., Case]) -> Callable[..., Row]:
    """Return a function that makes a measured row of 4 ms, changed as named."""
    return lambda **changes: Row(
        **{"case_id": case().case_id, "workload": "tiny", "phase": "kernel", "dtype": "bf16", "definition_hash": "0" * 16,
           "definition": {}, "device": "cpu", "device_name": "A CPU", "unit": "machine", "source": "measured",
           "status": "ok", "step_s": 0.004, "interval": (0.00396, 0.00404), "flops": 8192.0, "read_bytes": 8320.0,
           "written_bytes": 128.0, **changes}
    )  # fmt: skip


@pytest.fixture
def event(case: Callable[..., Case]) -> Callable[..., Event]:
    """Return a function that makes the event of a case that gave its rows, the second of twelve."""

    def make(*rows: Any, kind: str = "rows", phase: str = "") -> Event:
        return Event(kind, Planned("cpu", case(), True), 1, 12, phase, rows)

    return make
