"""bench history: trends of run files over time, and where they changed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import project
from bench.commands import options
from bench.errors import DefinitionError, ResultError
from bench.results.metrics import METRICS

if TYPE_CHECKING:
    from bench.results.history.document import History
    from bench.results.history.query import Asked
    from bench.results.history.trend import Trend

DEFAULT_RUNS = 60
# The search for changes takes time with the square of this.
MOST_RUNS = 500


@dataclass(frozen=True)
class Found:
    """What was read, and where."""

    origin: str
    trends: list[Trend]
    machines: dict[str, dict[str, str]]
    unreadable: dict[str, str] = field(default_factory=dict)
    journals: list[str] = field(default_factory=list)


@click.command(name="history")
@click.argument("names", nargs=-1, metavar="[CASE|WORKLOAD]...", shell_complete=options.complete_workload)
@click.option("-d", "--device", "devices", multiple=True, metavar="DEVICE", help="Only this device. Repeatable.")
@click.option("--machine", default="", metavar="FINGERPRINT", help="Only this machine, by the beginning of its mark.")
@click.option("--metric", default="step_s", show_default=True, metavar="METRIC",
              help="step_s, tpot_s, output_tokens_per_s, memory_peak_bytes, joules_per_token ...")  # fmt: skip
@click.option("--last", type=click.IntRange(1, MOST_RUNS), default=DEFAULT_RUNS, show_default=True, metavar="N",
              help=f"The newest runs of each series, {MOST_RUNS} at most.")  # fmt: skip
@click.option("--was", multiple=True, metavar="OLD=NEW",
              help="A workload's old name: its runs go on under the new one, in this call; files stay, so give it in"
              " the next again. Repeatable.")  # fmt: skip
@click.option("--html", metavar="FILE", help="Write a page with every trend's picture instead of printing a table.")
@click.option("--rebuild", is_flag=True, help="Build the index of the run files anew.")
@options.output_format
@options.no_color
def command(
    names: tuple[str, ...], devices: tuple[str, ...], machine: str, metric: str, last: int, was: tuple[str, ...],
    html: str | None, rebuild: bool, form: str, no_color: bool,
) -> int:  # fmt: skip
    """Show how cases developed from run to run, what changed when, and with which commit and settings.

    Reads the run files below results/runs (BENCH_RESULTS), or the store that BENCH_STORE names. A case on one machine
    and device is one series; machines, definitions, measured and modelled values are never mixed.

    \b
    bench history                                  every series, what got slower first
    bench history llama-3.1-8b-decode -d cuda:0    all changes of one workload
    bench history --metric joules_per_token --last 200
    bench history --html trends.html               one page that opens offline
    """
    from bench.report.terminal import emit
    from bench.results.history.document import History, in_order
    from bench.results.history.query import Asked

    if html is not None:
        _page_can_be_made(html, form)
    asked = Asked(names=names, devices=devices, machine=machine, metric=metric, last=last, was=_renamed(was))
    found = _read(asked, rebuild)
    history = History(
        origin=found.origin, metric=metric, unit=METRICS[metric].unit, better=METRICS[metric].better, last=last,
        trends=in_order(found.trends), machines=found.machines, unreadable=found.unreadable, journals=found.journals,
    )  # fmt: skip
    if not history.trends:
        raise ResultError(_nothing(history))
    if html is not None:
        _write_page(history, Path(html), every=bool(names))
        return 0
    emit(_shown(history, form, every=bool(names), no_color=no_color))
    return 0


def _page_can_be_made(html: str, form: str) -> None:
    """Raise what stands in the way of a page, before anything is read."""
    from bench.commands.report import need

    if form != "table":
        raise click.UsageError(f"--html writes a page and --format {form} prints; ask for one of them")
    if Path(html).is_dir():
        raise DefinitionError(
            f"--html {html}: is a folder; name a file in it, for example {Path(html) / 'trends.html'}"
        )
    need(["trends"], "--html")


def _write_page(history: History, path: Path, *, every: bool) -> None:
    """Write the trend page, whole or not at all; name it on stdout."""
    from bench.report.page.trends import trends_page
    from bench.report.terminal import emit

    content = trends_page(history, every).encode()
    project.write_atomically(path, content)
    emit(f"{project.shown(path)}  {len(content) / 1e3:,.0f} kB")


def _renamed(was: tuple[str, ...]) -> dict[str, str]:
    """Return old name -> new name.

    Raises: DefinitionError for what is not OLD=NEW.
    """
    found = {}
    for text in was:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise DefinitionError(f"--was: {text!r} is not OLD=NEW, for example --was chat-decode=llama-3.1-8b-decode")
        found[old] = new
    return found


def _read(asked: Asked, rebuild: bool) -> Found:
    """Return what the store holds, where one is named, else what the run files hold."""
    if os.environ.get("BENCH_STORE", "").strip():
        if rebuild:
            raise click.UsageError("--rebuild is for the index of run files, and BENCH_STORE names a store; unset it")
        return _from_store(asked)
    from bench.report.terminal import emit
    from bench.results.history.index import Indexed, ask, remembered
    from bench.results.history.query import read_trends

    folder = project.runs_folder()

    def question(indexed: Indexed) -> Found:
        with remembered(indexed.connection) as memo:
            found = read_trends(indexed.connection, asked, memo)
        return Found(project.shown(folder), found.trends, found.machines, indexed.unreadable, indexed.journals)

    return ask(folder, question, lambda text: emit(text, sys.stderr), rebuild=rebuild)


def _from_store(asked: Asked) -> Found:
    from bench.commands.push import address
    from bench.results.history.database import shown
    from bench.results.history.memo import Memo
    from bench.results.history.query import read_trends
    from bench.results.history.store import opened

    url = address()
    with opened(url, "without BENCH_STORE the run files here are read", make=False) as store:
        store.check()
        found = read_trends(store.connection, asked, Memo())
    return Found(shown(url), found.trends, found.machines)


def _nothing(history: History) -> str:
    """Why there is nothing to show."""
    from bench.report.history import left_out

    left = left_out(history)
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        return f"{history.origin}: no run that holds {history.metric}; {left[0]}{more}"
    return f"{history.origin}: no run that holds {history.metric}; make one with: bench run"


def _shown(history: History, form: str, *, every: bool, no_color: bool) -> str:
    from bench.report import history as forms
    from bench.report.terminal import colored, markdown, table_text, width_of

    if form in ("json", "jsonl", "csv"):
        return {"json": forms.as_json, "jsonl": forms.as_jsonl, "csv": forms.as_csv}[form](history)
    blocks = forms.BLOCKS if forms.encodes(sys.stdout.encoding) else forms.ASCII_BLOCKS
    text, table = forms.changes_text(history, every), forms.history_table(history, blocks)
    if form == "md":
        fenced = text.replace("```", "")  # in a name it would end the block
        return f"```\n{fenced}\n```\n\n{markdown(table)}"
    return f"{text}\n\n{table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color))}"
