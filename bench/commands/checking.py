"""One `bench check`: gather both sides, judge, look again, conclude, keep the document."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import bench
from bench import project
from bench.commands.against import Against, find
from bench.commands.interruption import terminated_as_interrupted
from bench.commands.publishing import read_kept
from bench.commands.second_look import Asked, Looked, look_again
from bench.errors import BenchError, ResultError
from bench.report.terminal import emit
from bench.results.environment import changes, command_line
from bench.results.gate.check import check
from bench.results.gate.conclude import FAIL_ON, conclude, exit_code, key_of, with_reasons
from bench.results.gate.document import Checked, LeftOut, Side
from bench.results.gate.gather import (
    WIDE_LIMITS,
    Gathered,
    Key,
    disturbed_text,
    gather,
    merged,
    on_its_machines,
    series,
    sittings,
)
from bench.results.gate.look import Rule
from bench.results.gate.metrics import GATED
from bench.results.gate.verdict import BORDERS, Judged, Verdict
from bench.results.record import Run
from bench.results.store import list_runs, load_run
from bench.results.writing import unfinished
from bench.units import counted, parse_share
from bench.workloads.schema import Gate
from bench.workloads.sweep import known_workloads

__all__ = ["Asked", "Request", "check_runs", "first_look", "judged_before"]

# Memory moves with a library's version by a per cent or two; that is no news.
MEMORY_FLOOR = 0.05
INTERRUPTED = "the second look was interrupted"
NOT_ASKED = "--no-confirm"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; shares: 0.05 is 5 %. What is not given a workload may say for itself."""

    runs: tuple[str, ...]
    baselines: tuple[str, ...]
    budget: float | None = None
    floor: float | None = None
    fail_on: Collection[Verdict] = FAIL_ON
    cross: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def rule(self) -> Rule:
        return self.rule_with(Gate())

    def rule_with(self, own: Gate) -> Rule:
        """Return the rule for a workload with limits of its own: the command line's come first, then these."""

        def limit(asked: float | None, text: str | None, name: str, default: float) -> float:
            if asked is not None:
                return asked
            return default if text is None else parse_share(text, f"gate.{name}")

        return Rule(
            budget=limit(self.budget, own.budget, "budget", Rule.budget),
            floor=limit(self.floor, own.floor, "floor", Rule.floor),
        )


@dataclass
class _Sides:
    """Both sides read, and the first look at them."""

    runs: list[Run]
    candidate: Against
    baseline: Against
    rules: dict[Key, Rule]
    first: list[Judged]


def check_runs(asked: Request, second: Asked | None) -> Checked:
    """Judge runs against a baseline, and look again at what is in doubt.

    Raises: ResultError for what cannot be read.
    """
    sides = _first_look(asked)
    looked = Looked()
    if second is None:
        doubts = [key_of(one) for one in sides.first if one.second_look]
        looked.none(doubts, NOT_ASKED)
    else:
        try:
            with terminated_as_interrupted():
                looked = look_again(sides.first, sides.runs, sides.baseline, sides.rules, asked.rule, second)
        except KeyboardInterrupt:
            # What the first look found is known, and is not lost with the second.
            looked = Looked().none([key_of(one) for one in sides.first if one.second_look], INTERRUPTED)
            looked.notes.append(INTERRUPTED)
    return _document(asked, sides, looked)


def judged_before(asked: Request) -> tuple[Checked, bool]:
    """Return the check of these runs that is kept, and whether it is one: else a first look is made now.

    Raises: ResultError for what cannot be read.
    """
    candidate = _candidate(asked.runs)[1]
    kept = read_kept(candidate.label)
    if (
        kept is not None
        and kept.candidate.files == candidate.files
        and (not asked.baselines or [kept.baseline.label] == list(asked.baselines))
    ):
        return kept, True
    return first_look(asked), False


def first_look(asked: Request) -> Checked:
    """Return what a first look at the runs says now; nothing is measured."""
    return _document(asked, _first_look(asked), Looked())


def _first_look(asked: Request) -> _Sides:
    runs, candidate = _candidate(asked.runs)
    baseline = find(asked.baselines, {one.run for one in candidate.gathered.sessions})
    limits, rule = _limits(), asked.rule
    rules: dict[Key, Rule] = {}
    for held in [*baseline.gathered.cases, *candidate.gathered.cases]:
        own = limits.get(held.workload, Gate())
        if held.metric in (asked.metrics or own.metrics or GATED):
            rules[held.key] = _rule_of(held.metric, asked.rule_with(own))
    old = series(baseline.gathered, fewest=rule.fewest_sessions, like=candidate.gathered)
    new = series(candidate.gathered)
    found = check(
        [one for one in old if (one.device, one.case_id, one.metric) in rules],
        [one for one in new if (one.device, one.case_id, one.metric) in rules],
        rule, [border for border in BORDERS if border in asked.cross or "all" in asked.cross], rules,
    )  # fmt: skip
    # A workload that was not run is not gone: a baseline may hold more suites than one run does.
    ran = {(one.device, one.workload) for one in candidate.gathered.cases}
    ran |= {(one.device, one.case_id.partition("[")[0]) for one in candidate.left_out}
    found = [one for one in found if one.verdict != "gone" or (one.device, one.case_id.partition("[")[0]) in ran]
    return _Sides(runs, candidate, baseline, rules, with_reasons(found, candidate.left_out))


def _candidate(words: tuple[str, ...]) -> tuple[list[Run], Against]:
    """Return the runs to judge, oldest first, and the same as one side.

    Raises: ResultError where there is none.
    """
    paths = [Path(word) for word in words] or [_newest()]
    read = sorted(((path, load_run(path)) for path in paths), key=lambda one: one[1].environment.created)
    runs = [run for _, run in read]
    parts, left_out, notes = [], [], []
    for path, run in read:
        gathered, left = gather(run)
        parts.append(gathered)
        left_out += left
        if not run.complete:
            notes.append(f"{counted(len(run.rows), 'row')} of {run.id} judged, which {unfinished(path)}")
    if not any(part.sessions for part in parts):
        path, run = read[-1]
        why = "nothing can be judged" if run.complete else f"it {unfinished(path)}"
        raise ResultError(f"{project.shown(path)}: holds no rows; {why}")
    files = [project.shown(path) for path in paths]
    return runs, Against(runs[-1].id, merged(parts), files, left_out=left_out, notes=notes)


def _newest() -> Path:
    for path in list_runs(project.runs_folder()):
        return path
    raise ResultError(f"{project.runs_folder()}: no run to judge; make one with: bench run --sessions 3")


def _limits() -> dict[str, Gate]:
    """Return workload -> limits of its own; a broken file keeps nobody from a check."""
    try:
        return {name: workload.gate for name, workload in known_workloads().items()}
    except BenchError as error:
        emit(f"! {error}; limits of workloads are not read", sys.stderr)
        return {}


def _rule_of(metric: str, rule: Rule) -> Rule:
    return replace(rule, floor=max(rule.floor, MEMORY_FLOOR)) if metric == "memory_peak_bytes" else rule


def _document(asked: Request, sides: _Sides, looked: Looked) -> Checked:
    findings = [
        conclude(
            one, looked.found.get(key_of(one)), not_run=looked.not_run.get(key_of(one), ""),
            accepted=sides.baseline.reasons.get(key_of(one)), fail_on=asked.fail_on,
        )
        for one in sides.first
    ]  # fmt: skip
    rule = asked.rule
    checked = Checked(
        bench_version=bench.__version__, command=" ".join(command_line()),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        baseline=_side(sides.baseline), candidate=_side(sides.candidate),
        rule={"budget": rule.budget, "floor": rule.floor, "floor_s": rule.floor_s, "confidence": rule.confidence,
              "false_alarms": rule.false_alarms, "power": rule.power, "fewest_sessions": rule.fewest_sessions},
        metrics=sum(one.why is not None for one in sides.first), looked_again=len(looked.found),
        findings=findings, left_out=_left_out(sides), changed=_changed(sides),
        notes=_notes(sides, rule) + looked.notes + _not_run(looked),
    )  # fmt: skip
    checked.exit_code = 130 if INTERRUPTED in looked.notes else exit_code(checked)
    return checked


def _side(side: Against) -> Side:
    sessions = side.gathered.sessions
    created = sorted(one.created for one in sessions)
    return Side(
        label=side.label, files=side.files, sessions=len(sessions), sittings=sittings(side.gathered),
        commits=list(dict.fromkeys(one.commit for one in sessions if one.commit)),
        created=(created[0], created[-1]) if created else None,
        hosts=list(dict.fromkeys(one.host for one in sessions)),
    )  # fmt: skip


def _left_out(sides: _Sides) -> list[LeftOut]:
    every = [*sides.candidate.left_out, *sides.baseline.left_out]
    return list({(one.side, one.device, one.case_id, one.status): one for one in every}.values())


def _changed(sides: _Sides) -> list[str]:
    """Return what differs between the candidate's newest session and the baseline's newest, on its machine if any."""
    old, new = sides.baseline.gathered.sessions, sides.candidate.gathered.sessions
    if not old or not new:
        return []
    machines = set(new[-1].machines.items())
    alike = [one for one in old if machines & set(one.machines.items())]
    return changes((alike or old)[-1].settings, new[-1].settings)


def _notes(sides: _Sides, rule: Rule) -> list[str]:
    baseline: Gathered = sides.baseline.gathered
    notes = [*sides.candidate.notes, *sides.baseline.notes]
    here = on_its_machines(baseline, sides.candidate.gathered)
    made, passes = len({one.run for one in here}), len(here)
    if rule.fewest_sessions <= passes and made < rule.fewest_sessions:
        notes.append(
            f"the baseline's {passes} sessions are of {made} sitting{'s' if made > 1 else ''}: what a machine does from"
            " hour to hour is not in their spread, and taken to be as much; sessions of other hours make limits tighter"
        )
    disturbed = disturbed_text(baseline, sides.candidate.gathered)
    if disturbed:
        notes.append(f"baseline: {disturbed}: {WIDE_LIMITS}")
    disturbed = disturbed_text(sides.candidate.gathered)
    if disturbed:
        notes.append(f"candidate: {disturbed}: measure it again on a quiet machine (bench explain others_cores)")
    return notes


def _not_run(looked: Looked) -> list[str]:
    """Return why metrics that a second look was due for did not get it, but where none was asked for."""
    told = Counter(looked.not_run.values())
    return [f"no second look at {count} in doubt: {why}" for why, count in told.items() if why != NOT_ASKED]
