"""bench push: run files into the store that several machines share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import project
from bench.commands import options
from bench.errors import DefinitionError, ResultError
from bench.units import counted

if TYPE_CHECKING:
    import sqlalchemy as sa

    from bench.results.history.index import Indexed

LATER = "run files stay here: bench push sends what is missing later"
# From so many runs on a person is told what the time goes to.
MANY = 100


@click.command(name="push")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@options.quiet
def command(runs: tuple[str, ...], quiet: bool) -> int:
    """Send RUNs, files or ids, to the store that BENCH_STORE names; without any, every run that is not there yet.

    A run goes in whole or not at all, and once only: repeat the command at will, from several machines at once.

    \b
    export BENCH_STORE=postgresql://user:password@host/database
    bench push
    bench history                 then shows every machine's runs
    bench pull                    and this fetches their files
    """
    from bench.report.terminal import emit
    from bench.results.history.database import shown
    from bench.results.history.store import opened

    def tell(text: str) -> None:
        if not quiet:
            emit(text, sys.stderr)

    url, (here, unreadable) = address(), indexed(tell)
    named = [_path(name, here) for name in runs]
    counts = {"pushed": 0, "there": 0, "differs": 0}
    problems = [] if runs else unreadable
    with opened(url, LATER) as store:
        for line in store.prepare():
            tell(f"{shown(url)}: {line}")
        missing = set() if runs else set(store.missing(list(here)))
        todo = named or [path for run_id, path in here.items() if run_id in missing]
        counts["there"] = 0 if runs else len(here) - len(todo)
        if len(todo) >= MANY:
            tell(f"pushing {counted(len(todo), 'run')} ...")
        try:
            for path in todo:
                if not path.exists():
                    tell(f"left out: {project.shown(path)}: gone since it was listed")
                    continue
                try:
                    outcome = store.push(path)
                except ResultError as error:
                    # One file that is no run keeps none of the others here.
                    problems.append(str(error))
                    if len(todo) > 1:
                        tell(f"left out: {error}")
                    continue
                counts[outcome] += 1
                if outcome == "differs":
                    tell(f"! {project.shown(path)}: the store has a run of this id with other content, and keeps it")
        finally:
            # Also where the database goes away: what is in the store is in.
            left = len(problems) + counts["differs"]
            emit(
                f"pushed {_counted(counts['pushed'])} to {shown(url)}; {_counted(counts['there'])} there already"
                + (f"; {_counted(left)} not pushed" if left else "")
            )
    if counts["differs"]:
        problems.append(f"{_counted(counts['differs'])} not pushed: the store has other content under their ids")
    if problems:
        more = f"; and {len(problems) - 1} more, named above" if len(problems) > 1 else ""
        raise ResultError(f"{problems[0]}{more}")
    return 0


def address() -> sa.URL:
    """Return the URL of the store.

    Raises: DefinitionError where none is named; ResultError for one that cannot be used.
    """
    from bench.results.history.database import FORMS, parsed

    text = os.environ.get("BENCH_STORE", "").strip()
    if not text:
        raise DefinitionError(f"BENCH_STORE is not set; it names the store, for example {FORMS}")
    return parsed(text)


def indexed(tell: Callable[[str], None]) -> tuple[dict[str, Path], list[str]]:
    """Return run id -> file of every complete run here, and what cannot be read with the reason.

    That, copies and what is being written are told.
    """
    from bench.results.history.index import COPY, ask, paths

    folder = project.runs_folder()

    def question(held: Indexed) -> tuple[dict[str, Path], list[str]]:
        unreadable = []
        for path, reason in held.unreadable.items():
            shown = project.shown(folder / path)
            why = reason.removeprefix(f"{shown}: ")
            tell(f"left out: {path}: {why}")
            if not why.startswith(COPY):
                unreadable.append(f"{shown}: {why}")
        for path in held.journals:
            tell(f"left out: {path}: being written, or interrupted (bench run --resume)")
        return {run_id: folder / path for run_id, path in paths(held.connection).items()}, unreadable

    return ask(folder, question, tell)


def _path(name: str, here: dict[str, Path]) -> Path:
    if name in here:
        return here[name]
    if not Path(name).exists():
        raise ResultError(f"{name}: neither a run file nor the id of a run in {project.shown(project.runs_folder())}")
    return Path(name)


def _counted(runs: int) -> str:
    return counted(runs, "run")
