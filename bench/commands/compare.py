"""bench compare: run files, modelled devices and mixtures, side by side."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from bench.commands import options
from bench.commands.operands import is_file, read_operands
from bench.commands.published import Published, published_beside, show_published
from bench.commands.service import at_targets, show_targets
from bench.errors import NotComparable
from bench.report.comparison import answer_lines, axis_lines, comparison_table, head_lines, tail_lines, verdicts_of
from bench.report.rows import as_csv, as_jsonl
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.answer import answers
from bench.results.compare import Comparison, compare


@click.command(name="compare")
@click.argument("operands", nargs=-1, required=True, metavar="A B [C...]", shell_complete=options.complete_device)
@click.option("-w", "--workload", "names", multiple=True, metavar="NAME", shell_complete=options.complete_workload,
              help="Cases to model where no run file gives them.  [default: deepseek-r1-*]")  # fmt: skip
@click.option(
    "--at",
    metavar="TARGETS",
    help="Service targets: tpot=50ms,ttft=2s, 30tok/s/user, mlperf-interactive.  [default: 15ms,30ms,50ms]",
)
@options.sweep
@options.output_format
@options.no_color
def command(
    operands: tuple[str, ...], names: tuple[str, ...], at: str | None, form: str, no_color: bool, **sweep: Any
) -> int:  # fmt: skip
    """Put A beside B, case by case: a run file, a device's sheet, which is then modelled, or published figures.

    Where a side is a run file, its cases are modelled for the sheets beside it; a run file of several devices is as
    many sides. A package of several dies (Ascend 910C) is shown per die and per package.

    \b
    bench compare ascend-910c h100-sxm --workload deepseek-r1-decode
    bench compare results/runs/RUN.json h100-sxm
    bench compare before.json after.json
    bench compare cloudmatrix384 h100-sxm        published figures and the model of the same cases
    """
    alone = len(operands) < 2 and not is_file(operands[0])
    sides = [] if alone else read_operands(operands, names, options.overrides(sweep))
    if len(sides) < 2:
        raise click.UsageError("two sides are needed: run files or device names, for example ascend-910c h100-sxm")
    comparison = compare(sides)
    targets = at_targets(sides, at)
    published = None if form in ("csv", "jsonl") else published_beside(sides)
    show(comparison, form, no_color, targets, published)
    return 0 if comparison.lines or (targets and targets.lines) else NotComparable.exit_code


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
            "answers": [each for *_, found in verdicts_of(comparison, targets) for each in answers(found)],
            "verdicts": [verdict for *_, found in verdicts_of(comparison, targets) for verdict in found],
            "published": published,
        }
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
    elif form == "jsonl":
        emit(as_jsonl(rows))
    elif form == "csv":
        emit(as_csv(rows))
    else:
        told = answer_lines(comparison, targets)
        if told:
            emit("\n".join([f"- {line}" if form == "md" else line for line in told] + [""]))
        _print(comparison, form, no_color)
        axes = axis_lines(comparison, targets)
        emit("\n" + "\n".join(f"{line}  " for line in axes) if form == "md" else "\n".join(["", *axes]))
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
