"""Sessions out of run files: what the gate judges, whether it comes from runs or from a stored baseline.

A session is one pass over the cases in processes of its own; a sitting is one `bench run`, whose sessions follow each
other at once. Of the samples only their number, median and quartiles are kept: the gate needs no more, and a baseline
stays a file that a person can review. The raw samples are in the run file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from bench.results.environment import settings
from bench.results.gate.document import LeftOut
from bench.results.gate.metrics import KEPT
from bench.results.gate.verdict import DISTURBED_CORES, Series, Session
from bench.results.machine import fingerprint, machine
from bench.results.record import Row, Run, Source
from bench.units import counted

Key = tuple[str, str, str]
# The device that runs on the cores which others may take.
CPU = "cpu"
# What sessions that others disturbed do to a baseline.
WIDE_LIMITS = (
    "the limits are as wide as that spread makes them; save sessions of a quiet machine (bench explain others_cores)"
)


class Value(msgspec.Struct, frozen=True, array_like=True):
    """The samples of one metric in one session: how many, their median on a log scale, and their quartiles.

    others: cores that others took meanwhile.
    """

    count: int
    median: float
    low: float
    high: float
    others: float | None = None


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One session: when and where it was, on which machine each device was (fingerprints), and its software."""

    label: str
    run: str
    number: int
    created: str
    host: str
    commit: str | None = None
    machines: dict[str, str] = {}
    settings: dict[str, str] = {}


class Held(msgspec.Struct, kw_only=True):
    """One metric of one case on one device, of one definition: session label -> value."""

    device: str
    case_id: str
    workload: str
    metric: str
    source: Source
    dtype: str
    definition_hash: str
    values: dict[str, Value] = {}

    @property
    def key(self) -> Key:
        return self.device, self.case_id, self.metric

    @property
    def identity(self) -> tuple[str, ...]:
        return *self.key, self.source, self.dtype, self.definition_hash


class Gathered(msgspec.Struct, kw_only=True):
    """Sessions with all that was taken in them. machines: fingerprint -> the facts behind it."""

    sessions: list[Pass] = []
    cases: list[Held] = []
    machines: dict[str, dict[str, str]] = {}

    def add(self, other: Gathered) -> list[str]:
        """Take over the sessions of another that are not here yet; return their labels."""
        new = [one for one in other.sessions if one.label not in {mine.label for mine in self.sessions}]
        labels = {one.label for one in new}
        self.sessions = sorted([*self.sessions, *new], key=lambda one: (one.created, one.run, one.number))
        self.machines |= other.machines
        held = {one.identity: one for one in self.cases}
        for theirs in other.cases:
            values = {label: value for label, value in theirs.values.items() if label in labels}
            if not values:
                continue
            mine = held.get(theirs.identity)
            if mine is None:
                held[theirs.identity] = msgspec.structs.replace(theirs, values=values)
            else:
                mine.values |= values
        self.cases = list(held.values())
        return [one.label for one in new]


def gather(run: Run, side: str = "candidate") -> tuple[Gathered, list[LeftOut]]:
    """Return what a run took, session by session, and the cases that gave no number, with the reason."""
    environment = run.environment
    software = settings(environment)
    devices = list(dict.fromkeys(row.device for row in run.rows))
    marks = {device: fingerprint(environment, device) for device in devices}
    found = Gathered(machines={marks[device]: machine(environment, device) for device in devices})
    held: dict[tuple[str, ...], Held] = {}
    left: dict[tuple[str, str, str], LeftOut] = {}
    for session in sorted({row.session for row in run.rows}):
        found.sessions.append(
            Pass(label=f"{run.id}/{session}", run=run.id, number=session, created=environment.created,
                 host=environment.host, commit=environment.commit, machines=marks, settings=software)
        )  # fmt: skip
    for row in run.rows:
        if row.devices > 1:
            continue  # a package's row is its die's, counted again
        status, reason = row.status, row.reason or ""
        if row.status == "ok":
            try:
                values = _values(row)
            except ValueError as error:
                status, reason = "invalid", str(error)
            else:
                for metric, value in values.items():
                    one = Held(device=row.device, case_id=row.case_id, workload=row.workload, metric=metric,
                               source=row.source, dtype=row.dtype, definition_hash=row.definition_hash)  # fmt: skip
                    held.setdefault(one.identity, one).values[f"{run.id}/{row.session}"] = value
                continue
        left[row.device, row.case_id, status] = LeftOut(
            side="baseline" if side == "baseline" else "candidate", device=row.device, case_id=row.case_id,
            status=status, reason=reason,
        )  # fmt: skip
    found.cases = list(held.values())
    return found, list(left.values())


def _values(row: Row) -> dict[str, Value]:
    """Return metric -> value of one row.

    Raises: ValueError in words where a number cannot be, or there is none.
    """
    if row.source == "measured" and not row.samples_s:
        raise ValueError("the row has no samples")
    found = {}
    for metric in KEPT:
        number = getattr(row, metric)
        if number is None:
            continue
        samples = row.samples_s if metric == "step_s" and row.samples_s else [number]
        found[metric] = msgspec.structs.replace(summed_up(metric, samples), others=row.others_cores)
    if not found:
        raise ValueError("the row has no time")
    return found


def summed_up(metric: str, samples: Sequence[float]) -> Value:
    """Return the value of a session's samples.

    Raises: ValueError for a sample that cannot be.
    """
    for sample in samples:
        if not (math.isfinite(sample) and sample > 0):
            raise ValueError(f"{metric}: sample {sample} cannot be; samples are finite and above 0")
    low, median, high = np.exp(np.quantile(np.log(samples), (0.25, 0.5, 0.75)))
    return Value(len(samples), *(float(f"{value:.6g}") for value in (median, low, high)))


def series(gathered: Gathered, *, fewest: int | None = None, like: Gathered | None = None) -> list[Series]:
    """Return what `check` takes: one series per metric of a case, its sessions in the order of time.

    like: the other side; of several machines or definitions here, those that it has too are taken, where there are any.
    fewest: where there are fewer sittings than this, each session counts for itself (a baseline made in one go would
    otherwise never know its spread; what changes from hour to hour is then missing in it, and has to be said).
    """
    order = {one.label: index for index, one in enumerate(gathered.sessions)}
    passes = {one.label: one for one in gathered.sessions}
    wanted = _identities(like)
    by_key: dict[Key, list[tuple[Held, str]]] = {}
    for held in gathered.cases:
        by_key.setdefault(held.key, []).extend((held, label) for label in held.values)
    found = []
    for key, every in by_key.items():
        chosen = _alike(every, passes, wanted.get(key, set()))
        chosen.sort(key=lambda each: order[each[1]])
        apart = fewest is not None and len({passes[label].run for _, label in chosen}) < fewest
        found.append(Series(
            device=key[0], case_id=key[1], metric=key[2],
            sessions=[_session(held, passes[label], gathered.machines) for held, label in chosen], apart=apart,
        ))  # fmt: skip
    return found


def _identities(like: Gathered | None) -> dict[Key, set[tuple[str, ...]]]:
    found: dict[Key, set[tuple[str, ...]]] = {}
    if like is not None:
        marks = {one.label: one.machines for one in like.sessions}
        for held in like.cases:
            for label in held.values:
                identity = (held.source, held.dtype, held.definition_hash, marks[label].get(held.device, ""))
                found.setdefault(held.key, set()).add(identity)
    return found


def _alike(
    every: list[tuple[Held, str]], passes: dict[str, Pass], wanted: set[tuple[str, ...]]
) -> list[tuple[Held, str]]:
    """Return the sessions that are made as the other side's are; all of them where none is."""
    alike = [
        (held, label)
        for held, label in every
        if (held.source, held.dtype, held.definition_hash, passes[label].machines.get(held.device, "")) in wanted
    ]
    return alike or list(every)


def _session(held: Held, one: Pass, machines: dict[str, dict[str, str]]) -> Session:
    value, mark = held.values[one.label], one.machines.get(held.device, "not known")
    return Session(
        label=one.label, sitting=one.run, samples=[value.median], count=value.count,
        quartiles=(value.low, value.high), others=value.others, source=held.source,
        fingerprint=mark, machine=machines.get(mark, {}), definition_hash=held.definition_hash, dtype=held.dtype,
    )  # fmt: skip


def sittings(gathered: Gathered) -> int:
    """Return in how many sittings the sessions were made."""
    return len({one.run for one in gathered.sessions})


def on_its_machines(gathered: Gathered, like: Gathered) -> list[Pass]:
    """Return the sessions that were made on machines of the other side's, or all where none was."""
    places = {mark for one in like.sessions for mark in one.machines.items()}
    return [one for one in gathered.sessions if places & set(one.machines.items())] or gathered.sessions


def disturbed_text(gathered: Gathered, like: Gathered | None = None) -> str:
    """Return in one line how many of the sessions others disturbed, "" where none.

    like: the other side; only sessions on its machines count, where there are any. Of cores only: an accelerator's
    step leaves most of them idle.
    """
    here = {one.label for one in on_its_machines(gathered, like or gathered)}
    values = [
        (label, value.others)
        for held in gathered.cases
        if held.device == CPU and held.metric == "step_s" and held.source == "measured"
        for label, value in held.values.items()
        if label in here
    ]
    moved = [label for label, others in values if others is not None and others > DISTURBED_CORES]
    if not moved:
        return ""
    return (
        f"others took cores beside {len(set(moved))} of {counted(len({label for label, _ in values}), 'session')}"
        f" ({len(moved)} of {counted(len(values), 'time')})"
    )


def merged(parts: Iterable[Gathered]) -> Gathered:
    """Return the sessions of several as one, each session once."""
    found = Gathered()
    for part in parts:
        found.add(part)
    return found
