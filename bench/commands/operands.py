"""The sides that a person names: run files, published figures, device names, which are then modelled."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from bench import project
from bench.commands.naming import device_name, named
from bench.devices.adapter import present_devices
from bench.devices.sheet import known_sheets
from bench.errors import DefinitionError, ResultError, listed, nearest
from bench.measure.anchors import published_rows
from bench.measure.rows import case_of, modelled_rows
from bench.results.compare import Operand
from bench.results.reference import reference_files, references_in
from bench.results.sessions import fold
from bench.results.store import load_run
from bench.workloads.schema import Case
from bench.workloads.sweep import select_cases

DEFAULT_WORKLOADS = ("deepseek-r1-prefill", "deepseek-r1-decode")


def read_operands(words: tuple[str, ...], names: tuple[str, ...], overrides: dict[str, Any]) -> list[Operand]:
    """Return each side with its rows: read from a run file, or modelled for the cases that the other sides have.

    Raises: DefinitionError for a word that is neither a file nor a sheet; ResultError for a file that cannot be read.
    """
    files = {word: _load(word) for word in words if is_file(word)}
    files |= {word: _published(word) for word in words if word not in files and is_published(word)}
    if files and not names and not overrides:
        operands = itertools.chain.from_iterable(files.values())
        every = [(row, operand.origin or operand.label) for operand in operands for row in operand.rows]
        wanted = {row.case_id for row, _ in every}
        # What a person's own test calls is no case: it stands beside other files only.
        cases = [_case(row, label) for row, label in every if "test" not in row.definition]
        if not cases and len(files) < len(words):
            raise DefinitionError(f"{every[0][1]}: holds tests only, which cannot be modelled; compare it with a file")
    else:
        cases = select_cases(names or DEFAULT_WORKLOADS, overrides)
        wanted = {case.case_id for case in cases}
    cases = list({case.case_id: case for case in cases}.values())
    sides: list[Operand] = []
    for word in words:
        if word in files:
            sides += [replace(each, rows=[row for row in each.rows if row.case_id in wanted]) for each in files[word]]
        else:
            sides.append(_modelled(word, cases))
    return named(sides)


def is_file(word: str) -> bool:
    """Return whether a word names a run file; raises ResultError where it looks like one and is not there."""
    looks = word.endswith((".json", ".jsonl")) or "/" in word
    if looks and not Path(word).exists():
        raise ResultError(f"{word}: no such file; run files are in {project.runs_folder()}")
    return looks or (Path(word).is_file() and word not in known_sheets())


def is_published(word: str) -> bool:
    """Return whether a word names a file of published figures; a device of that name comes first."""
    return word in reference_files() and word not in known_sheets()


def _published(word: str) -> list[Operand]:
    """Return published figures as one side for each device in them."""
    rows = published_rows(references_in(word))
    devices = list(dict.fromkeys(row.device for row in rows))
    if not devices:
        raise DefinitionError(
            f"'{word}': none of its published figures can be put beside a case; see results/reference"
        )
    return [
        Operand(word if len(devices) == 1 else f"{word}:{device}", [row for row in rows if row.device == device])
        for device in devices
    ]


def _load(word: str) -> list[Operand]:
    """Return a run file as one side for each device in it, called what the device is called."""
    run = load_run(Path(word))
    devices = list(dict.fromkeys(row.device for row in run.rows))
    if not devices:
        raise ResultError(f"{word}: holds no rows; make some with: bench run")
    sides: list[Operand] = []
    for device in devices:
        rows = fold(row for row in run.rows if row.device == device)
        side = Operand(device, rows, run.environment, project.shown(Path(word)))
        sides.append(replace(side, label=device_name(side)))
    return sides


def _case(row: Any, label: str) -> Case:
    try:
        return case_of(row)
    except msgspec.ValidationError as error:
        raise ResultError(f"{label}: the definition of {row.case_id!r} cannot be read ({error})") from None


def _modelled(device: str, cases: list[Case]) -> Operand:
    sheets = known_sheets()
    if device not in sheets:
        if device in present_devices():
            raise DefinitionError(
                f"'{device}' is on this machine, so it is measured: bench run -d {device}, then compare its file"
            )
        hint = nearest(device, sheets) or f"; sheets: {listed(sheets)}"
        raise DefinitionError(f"'{device}' is neither a run file nor a device{hint} (see: bench devices)")
    return Operand(device, [row for case in cases for row in modelled_rows(case, device)])
