"""Run files on disk: a journal while running, one immutable JSON when done.

While a run goes on, `ID.jsonl` grows by one flushed line per finished case, so `kill -9` loses only the case in flight.
When every case is done, the same content is renamed into place as `ID.json` and the journal goes.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from bench import project
from bench.errors import ResultError
from bench.results.record import SCHEMA_VERSION, Environment, Row, Run
from bench.results.writing import claim

LARGEST_FILE_BYTES = 512 * 1024 * 1024
# A key and, be it in a list of numbers, a value that JSON does not have. Inside of a text quotes have a backslash.
NO_NUMBER = re.compile(rb'"([^"\\]*)"\s*:\s*(?:\[[-+.\deEnul,\s]*)?(-?(?:NaN|Infinity))\b')
START_ANEW = "make one with: bench run"


def new_run_id(device: str) -> str:
    """Return a run id that sorts by time and does not collide between runs started at once."""
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime())
    return f"{stamp}_{device.replace(':', '')}_{secrets.token_hex(2)}"


class Journal:
    """The growing file of one run. Open it with `create` or `reopen`."""

    def __init__(self, path: Path, run: Run, file: BinaryIO) -> None:
        self.path = path
        self.run = run
        self._file = file

    @classmethod
    def create(cls, folder: Path, run: Run) -> Journal:
        """Start a journal and write its head.

        Raises: ResultError when the folder is read-only or the disk is full.
        """
        path = folder / f"{run.id}.jsonl"
        file = _opened(path, "xb")
        claim(file, path)
        journal = cls(path, run, file)
        head = msgspec.to_builtins(run)
        head.pop("rows")
        try:
            journal._append({**head, "complete": False})
        except ResultError:
            # Without its head it is not a journal, and would be taken for the newest run.
            journal.close()
            path.unlink(missing_ok=True)
            raise
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """Continue a journal that was cut off; a half-written last line is dropped.

        Raises: ResultError when it is not a journal, or is already complete.
        """
        if path.suffix != ".jsonl":
            raise ResultError(f"{project.shown(path)}: this run is complete; only a journal (.jsonl) can be resumed")
        file = _opened(path, "r+b")
        claim(file, path)
        run, length = _read_journal(path)
        file.truncate(length)
        file.seek(length)
        return cls(path, run, file)

    def add(self, row: Row) -> None:
        """Put one finished row on disk before the next case starts."""
        self.run.rows.append(row)
        self._append({"row": row})

    def _append(self, record: Any) -> None:
        line = msgspec.json.encode(record) + b"\n"

        def write() -> None:
            start = self._file.tell()
            try:
                left = memoryview(line)
                while left:
                    # An unbuffered write may take a part only and raise nothing: the last bytes of a full disk.
                    left = left[self._file.write(left) :]
                os.fsync(self._file.fileno())
            except OSError:
                # A full disk may have taken half a line: take it back, so that the journal stays readable.
                os.ftruncate(self._file.fileno(), start)
                self._file.seek(start)
                raise

        project.guarded(self.path, write)

    def finish(self) -> Path:
        """Write the complete run file in one rename and remove the journal; return its path."""
        self.run.complete = True
        path = self.path.with_suffix(".json")
        project.write_atomically(path, msgspec.json.format(msgspec.json.encode(self.run), indent=1) + b"\n")
        self._file.close()
        self.path.unlink(missing_ok=True)
        return path

    def close(self) -> None:
        """Leave the journal as it is, to be resumed."""
        self._file.close()


def _opened(path: Path, mode: str) -> BinaryIO:
    opened: list[BinaryIO] = []

    def action() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that a failed write leaves nothing behind to be flushed at close.
        opened.append(path.open(mode, buffering=0))  # type: ignore[arg-type]

    project.guarded(path, action)
    return opened[0]


def load_run(path: Path) -> Run:
    """Read a run file, a journal, or what pytest-benchmark saved.

    Raises: ResultError for a file that is missing, cut off, foreign, or of a newer schema.
    """
    if path.suffix == ".jsonl":
        return _read_journal(path)[0]
    return parse_run(_content(path), path)


def parse_run(content: bytes, path: Path) -> Run:
    """Read what a run file holds, wherever it comes from; `path` names it in errors.

    Raises: ResultError as `load_run` does.
    """
    foreign = _pytest_benchmark(content, path)
    if foreign is not None:
        return foreign
    _check_schema(path, content)
    try:
        return msgspec.json.decode(content, type=Run)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ResultError(f"{project.shown(path)}: {_first_line(error)}; not as bench wrote it, {START_ANEW}") from None


def _pytest_benchmark(content: bytes, path: Path) -> Run | None:
    from bench.results.pytest_benchmark.read import is_document, read

    return read(content, project.shown(path)) if is_document(content) else None


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ResultError(
                f"{project.shown(path)}: larger than {LARGEST_FILE_BYTES // 2**20} MiB, not a run file; {START_ANEW}"
            )
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise ResultError(
            f"{project.shown(path)}: cannot be read ({reason}); run files are in {project.runs_folder()}"
        ) from None


class _Head(msgspec.Struct):
    schema: int | None = None


def _check_schema(path: Path, content: bytes) -> None:
    try:
        schema = msgspec.json.decode(content, type=_Head).schema
    except msgspec.ValidationError:
        schema = None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        cut_off = f"not readable as JSON ({_first_line(error)}); the file is cut off or not a run file, {START_ANEW}"
        raise ResultError(f"{project.shown(path)}: {_no_number(content) or cut_off}") from None
    if schema is None:
        raise ResultError(
            f"{project.shown(path)}: JSON, but not a bench run file (it has no number 'schema'); {START_ANEW}"
        )
    if schema > SCHEMA_VERSION:
        raise ResultError(
            f"{project.shown(path)}: schema {schema} is newer than {SCHEMA_VERSION}, the newest this version reads;"
            " upgrade accelbench"
        )
    if schema < 1:
        raise ResultError(f"{project.shown(path)}: schema {schema} does not exist, not a run file; {START_ANEW}")


def _read_journal(path: Path) -> tuple[Run, int]:
    """Return the run of a journal and the length of its whole lines in bytes."""
    content = _content(path)
    lines = content.split(b"\n")
    if not lines[0] or len(lines) == 1:
        raise ResultError(f"{project.shown(path)}: holds no whole line; nothing can be resumed, start anew")
    _check_schema(path, lines[0])
    length = 0
    try:
        run = msgspec.json.decode(lines[0], type=Run)
        run.complete = False
        length = len(lines[0]) + 1
        for line in lines[1:-1]:
            run.rows.append(msgspec.json.decode(line, type=_Line).row)
            length += len(line) + 1
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        number = content[:length].count(b"\n") + 1
        said = _no_number(lines[number - 1]) or _first_line(error)
        raise ResultError(
            f"{project.shown(path)}: line {number}: {said}; take that line out to read the others"
        ) from None
    return run, length


class _Line(msgspec.Struct):
    row: Row


def _no_number(content: bytes) -> str:
    """Return which key holds a NaN or an infinity, "" where none does: other writers than ours let them pass."""
    found = NO_NUMBER.search(content)
    if found is None:
        return ""
    word, line = found[2].decode(), content.count(b"\n", 0, found.start(2)) + 1
    where = f" in line {line}" if b"\n" in content else ""
    return (
        f"'{found[1].decode(errors='replace')}' holds {word}{where}, which JSON does not have; what is missing is null"
    )


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]


def list_runs(folder: Path) -> Iterator[Path]:
    """Yield run files and journals, newest first."""
    paths = [p for pattern in ("*.json", "*.jsonl") for p in folder.glob(pattern)]
    yield from sorted(paths, key=lambda p: p.name, reverse=True)


def newest_run(folder: Path) -> Path:
    """Return the newest run file or journal.

    Raises: ResultError when there is none.
    """
    for path in list_runs(folder):
        return path
    raise ResultError(f"{folder}: no run files; make one with: bench run")


def newest_journal(folder: Path) -> Path:
    """Return the newest run that was cut off.

    Raises: ResultError when there is none.
    """
    for path in list_runs(folder):
        if path.suffix == ".jsonl":
            return path
    raise ResultError(f"{folder}: no interrupted run to resume; start one with: bench run")


def new_run(run_id: str, environment: Environment, planned: list[dict[str, Any]]) -> Run:
    """Return a run without rows."""
    return Run(id=run_id, environment=environment, planned=planned, complete=False)
