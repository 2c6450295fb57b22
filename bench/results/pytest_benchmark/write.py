"""A run in the form of pytest-benchmark's JSON, so that its `compare`, its histograms and its storage read it.

One benchmark per device and case, the samples of all sessions in one list. `extra_info.rows` and the document's own
`bench` hold what `read` needs to make the same run of it again.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from bench.results.machine import fingerprint
from bench.results.record import SCHEMA_VERSION, Environment, Row, Run

# The version of pytest-benchmark whose form this is; it reads the documents of any.
FORM = "5.0.0"
# What the samples' clock is called among a benchmark's options.
CLOCK = "device_clock"
# Where the tests lie that the plugin makes of cases, one file that is none for each device.
FOLDER = "bench"
# Figures of a row that people look for in `extra_info`; the whole row is beside them.
FIGURES = (
    "case_id", "definition_hash", "device", "device_name", "dtype", "source", "flops", "read_bytes", "written_bytes",
    "mfu", "mbu", "mfu_achieved", "mbu_achieved", "prompt_tokens_per_s", "output_tokens_per_s",
)  # fmt: skip


def full_name(device: str, case_id: str) -> str:
    """Return what pytest-benchmark joins results by: the test that the plugin makes of a case."""
    return f"{FOLDER}/{device}::{case_id}"


def left_out(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Return the rows that have no place in such a document, each with the reason: a benchmark is a timing."""
    found = []
    for row in rows:
        if row.source != "measured":
            found.append((row, f"{row.source}: no timing"))
        elif row.status != "ok":
            found.append((row, f"{row.status}: {row.reason or 'no reason told'}"))
        elif not row.samples_s:
            found.append((row, "it has no samples"))
    return found


def document(run: Run) -> dict[str, Any]:
    """Return a run's measured rows as pytest-benchmark writes benchmarks; `left_out` names the rows that are not in."""
    without = {id(row) for row, _ in left_out(run.rows)}
    cases: dict[tuple[str, str], list[Row]] = {}
    for row in run.rows:
        if id(row) not in without:
            cases.setdefault((row.device, row.case_id), []).append(row)
    environment = run.environment
    return {
        "machine_info": _machine_info(environment),
        "commit_info": _commit_info(environment.commit),
        "benchmarks": [_benchmark(rows, environment) for rows in cases.values()],
        "datetime": environment.created,
        "version": FORM,
        "bench": head(environment),
    }


def head(environment: Environment) -> dict[str, Any]:
    """Return what a document says of us beside its benchmarks."""
    return {"schema": SCHEMA_VERSION, "environment": msgspec.to_builtins(environment)}


def extra_info(rows: Sequence[Row], environment: Environment) -> dict[str, Any]:
    """Return what a benchmark carries of a case's rows, one a session; samples are in its `stats.data`, in this order.

    Figures are those of the first row; missing is null.
    """
    first = rows[0]
    return {
        **{name: getattr(first, name) for name in FIGURES},
        "fingerprint": fingerprint(environment, first.device),
        "rows": [_without_samples(row) for row in rows],
    }


def _without_samples(row: Row) -> dict[str, Any]:
    kept = {key: value for key, value in msgspec.to_builtins(row).items() if value not in (None, [], {})}
    return {**kept, "samples_s": len(row.samples_s or ())}


def _benchmark(rows: list[Row], environment: Environment) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: row.session)
    first = rows[0]
    samples = [sample for row in rows for sample in row.samples_s or ()]
    return {
        "group": first.workload,
        "name": first.case_id,
        "fullname": full_name(first.device, first.case_id),
        "params": None,
        "param": None,
        "extra_info": extra_info(rows, environment),
        "options": {"disable_gc": False, "timer": CLOCK, "warmup": True},
        "stats": stats(samples),
    }


def stats(samples: Sequence[float]) -> dict[str, Any]:
    """Return the statistics of pytest-benchmark, with its own definitions of quartiles and outliers."""
    data = sorted(samples)
    mean, deviation = statistics.mean(data), statistics.stdev(data) if len(data) > 1 else 0.0
    q1, q3 = _quartiles(data)
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    far = sum(abs(value - mean) > deviation for value in data)
    outside = sum(not low <= value <= high for value in data)
    total = math.fsum(data)
    return {
        "min": data[0], "max": data[-1], "mean": mean, "stddev": deviation, "rounds": len(data),
        "median": statistics.median(data), "iqr": q3 - q1, "q1": q1, "q3": q3, "iqr_outliers": outside,
        "stddev_outliers": far, "outliers": f"{far};{outside}",
        "ld15iqr": data[bisect_left(data, low)], "hd15iqr": data[bisect_right(data, high) - 1],
        "ops": len(data) / total, "total": total, "data": list(samples), "iterations": 1,
    }  # fmt: skip


def _quartiles(data: list[float]) -> tuple[float, float]:
    """The medians of both halves; of an odd number, weighted between halves with and without the middle one.

    Source: https://en.wikipedia.org/wiki/Quartile, methods 2 and 3, which pytest-benchmark takes.
    """
    n = len(data)
    if n == 1:
        return data[0], data[0]
    if n % 2 == 0:
        return statistics.median(data[: n // 2]), statistics.median(data[n // 2 :])
    k, rest = divmod(n, 4)
    if rest == 1:
        return (data[k - 1] + 3 * data[k]) / 4, (3 * data[3 * k] + data[3 * k + 1]) / 4
    return (3 * data[k] + data[k + 1]) / 4, (data[3 * k + 1] + 3 * data[3 * k + 2]) / 4


def _machine_info(environment: Environment) -> dict[str, Any]:
    system, _, release = environment.os.partition(" ")
    return {
        "node": environment.host,
        "python_version": environment.python,
        "python_implementation": "CPython",
        "release": release,
        "system": system,
        "cpu": {"brand_raw": environment.cpu, "count": environment.threads or environment.cores},
    }


def _commit_info(commit: str | None) -> dict[str, Any]:
    dirty = None if commit is None else commit.endswith("+")
    name = None if commit is None else commit.rstrip("+")
    return {"id": name or "unversioned", "dirty": dirty, "time": None, "author_time": None, "branch": None}
