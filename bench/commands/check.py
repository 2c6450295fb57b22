"""bench check: whether a run is slower than its baseline, with a second look before an alarm."""

from __future__ import annotations

from typing import Any

import click

from bench.commands import options
from bench.results.gate.metrics import GATED, KEPT
from bench.units import parse_share

FAIL_ON = ("regressed", "improved", "cannot tell", "gone", "new", "learning", "not comparable")
CROSSINGS = ("source", "machine", "definition", "precision", "all")


@click.command(name="check")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("-b", "--baseline", "baselines", multiple=True, metavar="NAME|FILE|BRANCH",
              help="What to judge against; repeatable.  [default: main, or the only stored one]")  # fmt: skip
@click.option("--confirm/--no-confirm", default=True, show_default=True,
              help="Measure again what is in doubt, in turns with the baseline's commit where it is here.")  # fmt: skip
@click.option("--confirm-time", type=options.FiniteRange(1, 86400), default=600.0, show_default=True, metavar="SECONDS",
              help="How long the second look may take.")  # fmt: skip
@click.option(
    "--pairs", type=click.IntRange(2, 200), help="Pairs of the second look.  [default: what 5 % needs, 6 to 24]"
)
@click.option("--baseline-python", metavar="PYTHON", help="The baseline side's Python, say one with the old torch.")
@click.option("--budget", metavar="SHARE",
              help="A slowdown that must not pass as same.  [default: a workload's own, else 5%]")  # fmt: skip
@click.option("--floor", metavar="SHARE", help="Smaller changes are no news.  [default: a workload's own, else 1%]")
@click.option("--metric", "metrics", multiple=True, type=click.Choice(KEPT),
              help=f"Judge this; repeatable.  [default: a workload's own, else {', '.join(GATED)}]")  # fmt: skip
@click.option("--fail-on", default="regressed", show_default=True, metavar="LIST",
              help=f"Verdicts that end in exit code 1: {', '.join(FAIL_ON)}.")  # fmt: skip
@click.option("--cross", multiple=True, type=click.Choice(CROSSINGS), help="Compare although this differs; repeatable.")
@click.option("--why", metavar="CASE", help="Show samples, sessions, limit and arithmetic of a case (* and ? match).")
@click.option("--all", "every", is_flag=True, help="List what stayed the same as well.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORM=FILE",
    help="Write one more form to a file, which is named on stderr; repeatable.",
)
@click.option("--format", "form", metavar="FORM", default="table", show_default=True,
              help="table, md, json, github, comment, junit, github-action-benchmark, bmf, openmetrics.")  # fmt: skip
@options.quiet
@options.no_color
def command(
    runs: tuple[str, ...], baselines: tuple[str, ...], confirm: bool, confirm_time: float, pairs: int | None,
    baseline_python: str | None, budget: str | None, floor: str | None, metrics: tuple[str, ...], fail_on: str,
    cross: tuple[str, ...], why: str | None, every: bool, reports: tuple[str, ...], form: str, quiet: bool,
    no_color: bool,
) -> int:  # fmt: skip
    """Say of every case whether RUN is slower than its baseline: regressed, improved, same, or cannot tell.

    Without RUN the newest run is judged. Exit code 1: something got worse; 4: a case fails that the baseline has;
    5: a case cannot be compared; 0: none of these.

    \b
    bench run --sessions 8 && bench baseline save main      once, on the state to compare with
    bench run --sessions 3 && bench check                   after a change
    bench check --why 'gemm*'                               how that was worked out
    bench check --baseline main --report junit=check.xml --report github=summary.md
    """
    from bench.commands import checking, publishing

    asked = checking.Request(
        runs=runs, baselines=baselines, budget=_share(budget, "--budget"), floor=_share(floor, "--floor"),
        fail_on=_verdicts(fail_on), cross=cross, metrics=metrics,
    )  # fmt: skip
    forms = publishing.forms(form, reports)
    if why is not None:
        found, kept = checking.judged_before(asked)
        publishing.explain(found, why, kept=kept)
        return 0
    second = checking.Asked(confirm_time, pairs, baseline_python, quiet) if confirm else None
    checked = checking.check_runs(asked, second)
    publishing.publish(checked, form, forms, every=every, no_color=no_color, quiet=quiet)
    return checked.exit_code


def _share(text: str | None, flag: str) -> float | None:
    return None if text is None else parse_share(text, flag)


def _verdicts(text: str) -> tuple[Any, ...]:
    found = [part.strip().replace("-", " ") for part in text.split(",") if part.strip()]
    unknown = [part for part in found if part not in (*FAIL_ON, "nothing")]
    if unknown or not found:
        raise click.UsageError(f"--fail-on: '{text}'; a list of {', '.join(FAIL_ON)}, or nothing")
    return tuple(part for part in found if part != "nothing")
