"""What the tables hold of one run file, and how it gets there."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from typing import Any

import sqlalchemy as sa

from bench.errors import ResultError
from bench.results.doubt import doubt
from bench.results.environment import settings
from bench.results.history import tables
from bench.results.machine import fingerprint, machine
from bench.results.record import Row, Run

# No name is longer; a text of megabytes in every list would be.
MOST_TEXT = 10_000


class Writer:
    """Puts runs into the tables of one connection; what runs share is looked up once.

    Several processes may write to one database: whoever comes second waits, and takes what the first has made. All take
    what they share in the same order, so that no two wait for each other.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str], int] = {}
        self._points: list[dict[str, Any]] = []

    def add(self, run: Run) -> int | None:
        """Add a run and return its number; None where a run of this id is there already.

        Its rows are kept until `flush`: many at once are quicker. Raises: ResultError for a time that cannot be read.
        """
        environment, at = run.environment, milliseconds(run.environment.created)
        rows = [(row, found) for row in run.rows if (found := numbers(row)) is not None]
        told = settings(environment)
        del told["commit"]
        devices = dict.fromkeys(row.device for row, _ in rows)
        machines = {device: machine(environment, device) for device in devices}
        marks = {device: fingerprint(environment, device) for device in devices}
        made = [_made(row) for row, _ in rows]
        self._ensure(tables.facts, [_facts(content) for content in (told, *machines.values(), *made)])
        number = self._insert(tables.run, tables.run.c.run_id, {
            "run_id": text(run.id), "at": at, "settings": self._known["bench_facts", _digest(told)],
            "commit": None if environment.commit is None else text(environment.commit),
        })  # fmt: skip
        if number is None:
            return None
        lines = [_series(row, marks[row.device]) for row, _ in rows]
        for line, (row, _) in zip(lines, rows, strict=True):
            line["facts"] = self._known["bench_facts", _digest(machines[row.device])]
        self._ensure(tables.series, lines)
        points: dict[tuple[int, int], dict[str, Any]] = {}
        for line, how, (row, found) in zip(lines, made, rows, strict=True):
            series = self._known["bench_series", line["digest"]]
            # A file that holds a row twice counts it once.
            points.setdefault((series, row.session), {
                "series": series, "at": at, "run": number, "session": row.session,
                "made": self._known["bench_facts", _digest(how)], "doubt": doubt(row) or None, **found,
            })  # fmt: skip
        self._points += points.values()
        return number

    def flush(self) -> None:
        """Write the rows of the runs that were added."""
        if self._points:
            self._connection.execute(tables.point.insert(), self._points)
            self._points = []

    def _ensure(self, table: sa.Table, lines: list[dict[str, Any]]) -> None:
        """Have these lines in a table, each known by its digest."""
        wanted = {line["digest"]: line for line in lines if (table.name, line["digest"]) not in self._known}
        if not wanted:
            return
        found = sa.select(table.c.digest, table.c.id).where(table.c.digest.in_(wanted))
        self._known |= {(table.name, digest): number for digest, number in self._connection.execute(found)}
        for digest in sorted(wanted):
            if (table.name, digest) not in self._known:
                made = self._insert(table, table.c.digest, wanted[digest])
                if made is None:
                    made = self._connection.execute(sa.select(table.c.id).where(table.c.digest == digest)).scalar_one()
                self._known[table.name, digest] = made

    def _insert(self, table: sa.Table, unique: sa.Column[Any], line: dict[str, Any]) -> int | None:
        """Insert a line and return its number, or None where one with this unique value is there."""
        try:
            with self._connection.begin_nested():
                key = self._connection.execute(table.insert().values(line)).inserted_primary_key
        except sa.exc.IntegrityError:
            there = sa.select(table.c.id).where(unique == line[unique.name])
            if self._connection.execute(there).scalar() is None:
                raise
            return None
        assert key is not None
        return int(key[0])


def _facts(content: dict[str, str]) -> dict[str, Any]:
    clean = {text(key): text(value) for key, value in content.items()}
    return {"digest": _digest(content), "content": json.dumps(clean, sort_keys=True, ensure_ascii=False)}


def _made(row: Row) -> dict[str, str]:
    """How a row was made, where that may differ from run to run and move its numbers."""
    told = {"launch": row.launch, "tier": row.tier, "scope": row.scope}
    return {key: value for key, value in told.items() if value} | {
        f"operator.{name}": used for name, used in row.operators.items()
    }


def _series(row: Row, mark: str) -> dict[str, Any]:
    identity = {
        "device": row.device, "machine": mark, "unit": row.unit, "case_id": row.case_id,
        "definition": row.definition_hash, "source": row.source,
    }  # fmt: skip
    other = {"workload": row.workload, "device_name": row.device_name}
    return {"digest": _digest(identity)} | {key: text(value) for key, value in (identity | other).items()}


def numbers(row: Row) -> dict[str, float | None] | None:
    """Return what is kept of a row, or None where it holds no time: skipped, failed, or a package beside its die."""
    if row.status != "ok" or row.step_s is None or row.devices > 1:
        return None
    found = {name: getattr(row, name) for name in tables.VALUES}
    return {name: value if value is not None and math.isfinite(value) else None for name, value in found.items()}


def milliseconds(created: str) -> int:
    """Return a date as milliseconds since 1970; without a time zone it is taken as UTC.

    Raises: ResultError for what is no date.
    """
    try:
        # Python 3.10 does not know Z.
        moment = datetime.datetime.fromisoformat(created.strip().replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return int(moment.astimezone(datetime.timezone.utc).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ResultError(f"created is {created[:40]!r}, not a date such as 2026-11-21T12:00:00+00:00") from None


def text(value: str) -> str:
    """Return text that every database holds: without NUL characters, and not endless."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:MOST_TEXT]


def _digest(content: dict[str, str]) -> str:
    told = "".join(f"{key}\0{len(value)}\0{value}\0" for key, value in sorted(content.items()))
    return hashlib.sha256(told.encode()).hexdigest()
