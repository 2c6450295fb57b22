"""bench export: a run in the form that another tool reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from bench import project
from bench.errors import ResultError
from bench.report.rows import as_csv, as_json, as_jsonl
from bench.report.terminal import emit
from bench.results.pytest_benchmark.write import document, left_out
from bench.results.record import Run
from bench.results.store import load_run, newest_run
from bench.units import counted


def _as_pytest_benchmark(run: Run) -> str:
    return msgspec.json.format(msgspec.json.encode(document(run)), indent=1).decode()


FORMS: dict[str, Callable[[Run], str]] = {
    "csv": lambda run: as_csv(run.rows),
    "json": as_json,
    "jsonl": lambda run: as_jsonl(run.rows),
    "pytest-benchmark": _as_pytest_benchmark,
}


@click.command(name="export")
@click.argument("run_file", required=False, metavar="[RUN]")
@click.option("--format", "form", type=click.Choice(tuple(FORMS)), default="csv", show_default=True,
              help="Form of the rows.")  # fmt: skip
@click.option("-o", "--out", metavar="FILE", help="Where to, whole or not at all.  [default: stdout]")
def command(run_file: str | None, form: str, out: str | None) -> None:
    """Write a run (the newest, where none is named) in the form that another tool reads.

    csv, json and jsonl hold every row with its source and status. pytest-benchmark holds timings only, the sessions of
    a case in one list: rows that were modelled, or gave no time, are named on stderr with the reason.

    \b
    bench export --format pytest-benchmark -o before.json
    pytest-benchmark compare before.json after.json
    bench export results/runs/RUN.json -o rows.csv
    """
    path = Path(run_file) if run_file else newest_run(project.runs_folder())
    run = load_run(path)
    gone = left_out(run.rows) if form == "pytest-benchmark" else []
    for row, reason in gone:
        emit(f"left out  {row.case_id} on {row.device}: {reason}", sys.stderr)
    taken = len(run.rows) - len(gone)
    if not taken:
        raise ResultError(
            f"{project.shown(path)}: holds nothing that {form} could hold; measure something: bench run"
            + (", or take --format csv" if gone else "")
        )
    text = FORMS[form](run)
    if out is None:
        emit(text)
        return
    project.write_atomically(Path(out), f"{text}\n".encode())
    emit(f"Wrote {out}: {taken:,} of {counted(len(run.rows), 'row')} of {project.shown(path)}", sys.stderr)
