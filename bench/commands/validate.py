"""bench validate: how far off the model is, on measurements of anyone's."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from bench.commands import options
from bench.devices.emulated.table import read_table
from bench.devices.emulated.validate import Validated, validate
from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.units import MISSING, percent, seconds


@click.command(name="validate")
@click.option("--from", "table_file", metavar="FILE", help="A kernel table (CSV), as `bench calibrate --from` reads.")
@click.option("--serving", "serving_file", metavar="FILE", help="A table (CSV) of served configurations.")
@click.option(
    "-d", "--device", metavar="DEVICE", help="Only this device's rows; without a table: measure on it, here and now."
)
@click.option("--worst", is_flag=True, help="List the ten rows that are furthest off.")
@click.option("--format", "form", type=click.Choice(("table", "md", "json")), default="table", show_default=True)
@options.quiet
@options.no_color
def command(
    table_file: str | None, serving_file: str | None, device: str | None, worst: bool, form: str, quiet: bool,
    no_color: bool,
) -> int:  # fmt: skip
    """Price measured kernels or served configurations, and print the model's error beside a plain roofline's.

    \b
    bench validate --from kernels.csv                every device, kind and dtype
    bench validate --serving serving.csv             time per output token of served configurations
    bench validate -d cpu                            the smoke suite, measured here, against the calibrated model
    """
    if not table_file and not serving_file and device is None:
        raise click.UsageError("name a table: --from FILE, --serving FILE, or -d cpu (cuda:0, npu:0) to measure here")
    if table_file:
        found = validate(read_table(Path(table_file)), table_file, device)
    elif serving_file:
        from bench.measure.serving import read_serving, validate_serving

        found = validate_serving(read_serving(Path(serving_file)), serving_file, device)
    else:
        from bench.commands.here import validate_here

        found = validate_here(device or "cpu", quiet)
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif form == "md":
        emit(markdown(validation_table(found)))
    else:
        width, bold = width_of(sys.stdout), colored(sys.stdout, no_color)
        emit(table_text(validation_table(found), width, bold=bold))
        if worst:
            emit("\n" + table_text(worst_table(found), width, bold=bold))
    return 0


def validation_table(found: list[Validated]) -> Table:
    """Return the errors, a line a device, kind and dtype."""
    table = Table([
        Column("device"), Column("kind"), Column("dtype"), Column("tier"), Column("rows", right=True),
        Column("MAPE", right=True), Column("median", right=True), Column("bias", right=True),
        Column("inside P10-P90", right=True), Column("roofline MAPE", right=True, keep=6),
        Column("why", keep=3, wrap=True),
    ])  # fmt: skip
    for each in found:
        table.rows.append([
            each.device, each.kind, each.dtype, each.tier or "not priced", str(each.n), percent(each.mape),
            percent(each.median), MISSING if each.bias is None else f"{each.bias:.2f}", percent(each.inside),
            percent(each.roofline_mape), each.reason,
        ])  # fmt: skip
    table.notes = [
        "MAPE and median are of |modelled / measured - 1|; bias is the geometric mean of modelled / measured.",
        "A calibrated row's fit may have seen these rows; its profile holds the error on rows left out.",
    ]
    return table


def worst_table(found: list[Validated]) -> Table:
    """Return the rows that are furthest off."""
    table = Table([
        Column("device"), Column("kind"), Column("line", right=True), Column("measured", right=True),
        Column("modelled", right=True), Column("ratio", right=True), Column("dimensions", wrap=True),
    ])  # fmt: skip
    for each in found:
        for row in each.worst:
            dims = " ".join(f"{name}={value:g}" for name, value in row.dims.items())
            table.rows.append([
                each.device, f"{each.kind} {each.dtype}".strip(), str(row.line), seconds(row.measured_s),
                f"~{seconds(row.modelled_s)}", f"{row.modelled_s / row.measured_s:.2f}", dims,
            ])  # fmt: skip
    return table
