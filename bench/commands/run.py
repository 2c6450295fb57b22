"""bench run: measure here, model elsewhere, save every row."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from bench.commands import options
from bench.errors import DefinitionError
from bench.project import runs_folder

# What a run decides when it begins, sweep flags aside.
PLANNED = ("names", "devices", "sessions", "check")


@click.command(name="run")
@click.argument("names", nargs=-1, metavar="[WORKLOAD|SUITE|CASE]...", shell_complete=options.complete_workload)
@click.option(
    "-d", "--device", "devices", multiple=True, metavar="DEVICE", shell_complete=options.complete_device,
    help="A device of this machine (cpu, cuda:0, npu:0) is measured; a sheet (h100-sxm) is modelled. Repeatable."
    "  [default: the first accelerator, else cpu]",
)  # fmt: skip
@options.sweep
@click.option("--sessions", type=click.IntRange(1, 1000), metavar="N",
              help="Measure every case N times, in new processes and another order.  [default: 1]")  # fmt: skip
@click.option("--at", metavar="TARGETS", help="Then find the largest batch in time by measuring up to 4 more:"
              " tpot=50ms, ttft=2s, 30tok/s/user, mlperf-interactive.")  # fmt: skip
@click.option("--out", metavar="FOLDER", help="Where run files go.  [default: results/runs, or BENCH_RESULTS]")
@click.option("--resume", is_flag=False, flag_value="", default=None, metavar="[RUN]",
              help="Continue an interrupted run: the newest, or the journal named.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would run, its memory and time, and run nothing.")
@click.option("--check", is_flag=True, help="Modelled cases: also run the program at reduced size here, and check it.")
@click.option("--limit", type=options.FiniteRange(1, 86400), metavar="SECONDS", help="End a case after this long.")
@click.option("--memory", type=options.FiniteRange(0.01), metavar="GB", help="Memory one case may use.")
@click.option("--allow-busy", is_flag=True, help="Measure although others use the device; every row is marked.")
@options.output_format
@options.quiet
@options.no_color
def command(
    names: tuple[str, ...], devices: tuple[str, ...], sessions: int | None, at: str | None, out: str | None,
    resume: str | None, dry_run: bool, check: bool, allow_busy: bool, limit: float | None, memory: float | None,
    form: str, quiet: bool, no_color: bool, **sweep: Any,
) -> int:  # fmt: skip
    """Measure WORKLOADs or single CASEs on this machine, or model them on DEVICEs that are not here.

    Without a name the suite `smoke` runs. Results go to stdout, progress to stderr, every row to a run file as soon
    as it is done. Ctrl-C saves what is finished; `bench run --resume` goes on.

    \b
    bench run                                      the smoke suite on this CPU
    bench run decode --batch 1,8 --context 1k:8k:x2
    bench run 'gemm[m=1,*'                         single cases, by id or pattern
    bench run deepseek-r1-decode -d ascend-910c -d h100-sxm
    bench run --sessions 5                         the noise between processes, and not only inside of one
    bench run llama-3.1-8b-decode --layers 2       two layers measured, scaled to all
    bench run llama-3.1-8b-decode --at tpot=100ms  the largest batch that keeps every token in time
    """
    from bench.commands import planning, running
    from bench.results.target import parse_targets

    targets = parse_targets(at) if at is not None else []
    if resume is not None:
        if dry_run:
            raise click.UsageError(
                "--resume goes on as the run was planned, --dry-run plans anew; leave one of them out"
            )
        _as_planned(click.get_current_context(), {*PLANNED, *sweep})
    asked = planning.Request(
        names=names or ("smoke",), devices=devices, overrides=options.overrides(sweep),
        time_s=sweep["time_s"], memory_gb=memory, check=check, allow_busy=allow_busy,
        sessions=sessions or 1,
    )  # fmt: skip
    if dry_run:
        planning.show_plan(asked, form, no_color)
        return 0
    if targets and resume is None and not any(each.present for each in planning.plan(asked)):
        raise DefinitionError("--at measures on a device that is here; for a sheet: bench compare A B --at TARGETS")
    folder = runs_folder(out)
    if resume is not None:
        started = running.resume(folder, resume, allow_busy=allow_busy)
    else:
        started = running.start(asked, folder)
    return running.go(
        started, limit_s=limit, memory_gb=memory, form=form, quiet=quiet, no_color=no_color, targets=targets
    )


def _as_planned(ctx: click.Context, planned: set[str]) -> None:
    """Refuse what was decided when a run that is resumed began.

    Raises: click.UsageError naming each flag that its journal decides.
    """
    given = [
        "workloads" if isinstance(one, click.Argument) else one.opts[-1]
        for one in ctx.command.params
        if one.name in planned and ctx.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"--resume goes on as the run was planned: its journal decides {', '.join(given)}; leave that out, or start"
            " a new run without --resume"
        )
