"""One `bench baseline accept`: what a run shows becomes the level, and what its check said of it is told."""

from __future__ import annotations

import datetime
import shlex
import sys
from pathlib import Path

from bench import project
from bench.commands.against import DEFAULT
from bench.commands.checking import Request, first_look, judged_before
from bench.errors import ResultError, listed
from bench.project import matches
from bench.report.gate import words
from bench.report.terminal import emit
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import LEAST_CHANGE, Accepted, Baseline, change_of
from bench.results.gate.document import Checked, Finding
from bench.results.gate.gather import Gathered, Key
from bench.results.gate.metrics import KEPT
from bench.units import percent

# Verdicts that chance alone may have made, as long as no second look confirms them.
OPEN = ("regressed", "cannot tell", "learning")


def accept(path: Path, pattern: str, reason: str, run: str, gathered: Gathered, *, force: bool) -> None:
    """Accept what a run shows in the baseline at `path`, and print each change with what the run's check found.

    The ratio is that of the check's pairs with the baseline's commit, where it made some; else the first look's, which
    is made now where no check of the run is kept. What is the same is left alone, unless `force`.
    Raises: ResultError where nothing has changed, no case matches, the check is of another state of the baseline, or a
    file cannot be read or written.
    """
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    with stored.locked(path):
        baseline = stored.load(path)
        checked, kept = judged_before(Request((run,), (path.stem,)))
        done = _accepted_since(checked, baseline, pattern, run) if kept else {}
        leave = {*done, *(() if force else _unchanged(checked, gathered))}
        found = baseline.accept(pattern, gathered, reason, when, leave, checked.pairs())
        if not found:
            raise ResultError(
                _again(done, run, path.stem) if done else _nothing(checked, pattern, path.stem, force=force)
            )
        stored.save(baseline, path)
    said = {one.key: one for one in checked.findings}
    for each in found:
        by = "" if each.ratio is None else f" by the {each.by}"
        told = _said(said.get(each.key))
        emit(f"accepted  {each.case_id} {each.metric} on {each.device}: {change_of(each)}{by}; {told}")
    if done:
        emit(f"! {_again(done, run, path.stem)}", sys.stderr)
    unsure = dict.fromkeys(each.case_id for each in found if each.ratio is not None and _is_open(said.get(each.key)))
    if unsure:
        emit(
            f"! no second look confirms {listed(unsure, 3)}: chance may have become the level; next time bench check"
            " first, where it can look again",
            sys.stderr,
        )
    emit(f"{project.shown(path)}: kept with the reason; commit it", sys.stderr)


def _accepted_since(checked: Checked, baseline: Baseline, pattern: str, run: str) -> dict[Key, Accepted]:
    """Return what was accepted since a check was made: its ratio is of the level before, and must not count twice.

    Raises: ResultError where the baseline or the run changed otherwise.
    """
    request = Request((run,), (checked.baseline.label,), metrics=tuple(KEPT))
    (_, then), (_, now) = checked.compared(), first_look(request).compared()
    found = {}
    for key, levels in then.items():
        _, case_id, metric = key
        if not matches(case_id, pattern) or levels == now.get(key, (None, None)):
            continue
        last = next((each for each in reversed(baseline.accepted) if each.key == key), None)
        if last is None or last.when < checked.created or last.run != checked.candidate.label:
            raise ResultError(
                f"{case_id} {metric}: the baseline '{baseline.name}' or the run has changed since the check of"
                f" {checked.created}, which says nothing of what they are now; check again, then accept:"
                f" {_check(run, baseline.name)}"
            )
        found[key] = last
    return found


def _again(done: dict[Key, Accepted], run: str, name: str) -> str:
    (_, case_id, metric), one = next(iter(done.items()))
    more = f" and {len(done) - 1} more" if len(done) > 1 else ""
    return (
        f"{case_id} {metric}{more}: {change_of(one)} of this check was accepted at {one.when} ({one.reason}), and does"
        f" not count twice; what is left of it is told by: {_check(run, name)}"
    )


def _check(run: str, name: str) -> str:
    return shlex.join(["bench", "check", run, *([] if name == DEFAULT else ["-b", name])])


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
