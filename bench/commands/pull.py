"""bench pull: run files out of the store that several machines share."""

from __future__ import annotations

import re
import sys

import click

from bench import project
from bench.commands import options
from bench.commands.push import address, indexed
from bench.units import counted

# What a run id may be to become a file name as it is; others have the rest replaced.
PLAIN = re.compile(r"[^A-Za-z0-9._+=-]+")


@click.command(name="pull")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--out", metavar="FOLDER", help="Where run files go.  [default: results/runs, or BENCH_RESULTS]")
@options.quiet
def command(runs: tuple[str, ...], out: str | None, quiet: bool) -> int:
    """Fetch the run files of RUNs (ids) from the store that BENCH_STORE names; without any, all that are not here.

    The files are to the letter those that were pushed.

    \b
    bench pull
    bench compare results/runs/RUN.json h100-sxm
    """
    from bench.report.terminal import emit
    from bench.results.history.database import shown
    from bench.results.history.store import opened

    def tell(text: str) -> None:
        if not quiet:
            emit(text, sys.stderr)

    url, here, count = address(), set(indexed(lambda _: None)[0]), 0
    folder = project.runs_folder(out)
    with opened(url, "nothing here was changed; try again later", make=False) as store:
        store.check()
        try:
            for run_id, content in store.documents(set(runs) or None, here):
                path = folder / f"{PLAIN.sub('_', run_id).lstrip('.') or 'run'}.json"
                if path.exists():
                    tell(f"left out: {project.shown(path)}: is there, and is not this run")
                    continue
                project.write_atomically(path, content)
                tell(project.shown(path))
                count += 1
        finally:
            emit(f"pulled {counted(count, 'run')} from {shown(url)}")
    return 0
