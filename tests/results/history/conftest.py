"""Folders of run files: written quickly, by the thousand, as small or as large as real ones."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.results.record import Environment, Row, Run

FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    runs.mkdir()
    return runs


@pytest.fixture
def put(folder: Path, row: Callable[..., Row], environment: Callable[..., Environment]) -> Callable[..., Path]:
    """Return a function that writes run number `day` of January 2026, a row for every time given."""

    def write(day: float, *steps: float, place: str = "", run_id: str = "", **changes: Any) -> Path:
        created = (FIRST + datetime.timedelta(days=day)).isoformat()
        fields = {name: changes.pop(name) for name in list(changes) if name in Environment.__struct_fields__}
        rows = [row(step_s=step, session=number, **changes) for number, step in enumerate(steps, 1)]
        run_id = run_id or f"run-{day:05.1f}"
        run = Run(id=run_id, environment=environment(**{"created": created, **fields}), rows=rows)
        path = folder / place / f"{run_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(run))
        return path

    return write


@pytest.fixture
def many(folder: Path) -> Callable[..., None]:
    """Return a function that writes runs of 36 rows and about 17 kB each, on six machines in turn, one an hour."""
    return lambda numbers, **keys: write_many(folder, numbers, **keys)


def write_many(folder: Path, numbers: Sequence[int], rows: int = 36, slower: float = 1.05) -> None:
    """Write runs; in every sixth case the last twenty runs of a machine take `slower` times as long."""
    rng = random.Random(1)
    last = max(numbers)
    for number in numbers:
        machine = number % 6
        late = number > last - 20 * 6
        created = FIRST + datetime.timedelta(hours=number)
        lines = []
        for case in range(rows):
            typical = 0.001 * (case + 1) * (slower if late and case % 6 == 0 else 1)
            samples = [typical * rng.gauss(1, 0.005) for _ in range(8)]
            step = sorted(samples)[4] * rng.gauss(1, 0.01)
            lines.append(
                f'{{"case_id":"llama-3.1-8b-decode[b={case},ctx=4k,bf16]","workload":"llama-3.1-8b-decode",'
                f'"phase":"decode","dtype":"bf16","definition_hash":"{case:016x}","definition":{{}},"device":"cuda:0",'
                f'"device_name":"NVIDIA H100 80GB HBM3","unit":"package","source":"measured","status":"ok",'
                f'"step_s":{step!r},"tpot_s":{step!r},"output_tokens_per_s":{case / step!r},"memory_peak_bytes":3e9,'
                f'"power_w":512.5,"joules_per_token":0.25,"launch":"graph","samples_s":{samples!r}}}'
            )
        head = (
            f'{{"schema":3,"id":"run-{number:06d}","complete":true,"planned":[],"environment":{{"bench_version":"0.1.0",'
            f'"created":"{created.isoformat()}","command":"bench run","host":"node-{machine}","fingerprint":"abc",'
            f'"python":"3.11.7","os":"Linux 6.{number // 5000}","cpu":"EPYC {machine}","cores":64,'
            f'"commit":"{number // 6:012x}","packages":{{"torch":"2.{number // 4000}.0"}},'
            f'"devices":{{"cuda:0":{{"name":"NVIDIA H100 80GB HBM3","memory":"80.0 GB","driver":"550.{machine}"}}}}}},'
        )
        (folder / f"run-{number:06d}.json").write_text(f'{head}"rows":[{",".join(lines)}]}}')
