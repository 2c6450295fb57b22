"""bench compare: run files, modelled devices and mixtures, side by side."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from bench import project
from bench.commands import options
from bench.commands.published import Published, published_beside, show_published
from bench.commands.service import at_targets, show_targets
from bench.devices.adapter import present_devices
from bench.devices.sheet import known_sheets
from bench.errors import DefinitionError, NotComparable, ResultError, listed, nearest
from bench.measure.rows import case_of, modelled_rows
from bench.report.comparison import comparison_table, head_lines, tail_lines
from bench.report.rows import as_csv, as_jsonl
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.compare import Comparison, Operand, compare
from bench.results.store import load_run
from bench.workloads.schema import Case
from bench.workloads.sweep import select_cases

DEFAULT_WORKLOADS = ("deepseek-r1-prefill", "deepseek-r1-decode")


@click.command(name="compare")
@click.argument("operands", nargs=-1, required=True, metavar="A B [C...]", shell_complete=options.complete_device)
@click.option("-w", "--workload", "names", multiple=True, metavar="NAME", shell_complete=options.complete_workload,
              help="Cases to model where no run file gives them.  [default: deepseek-r1-*]")  # fmt: skip
@click.option(
    "--at", metavar="TARGETS", help="Solve decode at these: tpot=15ms,50ms or 30tok/s/user.  [default: 15ms,30ms,50ms]"
)
@options.sweep
@options.output_format
@options.no_color
def command(
    operands: tuple[str, ...], names: tuple[str, ...], at: str | None, form: str, no_color: bool, **sweep: Any
) -> int:  # fmt: skip
    """Put A beside B, case by case: a run file, or the name of a device's sheet, which is then modelled.

    Where a side is a run file, its cases are modelled for the sheets beside it; a run file of several devices is as
    many sides. A package of several dies (Ascend 910C) is shown per die and per package.

    \b
    bench compare ascend-910c h100-sxm --workload deepseek-r1-decode
    bench compare results/runs/RUN.json h100-sxm
    bench compare before.json after.json
    """
    alone = len(operands) < 2 and not _is_file(operands[0])
    sides = [] if alone else read_operands(operands, names, options.overrides(sweep))
    if len(sides) < 2:
        raise click.UsageError("two sides are needed: run files or device names, for example ascend-910c h100-sxm")
    comparison = compare(sides)
    targets = at_targets(sides, at)
    published = None if form in ("csv", "jsonl") else published_beside(sides)
    show(comparison, form, no_color, targets, published)
    return 0 if comparison.lines or (targets and targets.lines) else NotComparable.exit_code


def read_operands(words: tuple[str, ...], names: tuple[str, ...], overrides: dict[str, Any]) -> list[Operand]:
    """Return each side with its rows: read from a run file, or modelled for the cases that the other sides have.

    Raises: DefinitionError for a word that is neither a file nor a sheet; ResultError for a file that cannot be read.
    """
    files = {word: _load(word, words) for word in words if _is_file(word)}
    if files and not names and not overrides:
        cases: list[Case] = []
        for operand in itertools.chain.from_iterable(files.values()):
            cases += [_case(row, operand.label) for row in operand.rows]
    else:
        cases = select_cases(names or DEFAULT_WORKLOADS, overrides)
    cases = list({case.case_id: case for case in cases}.values())
    wanted = {case.case_id for case in cases}
    operands: list[Operand] = []
    for word in words:
        if word in files:
            operands += [
                Operand(each.label, [row for row in each.rows if row.case_id in wanted], each.environment)
                for each in files[word]
            ]
        else:
            operands.append(_modelled(word, cases))
    return operands


def _is_file(word: str) -> bool:
    looks = word.endswith((".json", ".jsonl")) or "/" in word
    if looks and not Path(word).exists():
        raise ResultError(f"{word}: no such file; run files are in {project.runs_folder()}")
    return looks or (Path(word).is_file() and word not in known_sheets())


def _load(word: str, words: tuple[str, ...]) -> list[Operand]:
    """Return a run file as one side for each device in it; labelled by device alone where the file is all there is."""
    run, stem = load_run(Path(word)), Path(word).stem
    devices = list(dict.fromkeys(row.device for row in run.rows))
    if not devices:
        raise ResultError(f"{word}: holds no rows; make some with: bench run")
    sides: list[Operand] = []
    for device in devices:
        alone = device if len(words) == 1 else f"{stem}:{device}"
        rows = [row for row in run.rows if row.device == device]
        sides.append(Operand(stem if len(devices) == 1 else alone, rows, run.environment))
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


def show(
    comparison: Comparison, form: str, no_color: bool, targets: Comparison | None = None,
    published: Published | None = None,
) -> None:  # fmt: skip
    """Print a comparison in the form asked for; what differs comes first."""
    rows = [row for operand in comparison.operands for row in operand.rows]
    if form == "json":
        content = {
            "differences": comparison.differences,
            "lines": comparison.lines,
            "apart": comparison.apart,
            "rows": rows,
            "targets": None if targets is None else {"lines": targets.lines, "apart": targets.apart},
            "published": published,
        }
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
    elif form == "jsonl":
        emit(as_jsonl(rows))
    elif form == "csv":
        emit(as_csv(rows))
    else:
        _print(comparison, form, no_color)
        if targets is not None:
            show_targets(targets, form, no_color)
        if published is not None:
            show_published(published, form, no_color)


def _print(comparison: Comparison, form: str, no_color: bool) -> None:
    head, tail = head_lines(comparison), tail_lines(comparison)
    table = comparison_table(comparison)
    if not comparison.lines:
        body = "nothing can be put side by side"
    elif form == "md":
        body = markdown(table)
    else:
        body = table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color))
    if form == "md":
        emit("\n".join([*(f"> {line.strip()}  " for line in head), "", body, "", *(f"{line}  " for line in tail)]))
    else:
        emit("\n".join([*head, "", body, "", *tail]))
