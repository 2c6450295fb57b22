"""Baselines on disk: `results/baselines/NAME.json`, whole or not at all, one writer at a time."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench import project
from bench.errors import ResultError, listed, nearest
from bench.results.gate.baseline import KIND, SCHEMA_VERSION, Baseline

fcntl: Any = None
with contextlib.suppress(ImportError):  # not on every system
    import fcntl

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAKE = "make it with: bench baseline save {name}"


def folder() -> Path:
    """Return where baselines are kept: `results/baselines` of the current folder."""
    return Path("results/baselines")


def path_of(name: str) -> Path:
    """Return a baseline's file.

    Raises: ResultError for a name that cannot be a file's.
    """
    if not NAME.fullmatch(name):
        raise ResultError(f"'{name}' is no name for a baseline; letters, digits, . _ - are, for example: main")
    return folder() / f"{name}.json"


def names() -> list[str]:
    """Return the names of the baselines here."""
    return sorted(path.stem for path in folder().glob("*.json") if NAME.fullmatch(path.stem))


def is_baseline(path: Path) -> bool:
    """Whether a file says that it is a baseline; one that cannot be read does not."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return KIND.encode() in file.read(200)
    return False


def load(path: Path) -> Baseline:
    """Read a baseline.

    Raises: ResultError for a file that is missing, cut off, foreign or of a newer schema.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        known = names()
        hint = nearest(path.stem, known) or (f"; here: {listed(known)}" if known else "")
        raise ResultError(f"{project.shown(path)}: no such baseline{hint}; {MAKE.format(name=path.stem)}") from None
    except OSError as error:
        raise ResultError(f"{project.shown(path)}: cannot be read ({(error.strerror or 'error').lower()})") from None
    return parse(content, project.shown(path))


def parse(content: bytes, where: str) -> Baseline:
    """Read a baseline's text; `where` names the place in the error."""
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.kind != KIND:
            raise ResultError(f"{where}: not a baseline (it does not say '{KIND}'); run files are compared as they are")
        if not 1 <= head.schema <= SCHEMA_VERSION:
            raise ResultError(
                f"{where}: baseline schema {head.schema}, this version reads 1 to {SCHEMA_VERSION}; upgrade accelbench"
            )
        found = msgspec.json.decode(content, type=Baseline)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        line = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ResultError(f"{where}: not readable as a baseline ({line}); restore it from version control") from None
    for one in found.accepted:
        if one.ratio is not None and not 0 < one.ratio < math.inf:
            raise ResultError(
                f"{where}: {one.case_id} {one.metric} has an accepted ratio that cannot be ({one.ratio:g}); restore it"
                " from version control"
            )
    labels = {one.label for one in found.sessions}
    for held in found.cases:
        for label, value in held.values.items():
            if label not in labels or not 0 < value.median < math.inf:
                what = f"{value.median:g}" if label in labels else "no such session"
                raise ResultError(
                    f"{where}: {held.case_id} {held.metric} has a value of session '{label}' that cannot be"
                    f" ({what}); restore it from version control"
                )
    return found


class _Head(msgspec.Struct):
    kind: str = ""
    schema: int = 0


def save(baseline: Baseline, path: Path) -> None:
    """Write a baseline whole or not at all; one line a session, so that a change can be reviewed."""
    content = msgspec.to_builtins(baseline)
    # What it is stands first, what is long last.
    first = {key: content.pop(key) for key in ("kind", "schema", "name", "accepted", "machines", "sessions")}
    text = msgspec.json.format(msgspec.json.encode(first | content), indent=1).decode()
    # The numbers of one value on one line.
    flat = re.sub(
        r"\[\s*((?:[-+.\deE]+|null)(?:,\s*(?:[-+.\deE]+|null))*)\s*\]",
        lambda found: "[" + _joined(found[1]) + "]",
        text,
    )
    project.write_atomically(path, flat.encode() + b"\n")


def _joined(numbers: str) -> str:
    return ", ".join(part.strip() for part in numbers.split(","))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a baseline while it is read, changed and written; another `bench` that wants it waits.

    The file that is held goes again where no baseline is beside it in the end.
    """
    lock, held = path.with_suffix(".lock"), list[int]()
    project.guarded(path, lambda: held.append(_held(lock)))
    try:
        yield
    finally:
        if not os.path.lexists(path):
            with contextlib.suppress(OSError):
                lock.unlink()
        os.close(held[0])


def _held(lock: Path) -> int:
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        if fcntl is None:
            return number
        fcntl.flock(number, fcntl.LOCK_EX)
        # Whoever had it before may have taken the file away: then the next one locks another.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), lock.stat()):
                return number
        os.close(number)
