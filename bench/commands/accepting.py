"""One `bench baseline accept`: what a run shows becomes the level, and what its check said of it is told."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from bench import project
from bench.commands.checking import Request, judged_before
from bench.errors import ResultError, listed
from bench.project import matches
from bench.report.gate import words
from bench.report.terminal import emit
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import LEAST_CHANGE, change_of
from bench.results.gate.document import Checked, Finding
from bench.results.gate.gather import Gathered, Key
from bench.units import percent

# Verdicts that chance alone may have made, as long as no second look confirms them.
OPEN = ("regressed", "cannot tell", "learning")


def accept(path: Path, pattern: str, reason: str, run: str, gathered: Gathered, *, force: bool) -> None:
    """Accept what a run shows in the baseline at `path`, and print each change with what the run's check found.

    Where no check of the run is kept, a first look is made now. What is the same is left alone, unless `force`.
    Raises: ResultError where nothing has changed, no case matches, or a file cannot be read or written.
    """
    checked, _ = judged_before(Request((run,), (path.stem,)))
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    with stored.locked(path):
        baseline = stored.load(path)
        found = baseline.accept(pattern, gathered, reason, when, () if force else _unchanged(checked, gathered))
        if not found:
            raise ResultError(_nothing(checked, pattern, path.stem, force=force))
        stored.save(baseline, path)
    said = {one.key: one for one in checked.findings}
    for each in found:
        told = _said(said.get(each.key))
        emit(f"accepted  {each.case_id} {each.metric} on {each.device}: {change_of(each)}; {told}")
    unsure = dict.fromkeys(each.case_id for each in found if each.ratio is not None and _is_open(said.get(each.key)))
    if unsure:
        emit(
            f"! no second look confirms {listed(unsure, 3)}: chance may have become the level; next time bench check"
            " first, where it can look again",
            sys.stderr,
        )
    emit(f"{project.shown(path)}: kept with the reason; commit it", sys.stderr)


def _unchanged(checked: Checked, candidate: Gathered) -> set[Key]:
    """Return what the check found to be the same, and what it did not judge of cases in which nothing else moved."""
    same = {one.key for one in checked.findings if one.verdict == "same"}
    moved = {one.key[:2] for one in checked.findings if one.verdict != "same"}
    return {held.key for held in candidate.cases if held.key in same or held.key[:2] not in moved}


def _nothing(checked: Checked, pattern: str, name: str, *, force: bool) -> str:
    told = [f"{one.case_id} {one.metric}: {_said(one)}" for one in checked.findings if matches(one.case_id, pattern)]
    least = (
        f"a change below {percent(LEAST_CHANGE)} moves no level" if force else "--force takes the level all the same"
    )
    return (
        f"'{pattern}': nothing has changed that could be accepted ({'; '.join(told[:3])}); new sessions of the same"
        f" level are added with bench baseline save {name}; {least}"
    )


def _said(one: Finding | None) -> str:
    """Return what a check said of a metric."""
    if one is None:
        return "not judged by the check"
    again = words.second_look_text(one) or "none"
    return f"{words.verdict_text(one)} at {words.change_text(one)} (second look: {again})"


def _is_open(one: Finding | None) -> bool:
    return one is not None and one.verdict in OPEN and one.confirmed != "confirmed"
