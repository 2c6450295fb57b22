"""bench doctor: what would disturb a measurement here."""

from __future__ import annotations

import dataclasses
import sys

import click
import msgspec

from bench.commands import options
from bench.measure.doctor import examine
from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, table_text, width_of
from bench.units import counted


@click.command(name="doctor")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@options.no_color
def command(form: str, no_color: bool) -> None:
    """Look for what would disturb a measurement on this machine, and say what to do about it."""
    findings = examine()
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode([dataclasses.asdict(f) for f in findings]), indent=2).decode())
        return
    table = Table([Column(""), Column("what"), Column("found"), Column("what to do", wrap=True)])
    table.rows = [[f.level if f.level != "warn" else "WARN", f.subject, f.found, f.advice] for f in findings]
    warnings = sum(f.level == "warn" for f in findings)
    table.notes = [
        "nothing here would disturb a measurement."
        if not warnings
        else f"{counted(warnings, 'thing')} to mend before trusting small differences."
    ]
    emit(table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))
