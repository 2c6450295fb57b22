"""pytest-benchmark's JSON read as a run: our own rows as they were, any other test as a measured row of phase "kernel".

What a test of another project is called, its parameters and the clock it was timed by make its definition; what it is
written to be compared by stays the test's full name. A file that was saved without samples (pytest-benchmark keeps them
only with --benchmark-save-data) gives one sample a row, the median, and a note that says so.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from bench.errors import ResultError
from bench.results.machine import fingerprint
from bench.results.record import SCHEMA_VERSION, Environment, Row, Run
from bench.results.summary import (
    FEWEST_FOR_P90,
    FEWEST_FOR_P99,
    median,
    median_interval,
    oddities,
    percentile,
)

OLDEST, NEWEST = 3, 5
# Tests of other projects are timed by the host's clock, whatever they run.
DEVICE = "cpu"
NO_DTYPE = "-"
# How pytest-benchmark writes a parameter that JSON cannot hold: it shows the object's address.
OPAQUE = "UNSERIALIZABLE["
# Samples are kept with six digits, so that their median may differ a little from the row's.
SAME = 1e-4
NO_COMMIT = ("unversioned", "unknown", "(unknown)")


class _Cpu(msgspec.Struct):
    brand_raw: str | None = None
    brand: str | None = None
    count: int | None = None


class _Machine(msgspec.Struct):
    node: str = "not told"
    processor: str = ""
    machine: str = ""
    system: str = "system not told"
    release: str = ""
    python_implementation: str = "CPython"
    python_version: str = "not told"
    cpu: _Cpu = msgspec.field(default_factory=_Cpu)


class _Commit(msgspec.Struct):
    id: str | None = None
    dirty: bool | None = None


class _Stats(msgspec.Struct):
    median: float
    rounds: int
    iterations: int = 1
    data: list[float] | None = None


class _Benchmark(msgspec.Struct):
    fullname: str
    stats: _Stats
    params: dict[str, Any] | None = None
    options: dict[str, Any] = {}
    extra_info: dict[str, Any] = {}


class _Head(msgspec.Struct):
    schema: int
    environment: Environment


class _Document(msgspec.Struct):
    machine_info: _Machine
    benchmarks: list[_Benchmark]
    datetime: str
    version: str
    commit_info: _Commit | None = None
    bench: _Head | None = None


def is_document(content: bytes) -> bool:
    """Whether a file's content looks like pytest-benchmark's: looked at without reading it as JSON."""
    return b'"machine_info"' in content and b'"benchmarks"' in content


def read(content: bytes, where: str) -> Run | None:
    """Return a document as a run, or None where it is JSON of another kind; `where` names the file in errors.

    Raises: ResultError for what cannot be read, or holds a number that no clock gave.
    """
    try:
        # The standard library's: it lets NaN pass, so that the benchmark that has one can be named.
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{where}: not readable as JSON ({error}); the file is cut off, write it again") from None
    if not isinstance(found, dict) or not {"machine_info", "benchmarks"} <= set(found):
        return None
    try:
        document = msgspec.convert(found, _Document)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise ResultError(f"{where}: not as pytest-benchmark writes it: {error}") from None
    warnings = _check_version(document, where)
    environment = _environment(document, where)
    environment.warnings += warnings
    rows = [row for each in document.benchmarks for row in _rows(each, environment, where)]
    _number(rows)
    environment.sessions = max((row.session for row in rows), default=1)
    created = re.sub(r"[^0-9T]", "-", environment.created[:19])
    return Run(
        id=f"{created}_pytest_{hashlib.sha256(content).hexdigest()[:8]}",
        schema=SCHEMA_VERSION,
        environment=environment,
        rows=rows,
    )


def _check_version(document: _Document, where: str) -> list[str]:
    """Return a warning for a version that is newer than the newest known."""
    if document.bench is not None and not 1 <= document.bench.schema <= SCHEMA_VERSION:
        raise ResultError(
            f"{where}: bench.schema {document.bench.schema} is not one of 1 to {SCHEMA_VERSION}, which this version"
            " reads; upgrade accelbench"
        )
    major = re.match(r"\d+", document.version)
    if major is None or int(major[0]) < OLDEST:
        raise ResultError(
            f"{where}: version '{document.version}' of pytest-benchmark is not read; write it with {OLDEST} or newer"
        )
    if int(major[0]) > NEWEST:
        return [f"written by pytest-benchmark {document.version}; the newest form known here is {NEWEST}"]
    return []


def _environment(document: _Document, where: str) -> Environment:
    """What the numbers were made on: as we wrote it, else as far as `machine_info` tells."""
    if document.bench is not None:
        return document.bench.environment
    machine, commit = document.machine_info, document.commit_info
    cpu = machine.cpu.brand_raw or machine.cpu.brand or machine.processor or machine.machine or "not told"
    known = commit is not None and bool(commit.id) and commit.id not in NO_COMMIT
    plain = machine.python_implementation == "CPython"
    environment = Environment(
        bench_version=f"pytest-benchmark {document.version}",
        created=_created(document.datetime, where),
        command="pytest",
        host=machine.node,
        fingerprint="",
        python=machine.python_version if plain else f"{machine.python_implementation} {machine.python_version}",
        os=f"{machine.system} {machine.release}".strip(),
        cpu=cpu,
        cores=machine.cpu.count or 1,
        threads=machine.cpu.count,
        commit=f"{(commit.id or '')[:12]}{'+' if commit.dirty else ''}" if commit and known else None,
        devices={DEVICE: {"name": cpu} | ({"arch": machine.machine} if machine.machine else {})},
        warnings=[] if machine.cpu.count else ["machine_info does not tell how many cores; one is assumed"],
    )
    environment.fingerprint = fingerprint(environment, DEVICE)
    return environment


def _created(text: str, where: str) -> str:
    """Return the document's time in UTC; version 4 wrote it without its zone."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ResultError(f"{where}: datetime '{text}' is no time such as 2026-11-22T12:00:00") from None
    aware = time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)
    return aware.isoformat(timespec="seconds")


def _rows(each: _Benchmark, environment: Environment, where: str) -> Iterator[Row]:
    # A lone surrogate, which JSON can spell, could be neither printed nor saved.
    each.fullname = each.fullname.encode("utf-8", errors="replace").decode()
    place = f"{where}: benchmark '{each.fullname}'"
    samples = each.stats.data or [each.stats.median]
    for sample in samples:
        if not 0 < sample < math.inf:
            raise ResultError(f"{place}: sample {sample} cannot be; times are finite and above 0, take it again")
    if "rows" not in each.extra_info or "case_id" not in each.extra_info:
        yield _foreign(each, samples, environment)
        return
    for own, part in _ours(each, samples, place):
        yield _own_row(own, part, each, place)


def _ours(each: _Benchmark, samples: list[float], place: str) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """Yield each row that `extra_info` holds, without its samples, and its part of them."""
    rows = each.extra_info["rows"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ResultError(f"{place}: extra_info.rows is not a list of rows, as bench writes it")
    counts = [row.get("samples_s") for row in rows]
    if not each.stats.data:
        for row in rows:
            yield row, [row["step_s"]] if isinstance(row.get("step_s"), float) else samples
        return
    if not all(isinstance(count, int) and count > 0 for count in counts) or sum(counts) != len(samples):
        raise ResultError(
            f"{place}: extra_info.rows shares out {counts} samples, stats.data has {len(samples)}; the file was changed"
        )
    start = 0
    for row, count in zip(rows, counts, strict=True):
        yield row, samples[start : start + count]
        start += count


def _own_row(own: dict[str, Any], samples: list[float], each: _Benchmark, place: str) -> Row:
    try:
        row = msgspec.convert({**own, "samples_s": samples}, Row)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ResultError(f"{place}: extra_info.rows: {error}; not as bench wrote it") from None
    if row.source != "measured" or row.status != "ok":
        raise ResultError(f"{place}: extra_info calls it {row.source}, {row.status}; only a measured row is a timing")
    if not each.stats.data:
        row.notes = [*row.notes, _no_samples(each)]
    elif row.step_s is None or not math.isclose(row.step_s, median(samples), rel_tol=SAME):
        raise ResultError(
            f"{place}: extra_info has a median of {row.step_s} s, its samples {median(samples)} s; the file was changed"
        )
    return row


def _no_samples(each: _Benchmark) -> str:
    return f"saved without samples (--benchmark-save-data keeps them): the median stands for {each.stats.rounds} rounds"


def _foreign(each: _Benchmark, samples: list[float], environment: Environment) -> Row:
    """A test of any project: named by its full name, its definition what decides the work as far as it is told."""
    definition = {
        "test": each.fullname,
        "params": {key: _stable(value) for key, value in (each.params or {}).items()},
        "options": {key: each.options.get(key) for key in ("timer", "disable_gc")},
    }
    told = bool(each.stats.data)
    interval = median_interval(samples) if told else None
    dtype = each.extra_info.get("dtype")
    return Row(
        case_id=each.fullname, workload=each.fullname.partition("[")[0], phase="kernel",
        dtype=dtype if isinstance(dtype, str) else NO_DTYPE,
        definition_hash=definition_hash(definition), definition=definition,
        device=DEVICE, device_name=environment.cpu, unit="machine",
        source="measured", status="ok", scope="what the test calls, by the host's clock",
        notes=[] if told else [_no_samples(each)],
        step_s=median(samples), samples_s=samples, interval=interval,
        interval_kind="95 % of the median, order statistics, one process" if interval else None,
        p90_s=percentile(samples, 0.9, FEWEST_FOR_P90), p99_s=percentile(samples, 0.99, FEWEST_FOR_P99),
        calls_per_sample=each.stats.iterations, flags=oddities(samples),
    )  # fmt: skip


def _stable(value: object) -> object:
    """A parameter without what changes from run to run: an object that JSON cannot hold is shown with its address."""
    return "not told" if isinstance(value, str) and value.startswith(OPAQUE) else value


def definition_hash(definition: dict[str, Any]) -> str:
    """Return the hash of what a person's own test is."""
    text = json.dumps(definition, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _number(rows: Sequence[Row]) -> None:
    """Number what was measured more than once under one name as sessions, in the document's order."""
    seen: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        taken = seen.setdefault((row.device, row.case_id), set())
        if row.session in taken:
            row.session = max(taken) + 1
        taken.add(row.session)
