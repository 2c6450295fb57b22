"""bench compare: run files, modelled devices and mixtures, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from bench import project
from bench.commands import options
from bench.devices.adapter import present_devices
from bench.devices.sheet import known_sheets
from bench.errors import DefinitionError, ResultError, listed, nearest
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
@options.sweep
@options.output_format
@options.no_color
def command(operands: tuple[str, ...], names: tuple[str, ...], form: str, no_color: bool, **sweep: Any) -> int:
    """Put A beside B, case by case: a run file, or the name of a device's sheet, which is then modelled.

    Where a side is a run file, its cases are modelled for the sheets beside it. A package of several dies (Ascend
    910C) is shown per die and per package.

    \b
    bench compare ascend-910c h100-sxm --workload deepseek-r1-decode
    bench compare results/runs/RUN.json h100-sxm
    bench compare before.json after.json
    """
    if len(operands) < 2:
        raise click.UsageError("two sides are needed: run files or device names, for example ascend-910c h100-sxm")
    comparison = compare(read_operands(operands, names, options.overrides(sweep)))
    show(comparison, form, no_color)
    return 0


def read_operands(words: tuple[str, ...], names: tuple[str, ...], overrides: dict[str, Any]) -> list[Operand]:
    """Return each side with its rows: read from a run file, or modelled for the cases that the other sides have.

    Raises: DefinitionError for a word that is neither a file nor a sheet; ResultError for a file that cannot be read.
    """
    files = {word: _load(word) for word in words if _is_file(word)}
    if files and not names and not overrides:
        cases: list[Case] = []
        for operand in files.values():
            cases += [_case(row, operand.label) for row in operand.rows]
    else:
        cases = select_cases(names or DEFAULT_WORKLOADS, overrides)
    cases = list({case.case_id: case for case in cases}.values())
    wanted = {case.case_id for case in cases}
    operands: list[Operand] = []
    for word in words:
        if word in files:
            operand = files[word]
            operands.append(
                Operand(operand.label, [r for r in operand.rows if r.case_id in wanted], operand.environment)
            )
        else:
            operands.append(_modelled(word, cases))
    return operands


def _is_file(word: str) -> bool:
    looks = word.endswith((".json", ".jsonl")) or "/" in word
    if looks and not Path(word).exists():
        raise ResultError(f"{word}: no such file; run files are in {project.runs_folder()}")
    return looks or (Path(word).is_file() and word not in known_sheets())


def _load(word: str) -> Operand:
    run = load_run(Path(word))
    return Operand(Path(word).stem, run.rows, run.environment)


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


def show(comparison: Comparison, form: str, no_color: bool) -> None:
    """Print a comparison in the form asked for; what differs comes first."""
    rows = [row for operand in comparison.operands for row in operand.rows]
    if form == "json":
        content = {
            "differences": comparison.differences,
            "lines": comparison.lines,
            "apart": comparison.apart,
            "rows": rows,
        }
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
    elif form == "jsonl":
        emit(as_jsonl(rows))
    elif form == "csv":
        emit(as_csv(rows))
    else:
        table = comparison_table(comparison)
        head, tail = head_lines(comparison), tail_lines(comparison)
        if form == "md":
            emit(
                "\n".join(
                    [*(f"> {line.strip()}  " for line in head), "", markdown(table), "", *(f"{t}  " for t in tail)]
                )
            )
            return
        emit("\n".join(head) + "\n")
        emit(table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))
        emit("\n" + "\n".join(tail))
