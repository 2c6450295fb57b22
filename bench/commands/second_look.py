"""The second look of `bench check`: what is in doubt is measured again here, in turns with the baseline's commit."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import msgspec

from bench.commands.against import Against
from bench.commands.progress import OVERHEAD_S
from bench.commands.versions import baseline_commit, candidate_place, reference, same_machine
from bench.devices.achieved import fingerprint as cpu_mark
from bench.devices.adapter import open_device, present_devices
from bench.errors import BenchError, listed
from bench.measure.before import device_facts
from bench.measure.checkout import checked_out
from bench.measure.runner import Planned
from bench.measure.turns import Pairs, Place, in_turns
from bench.report.terminal import emit
from bench.results.environment import collect
from bench.results.gate.baseline import level
from bench.results.gate.check import confirm
from bench.results.gate.conclude import key_of
from bench.results.gate.gather import Key, gather, series
from bench.results.gate.look import Rule, pairs_needed
from bench.results.gate.verdict import Confirmed, Judged, Session
from bench.results.machine import fingerprint
from bench.results.record import Environment, Row, Run
from bench.units import counted, seconds
from bench.workloads.schema import Case

# With fewer pairs Student's t is so wide that nothing can be confirmed; with more the machine is better left alone.
FEWEST_PAIRS = 6
MOST_PAIRS = 24
# Starting both sides of a pair, torch included; and a worker for each case of a side.
PAIR_START_S, WORKER_START_S = 4.0, 0.4
# A case may take somewhat longer than its sessions in the run did. What would go far beyond, the clock ends.
ALLOWANCE = 1.2

Measured = dict[Key, list[Session]]


@dataclass(frozen=True)
class Asked:
    """How the second look is to be made."""

    time_s: float
    pairs: int | None = None
    baseline_python: str | None = None
    quiet: bool = False


@dataclass
class Looked:
    """What came of it: key -> what the second look says, or why it did not happen; and what to know about it."""

    found: dict[Key, Confirmed] = field(default_factory=dict)
    not_run: dict[Key, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def none(self, keys: Sequence[Key], why: str) -> Looked:
        self.not_run |= dict.fromkeys(keys, why)
        return self


@dataclass(frozen=True)
class _Plan:
    """Cases to measure again, so many times on each side, about how long that takes, and the metrics judged by it."""

    cases: list[Planned]
    pairs: int
    time_s: float
    doubts: list[Judged]


def look_again(
    found: Sequence[Judged], runs: Sequence[Run], baseline: Against, rules: dict[Key, Rule], rule: Rule, asked: Asked
) -> Looked:
    """Measure what is in doubt again, and judge it by the new samples alone."""
    doubts = [one for one in found if one.second_look and not one.estimated]
    looked = Looked()
    looked.none([key_of(one) for one in found if one.second_look and one.estimated], "it was not measured")
    tests = {(row.device, row.case_id) for run in runs for row in run.rows if "test" in row.definition}
    own = [one for one in doubts if (one.device, one.case_id) in tests]
    looked.none([key_of(one) for one in own], "a person's own test is run again by pytest, not here")
    doubts = [one for one in doubts if one not in own]
    if not doubts:
        return looked
    keys = [key_of(one) for one in doubts]
    try:
        devices = {one.device for one in doubts}
        made = _runs_of(doubts, runs)
        measured = {row.device for run in made for row in run.rows if row.source == "measured"}
        environment = _environment_here(devices, measured)
        for run in made:
            same_machine(run, environment, devices)
        plan = _plan(doubts, made, rules, rule, asked)
    except BenchError as error:
        return looked.none(keys, str(error))
    planned = {key_of(one) for one in plan.doubts}
    limit = f"the {seconds(asked.time_s)} of --confirm-time would not do"
    looked.none([key for key in keys if key not in planned], limit)
    try:
        _measure(plan, made[-1], baseline, environment, rules, rule, asked, looked)
    except BenchError as error:
        looked.none([key for key in planned if key not in looked.found], str(error))
    return looked


def _runs_of(doubts: Sequence[Judged], runs: Sequence[Run]) -> list[Run]:
    """Return the runs that measured what is in doubt.

    Raises: BenchError where several did, of different code: there is no one candidate to measure again.
    """
    places = {(one.device, one.case_id) for one in doubts}
    found = [
        run for run in runs if any(row.source == "measured" and (row.device, row.case_id) in places for row in run.rows)
    ]
    commits = list(dict.fromkeys(run.environment.commit or "not known" for run in found))
    if len(commits) > 1:
        raise BenchError(f"the runs are of different code: commits {listed(commits, 3)}")
    return found


def _environment_here(devices: set[str], beside: set[str]) -> Environment:
    """Return the environment now of devices to measure, and of those beside them, in a run, that are here."""
    here = present_devices()
    missing = sorted(devices - set(here))
    if missing:
        raise BenchError(f"{', '.join(missing)} is not on this machine")
    facts = {
        device: device_facts(device, allow_busy=device not in devices)[0]
        for device in sorted(devices | (beside & set(here)))
    }
    return collect("bench check", facts, cpu_mark(open_device("cpu").facts()))


def _plan(doubts: list[Judged], runs: Sequence[Run], rules: dict[Key, Rule], rule: Rule, asked: Asked) -> _Plan:
    """Choose cases and the number of pairs, both before anything is measured: alarms first, then the largest doubts.

    Raises: BenchError where not even one alarm fits the time.
    """
    cases = {(row.device, row.case_id): row for run in runs for row in run.rows if row.source == "measured"}
    took = _took(runs)
    doubts = sorted(doubts, key=lambda one: (one.verdict != "regressed", -(one.interval or (0, 0))[1]))
    alarms = [one for one in doubts if one.verdict == "regressed"]
    pairs = asked.pairs or _pairs(alarms or doubts[:1], len(doubts), rules, rule)
    chosen: dict[tuple[str, str], Planned] = {}
    alone: list[float] = []
    for one in doubts:
        place = (one.device, one.case_id)
        if place in chosen:
            continue
        try:
            case = msgspec.convert(cases[place].definition, Case)
        except msgspec.ValidationError as error:
            raise BenchError(f"the run's definition of {one.case_id} is none of this version ({error})") from None
        more, fewer = [*chosen.values(), Planned(one.device, case, True)], pairs
        alone.append(_cost(more[-1:], FEWEST_PAIRS if one in alarms and not asked.pairs else pairs, took))
        while not asked.pairs and one in alarms and fewer > FEWEST_PAIRS and _cost(more, fewer, took) > asked.time_s:
            fewer -= 2
        if _cost(more, fewer, took) <= asked.time_s:
            chosen[place], pairs = more[-1], fewer
    if not chosen:
        least = min(alone)
        raise BenchError(f"{seconds(least)} are needed for one case, --confirm-time has less")
    planned, judged = list(chosen.values()), [one for one in doubts if (one.device, one.case_id) in chosen]
    return _Plan(planned, pairs, _cost(planned, pairs, took), judged)


def _pairs(doubts: list[Judged], looked_at: int, rules: dict[Key, Rule], rule: Rule) -> int:
    needed = [
        pairs_needed(one.why.spread, looked_at, rules.get(key_of(one), rule), MOST_PAIRS) or MOST_PAIRS
        for one in doubts
        if one.why is not None
    ]
    return max(FEWEST_PAIRS, *needed) if needed else FEWEST_PAIRS


def _took(runs: Sequence[Run]) -> dict[tuple[str, str], float]:
    """Return device, case id -> seconds that a session of it took in the runs, the median of those that tell."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for row in run.rows:
            if row.status == "ok" and row.source == "measured" and row.wall_s:
                found.setdefault((row.device, row.case_id), []).append(row.wall_s)
    return {key: median(every) for key, every in found.items()}


def _cost(cases: list[Planned], pairs: int, took: dict[tuple[str, str], float]) -> float:
    """Return about how many seconds so many pairs of cases take."""
    timed = [took[each.key] * ALLOWANCE if each.key in took else each.case.time_s + OVERHEAD_S for each in cases]
    return pairs * (PAIR_START_S + 2 * sum(WORKER_START_S + case_s for case_s in timed))


def _measure(
    plan: _Plan, run: Run, baseline: Against, environment: Environment, rules: dict[Key, Rule], rule: Rule,
    asked: Asked, looked: Looked,
) -> None:  # fmt: skip
    cases = counted(len(plan.cases), "case")
    keys = {key_of(one) for one in plan.doubts}
    devices = {device for device, _, _ in keys}
    session = reference(baseline.gathered, keys, {device: fingerprint(environment, device) for device in devices})
    old_commit, why_alone = baseline_commit(session, run, environment, devices, asked.baseline_python)
    with contextlib.ExitStack() as stack:
        candidate = candidate_place(stack, run)
        old: Place | None = None
        if old_commit is not None:
            try:
                old = stack.enter_context(checked_out(old_commit, asked.baseline_python or sys.executable))
            except BenchError as error:
                why_alone = str(error)
        elif asked.baseline_python:
            # The candidate's own code under the other Python: what differs is what is installed there.
            old = replace(candidate, python=asked.baseline_python)
        against = f"in turns with {old_commit or asked.baseline_python}" if old else f"alone ({why_alone})"
        if not asked.quiet:
            cost = plan.time_s / (1 if old else 2)
            emit(f"again   {cases} {plan.pairs} times, {against}, about {seconds(cost)}", sys.stderr)
        pairs = in_turns(plan.cases, plan.pairs, candidate, old, _Teller(asked, plan), asked.time_s)
    cut = f" of {plan.pairs} that were planned ({pairs.ended})" if pairs.ended else ""
    rounds = counted(pairs.rounds, "pair" if old else "session")
    beside = f"; {disturbed}" if (disturbed := pairs.disturbed()) else ""
    looked.notes.append(f"second look: {rounds}{cut}, of {cases}, {against}{beside}")
    new = _sessions("second look, candidate", environment, pairs.candidate)
    before = _sessions("second look, baseline", environment, pairs.baseline) if old else None
    if before is not None and session is not None and old_commit is not None:
        # The code of that session knows nothing of what was accepted since.
        before = {key: _scaled(every, level(baseline.accepted, key, session.label)) for key, every in before.items()}
    for one in plan.doubts:
        _judge(one, plan, pairs, new, before, rules.get(key_of(one), rule), looked)


def _judge(
    one: Judged, plan: _Plan, pairs: Pairs, new: Measured, before: Measured | None, rule: Rule, looked: Looked
) -> None:  # fmt: skip
    """Judge one metric by its pairs. Too few of them may confirm an alarm, but not withdraw it."""
    key = key_of(one)
    candidates, olds = new.get(key, []), None
    if before is not None:
        olds, candidates = _pairs_of(before.get(key, []), candidates)
    failed = pairs.failed.get(key[:2])
    why = f"it failed when run again ({failed})" if failed else pairs.ended
    try:
        found = confirm(one, candidate=candidates, baseline=olds, looked_at=len(plan.doubts), rule=rule)
    except BenchError as error:
        looked.not_run[key] = why if why and len(candidates) < 2 else str(error)
        return
    if found.outcome == "withdrawn" and len(candidates) < min(FEWEST_PAIRS, plan.pairs):
        looked.not_run[key] = (
            f"{len(candidates)} of {plan.pairs} are too few to decide: {why or 'no reading of others'}"
        )
        return
    looked.found[key] = found


def _sessions(name: str, environment: Environment, rows: dict[tuple[str, str], list[Row]]) -> Measured:
    """Return the sessions of each metric, in the order they were measured; one sitting."""
    numbered = [
        msgspec.structs.replace(row, session=index + 1) for every in rows.values() for index, row in enumerate(every)
    ]
    gathered, _ = gather(Run(id=name, environment=environment, rows=numbered))
    return {(one.device, one.case_id, one.metric): list(one.sessions) for one in series(gathered)}


def _pairs_of(old: list[Session], new: list[Session]) -> tuple[list[Session], list[Session]]:
    """Return the sessions that both sides have: where one has no reading (of power, say), the pair is none."""
    mine = {one.label.rpartition("/")[2]: one for one in old}
    both = [(mine[number], one) for one in new if (number := one.label.rpartition("/")[2]) in mine]
    return [a for a, _ in both], [b for _, b in both]


def _scaled(sessions: list[Session], ratio: float) -> list[Session]:
    return [
        msgspec.structs.replace(
            one,
            samples=[sample * ratio for sample in one.samples],
            quartiles=one.quartiles and (one.quartiles[0] * ratio, one.quartiles[1] * ratio),
        )
        for one in sessions
    ]


class _Teller:
    """Says on stderr how far a second look is, and about how long it has still to go."""

    def __init__(self, asked: Asked, plan: _Plan) -> None:
        self._quiet, self._plan, self._start = asked.quiet, plan, time.monotonic()

    def __call__(self, turn: int, each: Planned) -> None:
        if self._quiet or each is not self._plan.cases[0] or turn == 0:
            return
        gone = time.monotonic() - self._start
        left = seconds(gone / turn * (self._plan.pairs - turn))
        emit(f"again   {turn} of {self._plan.pairs} done, about {left} to go", sys.stderr)
