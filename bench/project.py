"""Where definitions are found: the folder a person stands in first, then what ships with the package.

A project folder holds `workloads/*.toml` and `devices/**/*.toml` of a person's own; a file there overrides the shipped
one of the same name. Outputs go to `results/runs/` of the current folder.
"""

from __future__ import annotations

import fnmatch
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.errors import DefinitionError, ResultError, listed, nearest

PACKAGE = Path(__file__).parent

Record = TypeVar("Record")


@cache
def shelf() -> Path:
    """Return the folder that holds the shipped `workloads/`, `devices/` and `results/`."""
    inside = PACKAGE / "_shelf"
    return inside if inside.is_dir() else PACKAGE.parent


def folders(kind: str) -> list[Path]:
    """Return the folders that hold definitions of one kind ("workloads", "devices"), the person's own first."""
    every = [Path.cwd() / kind, shelf() / kind]
    return [f for i, f in enumerate(every) if f.is_dir() and not any(_same(f, g) for g in every[:i])]


def definitions(kind: str, *patterns: str) -> dict[str, Path]:
    """Return file stem -> path for one kind; a file of the person's own wins over the shipped one."""
    found: dict[str, Path] = {}
    for folder in folders(kind):
        for pattern in patterns or ("*.toml",):
            for path in sorted(folder.glob(pattern)):
                found.setdefault(path.stem, path)
    return found


def find(kind: str, name: str, *patterns: str, noun: str, command: str) -> Path:
    """Return the path of one definition, or raise DefinitionError with the nearest names."""
    known = definitions(kind, *patterns)
    if name not in known:
        hint = nearest(name, known) or f"; known: {listed(known)}"
        raise DefinitionError(f"unknown {noun} '{name}'{hint} (see: {command})")
    return known[name]


def matches(case_id: str, pattern: str) -> bool:
    """Whether a case id matches: as a whole, by its workload, or by * and ?; brackets mean themselves."""
    plain = pattern.replace("[", "[[]")
    return case_id == pattern or case_id.partition("[")[0] == pattern or fnmatch.fnmatchcase(case_id, plain)


def load_toml(path: Path, record: type[Record]) -> Record:
    """Read a TOML file into a strict record.

    Raises: DefinitionError naming the file, the key and what would be right.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DefinitionError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    return parse_toml(content, record, shown(path))


def parse_toml(content: bytes, record: type[Record], where: str) -> Record:
    """Read TOML text into a strict record; `where` names the place in the error."""
    try:
        # Decoded by hand: msgspec.toml hides the difference between bad text and a bad value.
        return msgspec.convert(msgspec.toml.decode(content.decode("utf-8")), record, strict=True)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"{where}: {_explained(error, record)}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DefinitionError(f"{where}: not valid TOML: {line}") from None


def _explained(error: msgspec.ValidationError, record: type) -> str:
    text = str(error)
    if text.startswith("Object contains unknown field"):
        key = text.split("`")[1]
        inside = text.split(" - at ")[1].strip("`$.") if " - at " in text else ""
        place = f" in [{inside}]" if inside else ""
        hint = (
            nearest(key, _field_names(record)) or "; every key is described in workloads/README.md, devices/README.md"
        )
        return f"unknown key '{key}'{place}{hint}"
    if text.startswith("Invalid enum value '"):
        value, place = text.split("'")[1], text.split("`")[1].strip("$.") if "`" in text else ""
        key = place.rpartition(".")[2].rstrip("[].")
        known = _known_values(record).get(key, [])
        return f"`{place}` is '{value}'{nearest(value, known)}" + (f"; known: {', '.join(known)}" if known else "")
    return text.replace("Object ", "").replace("`$", "`").replace("`.", "`")


def _fields(record: object) -> Iterator[msgspec.inspect.Field]:
    """Yield the fields of a record and of the records inside it, each record once."""
    queue: list[object] = [msgspec.inspect.type_info(record)]
    seen: set[object] = set()
    while queue:
        node = queue.pop()
        if isinstance(node, msgspec.inspect.StructType) and node.cls not in seen:
            seen.add(node.cls)
            yield from node.fields
            queue.extend(field.type for field in node.fields)
        elif isinstance(node, msgspec.inspect.UnionType):
            queue.extend(node.types)
        elif isinstance(node, msgspec.inspect.ListType):
            queue.append(node.item_type)
        elif isinstance(node, msgspec.inspect.DictType):
            queue.append(node.value_type)


def _field_names(record: object) -> list[str]:
    return [field.encode_name for field in _fields(record)]


def _known_values(record: object) -> dict[str, list[str]]:
    """Return key -> the words it may be, for keys that take one of a few."""
    known: dict[str, list[str]] = {}
    for field in _fields(record):
        for kind in field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,):
            if isinstance(kind, msgspec.inspect.LiteralType):
                known.setdefault(field.encode_name, []).extend(str(value) for value in kind.values)
    return known


def shown(path: Path) -> str:
    """Return a path as a person would type it: relative to where they stand, or to what ships with the package.

    To be printed or stored, not opened: bytes that are not UTF-8, which neither could take, are question marks.
    """
    found = path
    # RuntimeError: links that lead in a circle.
    with suppress(OSError, RuntimeError):
        whole = path.resolve()
        base = next((base for base in (Path.cwd(), shelf()) if whole.is_relative_to(base.resolve())), None)
        found = path if base is None else whole.relative_to(base.resolve())
    return str(found).encode(errors="replace").decode()


def runs_folder(out: str | None = None) -> Path:
    """Return the folder for run files: `--out`, else `BENCH_RESULTS`, else `results/runs` here."""
    return Path(out or os.environ.get("BENCH_RESULTS") or "results/runs")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: temporary file beside it, flushed to disk, then renamed.

    A link stays a link, and its target is written. A device or a pipe (/dev/null, /dev/stdout) is written to in place.
    Raises: ResultError when the folder is read-only, the disk is full, or the path cannot be made.
    """
    guarded(path, lambda: _replace(path, content))


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        # Renamed over, it would be gone for every program of the machine.
        path.write_bytes(content)
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def guarded(path: Path, action: Callable[[], object]) -> None:
    """Run a file action; an operating-system refusal becomes a ResultError that says what to do."""
    try:
        action()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ResultError(
            f"{shown(path)}: cannot be written ({reason}); free some space or name another folder"
            " (BENCH_RESULTS, or --out where a command has it)"
        ) from None


def _same(left: Path, right: Path) -> bool:
    return left.is_dir() and right.is_dir() and left.resolve() == right.resolve()
