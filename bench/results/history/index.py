"""The index of run files: `.index.db` in their folder. It may be deleted at any time; the files are the truth."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from bench import project
from bench.errors import ResultError
from bench.results.history import tables
from bench.results.history.database import connected
from bench.results.history.memo import Memo
from bench.units import counted

NAME = ".index.db"
# Files read in one transaction: what is read stays when the rest is interrupted, and nobody waits long for a turn.
TOGETHER = 500
# In SQLite's messages where the system refuses (read-only, locked, full) and the index itself is sound.
REFUSALS = ("readonly", "unable to open", "locked", "disk is full", "disk I/O")
# Series that grow leave their older selves behind.
MOST_SPLITS = 5000
# From so many files on a person is told what the time goes to.
MANY = 1000

COPY = "the same run as"

Answer = TypeVar("Answer")
Tell = Callable[[str], None]
Stamp = tuple[int, int]


@dataclass(frozen=True)
class Listed:
    """What lies below a folder: run files with mtime in ns and size, journals, and what cannot be listed, with why."""

    files: dict[str, Stamp] = field(default_factory=dict)
    journals: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Indexed:
    """What an index holds. unreadable: file -> reason; journals: runs that are being written, or were interrupted."""

    connection: sa.Connection
    unreadable: dict[str, str] = field(default_factory=dict)
    journals: list[str] = field(default_factory=list)


def ask(folder: Path, question: Callable[[Indexed], Answer], tell: Tell, *, rebuild: bool = False) -> Answer:
    """Bring the index of a folder up to date and put a question to it, which may be asked twice.

    An index that is corrupt or of another version is built anew; where it cannot be written, an index in memory does.
    Each is told with its reason. Raises: ResultError for a folder that cannot be listed.
    """
    path = folder / NAME
    found = listing(folder)
    # Without runs there is nothing to keep, and perhaps no folder.
    for again in (False, True) if found.files else ():
        try:
            with connected(sa.URL.create("sqlite", database=str(path))) as connection:
                return question(_refreshed(connection, folder, found, tell, rebuild=rebuild))
        except sa.exc.DatabaseError as error:
            reason = str(error.orig or error)
            if again or any(word in reason for word in REFUSALS):
                break
        tell(f"{project.shown(path)}: {reason}; built anew from the run files")
        with contextlib.suppress(OSError):
            for end in ("", "-wal", "-shm"):
                Path(f"{path}{end}").unlink(missing_ok=True)
    if found.files:
        tell(f"{project.shown(path)}: cannot be used ({reason}); without it the run files are read anew each time")
    with connected(sa.make_url("sqlite://")) as connection:
        return question(_refreshed(connection, folder, found, tell))


def listing(folder: Path) -> Listed:
    """Return what lies below a folder, but hidden files and folders, and links to folders, which may lead in circles.

    Raises: ResultError where the folder itself cannot be listed.
    """
    found = Listed()
    todo = [("", str(folder))]
    while todo:
        prefix, place = todo.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    if name.endswith(".json"):
                        found.files[prefix + name if name.isascii() else _key(prefix + name)] = _stamp(entry)
                    elif name.endswith(".jsonl"):
                        found.journals.append(_key(prefix + name))
                    elif entry.is_dir(follow_symlinks=False):
                        todo.append((_key(f"{prefix}{name}/"), entry.path))
        except FileNotFoundError:
            continue  # gone since it was listed, or no runs yet
        except OSError as error:
            reason = f"cannot be listed ({(error.strerror or 'error').lower()})"
            if not prefix:
                raise ResultError(f"{place}: {reason}") from None
            found.closed[prefix] = reason
    found.journals.sort()
    return found


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        told = entry.stat()
    except OSError:
        return 0, 0  # a link to nothing: why is told when it is read
    return told.st_mtime_ns, told.st_size


def _key(path: str) -> str:
    """Return a path as text that a database holds: a name that is not UTF-8 is written with escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _refreshed(
    connection: sa.Connection, folder: Path, found: Listed, tell: Tell, *, rebuild: bool = False
) -> Indexed:  # fmt: skip
    """Take out what is gone or has changed, take in what is new."""
    files = found.files
    with connection.begin():
        version = tables.version_of(connection)
        known = _known(connection) if version == tables.VERSION and not rebuild else None
    if known is None or known != files:
        if version not in (None, tables.VERSION):
            tell(f"the index is of version {version}, not {tables.VERSION}; built anew from the run files")
        writing = connection.execution_options(immediate=True)
        with writing.begin():
            if known is None and version is not None:
                tables.drop(writing)
            tables.create(writing, tables.INDEX)
            stale = [path for path, stamp in _known(writing).items() if files.get(path) != stamp]
            # A file that is there, and was not when the folder was listed, another process has taken in since.
            _take_out(writing, [path for path in stale if path in files or not os.path.lexists(folder / path)])
            known = _known(writing)
        new = sorted(files.keys() - known.keys())
        if len(new) >= MANY:
            tell(f"indexing {counted(len(new), 'run file')}, once ...")
        for start in range(0, len(new), TOGETHER):
            with writing.begin():
                _take_in(writing, folder, {path: files[path] for path in new[start : start + TOGETHER]})
        connection.execution_options(immediate=False)
    with connection.begin():
        reasons = sa.select(tables.file.c.path, tables.file.c.reason).where(tables.file.c.run.is_(None))
        unreadable = {line.path: line.reason for line in connection.execute(reasons.order_by(tables.file.c.path))}
    return Indexed(connection, unreadable | found.closed, found.journals)


def _known(connection: sa.Connection) -> dict[str, Stamp]:
    columns = tables.file.c
    # All at once: one by one takes twice as long.
    lines = connection.execute(sa.select(columns.path, columns.mtime_ns, columns.size)).all()
    return {path: (mtime_ns, size) for path, mtime_ns, size in lines}


def _take_out(connection: sa.Connection, paths: list[str]) -> None:
    """Remove files with their runs. A copy that was left out because of one of them is read anew."""
    file, run, point = tables.file, tables.run, tables.point
    for path in paths:
        number = connection.execute(sa.select(file.c.run).where(file.c.path == path)).scalar()
        connection.execute(file.delete().where(file.c.path == path))
        if number is None:
            continue
        at = sa.select(run.c.at).where(run.c.id == number).scalar_subquery()
        every = sa.select(tables.series.c.id)
        # By series and time, in the order of the key: without it every point would be looked at.
        connection.execute(point.delete().where(point.c.series.in_(every), point.c.at == at, point.c.run == number))
        connection.execute(run.delete().where(run.c.id == number))
    if paths:
        connection.execute(file.delete().where(file.c.reason.startswith(COPY, autoescape=True)))


def _take_in(connection: sa.Connection, folder: Path, files: dict[str, Stamp]) -> None:
    """Read files that are new; another process may have done some of them meanwhile."""
    # Most questions find nothing new, and need not wait for the import.
    from bench.results.history.entry import Writer, text
    from bench.results.store import load_run

    there = sa.select(tables.file.c.path).where(tables.file.c.path.in_(files))
    done = set(connection.execute(there).scalars())
    writer, lines = Writer(connection), []
    held: dict[str, str] = {}
    for path in sorted(files.keys() - done):
        number, reason = None, None
        try:
            run = load_run(folder / path)
            if not run.complete:
                raise ResultError("its run was not complete")
            number = writer.add(run)
            if number is None:
                reason = f"{COPY} {held.get(run.id) or _path_of(connection, text(run.id))}, counted once"
            held.setdefault(run.id, path)
        except ResultError as error:
            reason = str(error)
        lines.append({
            "path": path, "mtime_ns": files[path][0], "size": files[path][1], "run": number, "reason": reason,
        })  # fmt: skip
    writer.flush()
    if lines:
        connection.execute(tables.file.insert(), lines)


def paths(connection: sa.Connection) -> dict[str, str]:
    """Return run id -> path below the folder, of every run that was read, oldest first."""
    with connection.begin():
        both = sa.select(tables.run.c.run_id, tables.file.c.path).join(
            tables.file, tables.file.c.run == tables.run.c.id
        )
        return {line.run_id: line.path for line in connection.execute(both.order_by(tables.run.c.at))}


@contextlib.contextmanager
def remembered(connection: sa.Connection) -> Iterator[Memo]:
    """Give what was found before, and keep what is found now; where that cannot be written, it is found again."""
    with connection.begin():
        memo = Memo({line.digest: line.content for line in connection.execute(sa.select(tables.split))})
    yield memo
    if not memo.new:
        return
    with contextlib.suppress(sa.exc.OperationalError, sa.exc.IntegrityError):
        writing = connection.execution_options(immediate=True)
        with writing.begin():
            if len(memo.known) > MOST_SPLITS:
                writing.execute(tables.split.delete().where(tables.split.c.digest.not_in(memo.used)))
            lines = [{"digest": digest, "content": content} for digest, content in memo.new.items()]
            writing.execute(tables.split.insert(), lines)


def _path_of(connection: sa.Connection, run_id: str) -> str:
    found = (
        sa.select(tables.file.c.path)
        .join(tables.run, tables.file.c.run == tables.run.c.id)
        .where(tables.run.c.run_id == run_id)
    )
    return connection.execute(found).scalar() or "another"
