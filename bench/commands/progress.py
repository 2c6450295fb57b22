"""Progress on stderr: a live bar with the time left on a terminal, one line a case elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

from bench.measure.runner import Event, Planned
from bench.report.rows import plus_minus, rate
from bench.report.terminal import emit
from bench.results.record import Row
from bench.units import plus_or_ends, seconds

# What a case takes beside its timing: start, weights, check.
OVERHEAD_S = 0.8


def expected_s(planned: list[Planned]) -> float:
    """Return about how long a plan takes."""
    return sum(each.case.time_s * 0.9 + OVERHEAD_S for each in planned if each.present)


class Progress:
    """Shows a run; use as a context manager and call it with each event.

    planned: the cases of all sessions, in the order in which they run.
    """

    def __init__(self, planned: list[Planned], quiet: bool) -> None:
        self.planned = planned
        self.sessions = max((each.session for each in planned), default=1)
        self.quiet = quiet
        self.rows: list[Row] = []
        self._start = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        live = sys.stderr.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb"
        if live and not self.quiet and any(each.present for each in self.planned):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.fields[left]}", markup=False),
            )  # fmt: skip
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=len(self.planned), left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        self.rows += event.rows
        if self.quiet:
            return
        if event.kind == "rows":
            for row in event.rows:
                if row.source == "measured":
                    self._say(self._line(event, row))
        if self._bar is not None:
            phase = f" ({event.phase})" if event.phase else ""
            done = event.index + (event.kind == "rows")
            left = expected_s(self.planned[done:])
            self._bar.update(
                self._task,
                completed=done,
                description=f"{self._session(event)}{event.planned.case.case_id}{phase}",
                left=f"about {seconds(left)} left",
            )

    def _line(self, event: Event, row: Row) -> str:
        number = f"{event.index + 1:>{len(str(event.total))}}/{event.total}"
        if row.status == "ok":
            spread = "" if row.interval is None else f"  ({plus_or_ends(plus_minus(row))})"
            text = f"{seconds(row.step_s):>9}{spread}  {rate(row)}"
        else:
            text = f"{row.reason}"
        return f"{number}  {self._session(event)}{row.status:<11} {row.case_id}  {text}"

    def _session(self, event: Event) -> str:
        return f"session {event.planned.session}/{self.sessions}  " if self.sessions > 1 else ""

    def _say(self, text: str) -> None:
        if self._bar is not None:
            # Plain text above the bar: brackets in a case id are not markup.
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            emit(text, sys.stderr)
