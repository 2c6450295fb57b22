"""bench baseline: save, list, show, accept and prune what runs are judged against."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench import project
from bench.commands import options
from bench.errors import BenchError, ResultError
from bench.project import matches
from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import KEEP, Baseline, typical_and_spread
from bench.results.gate.gather import WIDE_LIMITS, Gathered, disturbed_text, gather, merged, sittings
from bench.results.gate.look import Rule
from bench.results.store import load_run, newest_run
from bench.results.writing import unfinished
from bench.units import percent, scaled, seconds


@click.group(name="baseline", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Baselines: sessions that `bench check` judges runs against, in results/baselines, to be committed.

    \b
    bench run --sessions 8 && bench baseline save main
    bench baseline show main
    bench baseline accept 'gemm*' --reason 'exact rounding costs this'
    """


@command.command()
@click.argument("name")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--keep", type=click.IntRange(1), default=KEEP, show_default=True,
              help="Sessions to keep of each machine, the newest.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Forget what the baseline held before.")
def save(name: str, runs: tuple[str, ...], keep: int, replace: bool) -> int:
    """Add the sessions of RUNs (the newest, where none is named) to the baseline NAME."""
    path = stored.path_of(name)
    gathered = _gathered(runs)
    with stored.locked(path):
        before = Baseline(name=name)
        if path.is_file() and not replace:
            before = stored.load(path)
        new = before.add(gathered)
        gone = before.prune(keep)
        stored.save(before, path)
    emit(f"{project.shown(path)}: {_counted(before)}")
    emit(f"new sessions: {len(new)}; older ones that went (--keep {keep}): {len(gone)}", sys.stderr)
    _warn(before)
    return 0


def _warn(one: Baseline) -> None:
    """Say which cases `bench check` cannot judge yet, what others disturbed, and which are not of a machine at all."""
    few, fewest = one.learning(Rule.fewest_sessions), Rule.fewest_sessions
    if few:
        cases = _number(len(few), "case")
        emit(
            f"! {cases} with {min(few.values())} of {fewest} sessions: bench check is learning there; add more:"
            f" bench run --sessions {fewest}, bench baseline save {one.name}",
            sys.stderr,
        )
    disturbed = disturbed_text(one)
    if disturbed:
        emit(f"! {disturbed}: {WIDE_LIMITS}", sys.stderr)
    modelled = {(held.device, held.case_id) for held in one.cases if held.source == "modelled"}
    if modelled:
        emit(
            f"! {_number(len(modelled), 'case')} modelled: bench check tells what the cost model or a sheet says"
            " otherwise than in the newest of these runs, and nothing of a machine",
            sys.stderr,
        )


def _gathered(words: tuple[str, ...]) -> Gathered:
    """Return the sessions of run files as one.

    Raises: ResultError where a run is not complete, or nothing in it can be judged.
    """
    parts = []
    for path in [Path(word) for word in words] or [newest_run(project.runs_folder())]:
        run = load_run(path)
        if not run.complete:
            raise ResultError(f"{project.shown(path)}: {unfinished(path)}")
        gathered, left_out = gather(run, "baseline")
        if not gathered.cases:
            raise ResultError(f"{project.shown(path)}: has no case that gave a number; a baseline needs some")
        for one in left_out:
            emit(f"! {one.case_id} on {one.device} is left out, {one.status}: {one.reason}", sys.stderr)
        parts.append(gathered)
    return merged(parts)


@command.command(name="list")
@options.output_format
def list_all(form: str) -> int:
    """List the baselines here."""
    table = Table([
        Column("baseline"), Column("sessions", right=True), Column("sittings", right=True), Column("cases", right=True),
        Column("machines", right=True), Column("newest"), Column("accepted", right=True),
    ])  # fmt: skip
    broken: list[BenchError] = []
    for name in stored.names():
        try:
            one = stored.load(stored.path_of(name))
        except BenchError as error:
            broken.append(error)
            continue
        table.rows.append([
            name, str(len(one.sessions)), str(sittings(one)), str(len({(h.device, h.case_id) for h in one.cases})),
            str(len(one.machines)), one.sessions[-1].created if one.sessions else "-", str(len(one.accepted)),
        ])  # fmt: skip
    if broken and not table.rows:
        raise broken[0]
    for each in broken:
        emit(f"! {each}", sys.stderr)
    if not table.rows:
        table.notes = [
            "no baseline in results/baselines yet; make one: bench run --sessions 8, bench baseline save main"
        ]
    _print(table, form)
    return 0


@command.command()
@click.argument("name")
@click.argument("pattern", required=False, metavar="[CASE]")
@options.output_format
def show(name: str, pattern: str | None, form: str) -> int:
    """Show the baseline NAME: typical values, their spread between sessions, what was accepted."""
    one = stored.load(stored.path_of(name))
    table = Table([
        Column("case"), Column("on", keep=7), Column("metric"), Column("sessions", right=True),
        Column("typical", right=True), Column("lowest", right=True, keep=5), Column("highest", right=True, keep=5),
        Column("spread", right=True), Column("source", keep=8),
    ])  # fmt: skip
    for held in one.leveled().cases:
        if pattern is not None and not matches(held.case_id, pattern):
            continue
        medians = [value.median for value in held.values.values()]
        middle, spread = typical_and_spread(medians)
        table.rows.append([
            held.case_id, held.device, held.metric, str(len(medians)), _value(held.metric, middle),
            _value(held.metric, min(medians)), _value(held.metric, max(medians)),
            "-" if spread is None else percent(spread), held.source,
        ])  # fmt: skip
    table.notes = [_counted(one), *(f"machine {mark}: {_facts(facts)}" for mark, facts in one.machines.items())]
    table.notes += [
        f"{case_id} {metric} on {device}: {reason}" for (device, case_id, metric), reason in one.reasons().items()
    ]
    _print(table, form)
    return 0


@command.command()
@click.argument("pattern", metavar="CASE")
@click.option("--reason", required=True, help="Why the change is wanted; it is kept.")
@click.option("--run", "run", metavar="RUN", help="The run that shows it.  [default: the newest]")
@click.option("-b", "--baseline", "name", default="main", show_default=True, help="The baseline to change.")
@click.option("--force", is_flag=True, help="Take the level also of what the check found to be the same.")
def accept(pattern: str, reason: str, run: str | None, name: str, force: bool) -> int:
    """Accept what RUN shows for the cases that match CASE ('decode*'): from now on it is the level to keep.

    Tells of each change what the check of RUN found, or, where none is kept, a first look made now. What is the same is
    left alone.
    """
    from bench.commands import accepting

    path = stored.path_of(name)
    stored.load(path)  # one that is not there is an error before anything is made
    file = run or str(newest_run(project.runs_folder()))
    accepting.accept(path, pattern, reason, file, _gathered((file,)), force=force)
    return 0


@command.command()
@click.argument("name")
@click.option("--keep", type=click.IntRange(1), help="Sessions to keep of each machine, the newest.")
@click.option("--drop", "patterns", multiple=True, metavar="CASE", help="Cases to forget (* and ? match); repeatable.")
@click.option("--delete", is_flag=True, help="Remove the whole baseline.")
def prune(name: str, keep: int | None, patterns: tuple[str, ...], delete: bool) -> int:
    """Take old sessions, cases that are no more, or all of the baseline NAME away."""
    if not (keep or patterns or delete):
        raise click.UsageError("say what goes: --keep N, --drop CASE or --delete")
    path = stored.path_of(name)
    stored.load(path)  # one that is not there is an error before anything is made
    with stored.locked(path):
        baseline = stored.load(path)
        if delete:
            project.guarded(path, path.unlink)
            emit(f"{project.shown(path)}: removed")
            return 0
        gone = baseline.prune(keep) if keep else []
        cases = baseline.drop(patterns) if patterns else []
        stored.save(baseline, path)
    emit(f"{project.shown(path)}: {_counted(baseline)}")
    emit(f"sessions that went: {len(gone)}; cases that went: {len(cases)}", sys.stderr)
    _warn(baseline)
    return 0


def _counted(one: Gathered) -> str:
    cases = len({(held.device, held.case_id) for held in one.cases})
    made = f"{_number(len(one.sessions), 'session')} of {_number(sittings(one), 'sitting')}"
    return f"{_number(cases, 'case')}, {made}"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _value(metric: str, value: float) -> str:
    if metric.endswith("_s"):
        return seconds(value)
    return scaled(value, "B") if metric.endswith("_bytes") else f"{value:.4g} J/token"


def _facts(facts: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _print(table: Table, form: str) -> None:
    if form in ("md", "csv"):
        emit(markdown(table))
    elif form in ("json", "jsonl"):
        import json

        rows = [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]
        emit(json.dumps(rows, indent=1) if form == "json" else "\n".join(json.dumps(row) for row in rows))
    else:
        emit(table_text(table, width_of(sys.stdout), bold=colored(sys.stdout)))
