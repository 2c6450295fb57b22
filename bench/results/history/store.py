"""A store that machines share: whole run documents in a database, and the tables of a history made from them."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from bench import project
from bench.errors import ResultError, nearest
from bench.results.history import tables
from bench.results.history.database import connected, reason, shown
from bench.results.history.entry import Writer, text
from bench.results.record import Run
from bench.results.store import load_run, parse_run
from bench.units import counted

# Any number, the same in every process: who makes or changes the tables holds this lock.
LOCK = 2026_11_22
AT_ONCE = 500

Outcome = Literal["pushed", "there", "differs"]


class Store:
    """An open store. Every run goes in by one transaction of its own: it is there wholly, or not at all."""

    def __init__(self, connection: sa.Connection, url: sa.URL) -> None:
        self.connection = connection
        self.url = url

    def prepare(self) -> list[str]:
        """Make the tables, or bring those of an older version up to this one; return what was done, in words.

        Raises: ResultError for tables of a newer version.
        """
        with self._writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            there = set(sa.inspect(connection).get_table_names())
            version = self._version(connection)
            told = []
            for step in range(version + 1, tables.VERSION + 1) if version else ():
                for statement in tables.STEPS[step]:
                    connection.exec_driver_sql(statement)
                told.append(f"its tables of version {step - 1} are now of version {step}")
            missing = [table.name for table in tables.DERIVED if table.name not in there] if version else []
            if missing:
                told.append(f"{', '.join(missing)} was missing")
            if told:
                tables.metadata.drop_all(connection, [*tables.DERIVED, tables.version])
            tables.create(connection, tables.STORE)
            if told:
                told.append(f"made anew from {counted(self._refill(connection), 'document')}")
        return told

    def check(self) -> None:
        """Raise ResultError unless the tables are there and of this version."""
        with self.connection.begin():
            version = self._version(self.connection)
        if version != tables.VERSION:
            found = f"its tables are of version {version}, not {tables.VERSION}" if version else "it has no tables"
            raise ResultError(f"{shown(self.url)}: {found}; bench push makes them")

    def missing(self, run_ids: list[str]) -> list[str]:
        """Return the runs that are not in the store."""
        column, there = tables.document.c.run_id, set()
        with self.connection.begin():
            for start in range(0, len(run_ids), AT_ONCE):
                portion = [text(run_id) for run_id in run_ids[start : start + AT_ONCE]]
                there |= set(self.connection.execute(sa.select(column).where(column.in_(portion))).scalars())
        return [run_id for run_id in run_ids if text(run_id) not in there]

    def push(self, path: Path) -> Outcome:
        """Put one run file in, whole; "there" where the store has it, "differs" where it has another of this id.

        Raises: ResultError for a file that is no complete run.
        """
        run, content = load_run(path), path.read_bytes()
        if not run.complete:
            raise ResultError(
                f"{project.shown(path)}: not complete; finish it with: bench run --resume {project.shown(path)}"
            )
        digest = hashlib.sha256(content).hexdigest()
        columns = tables.document.c
        with self._writing() as connection:
            self._version(connection, hold=True)
            there = sa.select(columns.digest).where(columns.run_id == text(run.id))
            held = connection.execute(there).scalar()
            if held is None:
                try:
                    with connection.begin_nested():
                        connection.execute(tables.document.insert().values(
                            run_id=text(run.id), digest=digest, content=content.decode(), pushed=_now()
                        ))  # fmt: skip
                except sa.exc.IntegrityError:
                    held = connection.execute(there).scalar()  # another process was quicker
                else:
                    _enter(connection, run, path)
                    return "pushed"
        return "there" if held == digest else "differs"

    def documents(self, wanted: set[str] | None, but: set[str]) -> Iterator[tuple[str, bytes]]:
        """Yield id and content of the runs wanted (None: of all), but those of which the file is here.

        Raises: ResultError for a run that the store does not have.
        """
        columns = tables.document.c
        with self.connection.begin():
            every = list(self.connection.execute(sa.select(columns.run_id).order_by(columns.run_id)).scalars())
        absent = sorted((wanted or set()) - set(every))
        if absent:
            raise ResultError(f"{shown(self.url)}: has no run '{absent[0]}'{nearest(absent[0], every)}")
        for run_id in every:
            if run_id not in but and (wanted is None or run_id in wanted):
                with self.connection.begin():
                    found = self.connection.execute(sa.select(columns.content).where(columns.run_id == run_id)).scalar()
                if found is not None:
                    yield run_id, found.encode()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        connection = self.connection.execution_options(immediate=True)
        try:
            with connection.begin():
                yield connection
        finally:
            connection.execution_options(immediate=False)

    def _version(self, connection: sa.Connection, hold: bool = False) -> int | None:
        """Return the version of the tables; held, it stays until the transaction ends.

        Raises: ResultError for a newer one.
        """
        if not hold and tables.version_of(connection) is None:
            return None
        column = tables.version.c.version
        asked = sa.select(column).with_for_update(read=True) if hold else sa.select(column)
        version: int | None = connection.execute(asked).scalar()
        if version is not None and version > tables.VERSION:
            raise ResultError(
                f"{shown(self.url)}: its tables are of version {version}, newer than {tables.VERSION}, the newest this"
                " version knows; upgrade accelbench"
            )
        return version

    def _refill(self, connection: sa.Connection) -> int:
        """Make the tables from the documents; those that can no longer be read are left out of them, and kept."""
        columns, writer, count = tables.document.c, Writer(connection), 0
        ids = list(connection.execute(sa.select(columns.run_id).order_by(columns.run_id)).scalars())
        for run_id in ids:
            content = connection.execute(sa.select(columns.content).where(columns.run_id == run_id)).scalar_one()
            with contextlib.suppress(ResultError):
                writer.add(parse_run(content.encode(), Path(f"{run_id}.json")))
                count += 1
            if count % AT_ONCE == 0:
                writer.flush()
        writer.flush()
        return count


def _enter(connection: sa.Connection, run: Run, path: Path) -> None:
    writer = Writer(connection)
    try:
        writer.add(run)
    except ResultError as error:
        raise ResultError(f"{project.shown(path)}: {error}") from None
    writer.flush()


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


@contextlib.contextmanager
def opened(url: sa.URL, advice: str, *, make: bool = True) -> Iterator[Store]:
    """Open a store; what the database refuses is one line, with what to do.

    make: SQLite makes a file that is not there, also where it is only to be read; False leaves the disk as it is.
    Raises: ResultError, without the password.
    """
    if not make and url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise ResultError(f"{shown(url)}: no such file; bench push makes it")
    try:
        with connected(url) as connection:
            yield Store(connection, url)
    except sa.exc.SQLAlchemyError as error:
        raise ResultError(f"{shown(url)}: {reason(error, url)}; {advice}") from None
