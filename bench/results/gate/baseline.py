"""Baselines: the sessions that candidates are judged against, as files that are reviewed like code.

`results/baselines/NAME.json` holds each session's count, median and quartiles of every case, the machines they were
made on, and the changes that a person accepted, with the reason. One file may hold several machines, never mixed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bench.errors import ResultError, listed, nearest
from bench.project import matches
from bench.results.gate.gather import Gathered, Held, Key, Pass, Value

# 1 (2026-11): first form.
SCHEMA_VERSION = 1
KIND = "accelbench baseline"
# Enough for a steady limit, and few enough that a machine's slow changes are followed.
KEEP = 20
# Less is noise; to accept it would only move the level about.
LEAST_CHANGE = 0.005


class Accepted(msgspec.Struct, kw_only=True):
    """A change that a person wanted: the sessions made before it count at the new level from then on.

    ratio: new over old level of one metric on one machine; null where what was run had changed, so that the old
    sessions no longer say anything and were dropped. by: the look whose ratio it is.
    """

    device: str
    case_id: str
    metric: str
    reason: str
    when: str
    run: str
    commit: str | None = None
    ratio: float | None = None
    by: Literal["first look", "pairs"] = "first look"
    before: list[str] = []

    @property
    def key(self) -> Key:
        return self.device, self.case_id, self.metric


class Baseline(Gathered, kw_only=True):
    """A stored baseline: sessions (see `Gathered`), and what was accepted."""

    kind: str = KIND
    schema: int = SCHEMA_VERSION
    name: str
    accepted: list[Accepted] = msgspec.field(default_factory=list)

    def leveled(self) -> Gathered:
        """Return the sessions with those from before an accepted change brought to the accepted level."""
        cases = [
            msgspec.structs.replace(
                held,
                values={
                    label: _scaled(value, level(self.accepted, held.key, label)) for label, value in held.values.items()
                },
            )
            for held in self.cases
        ]
        return Gathered(sessions=self.sessions, cases=cases, machines=self.machines)

    def reasons(self) -> dict[Key, str]:
        """Return what was accepted last for each metric of a case, in words."""
        return {one.key: f"{change_of(one)} accepted on {one.when[:10]}: {one.reason}" for one in self.accepted}

    def accept(
        self, pattern: str, candidate: Gathered, reason: str, when: str, leave: Collection[Key] = (),
        pairs: Mapping[Key, float] | None = None,
    ) -> list[Accepted]:  # fmt: skip
        """Accept what `candidate` shows for the cases that match a pattern (`decode*`, or a whole case id).

        leave: metrics that stay at their level. pairs: ratios from pairs with the baseline's commit; they come before
        that of the candidate's sessions, which an alarm has chosen for being large. Returns nothing where the level is
        the same.
        Raises: ResultError where no case of both matches, or the reason is empty.
        """
        if not reason.strip():
            raise ResultError("the reason is empty; say why the change is wanted: --reason 'more accurate softmax'")
        known = {held.case_id for held in candidate.cases}
        matching = {case_id for case_id in known if matches(case_id, pattern)}
        if not matching:
            hint = nearest(pattern, known) or f"; cases: {listed(sorted(known), 6)}"
            raise ResultError(f"no case of the run matches '{pattern}'{hint}")
        chosen = [new for new in candidate.cases if new.case_id in matching]
        if not {new.key for new in chosen} & {held.key for held in self.cases}:
            raise ResultError(
                f"the baseline '{self.name}' has no case that matches '{pattern}'; nothing to accept, a new case is"
                f" added with: bench baseline save {self.name}"
            )
        found = [
            one
            for new in chosen
            if new.key not in leave
            for one in self._accept(new, candidate, reason, when, (pairs or {}).get(new.key))
        ]
        self.accepted += found
        return found

    def _accept(
        self, new: Held, candidate: Gathered, reason: str, when: str, of_pairs: float | None
    ) -> list[Accepted]:  # fmt: skip
        marks = {one.label: one.machines.get(new.device) for one in [*self.sessions, *candidate.sessions]}
        mark = {marks[label] for label in new.values}
        now = candidate.sessions[-1]
        made = Accepted(device=new.device, case_id=new.case_id, metric=new.metric, reason=reason, when=when,
                        run=now.run, commit=now.commit)  # fmt: skip
        old = [held for held in self.cases if held.key == new.key]
        other = [held for held in old if held.identity != new.identity]
        same = next((held for held in self.leveled().cases if held.identity == new.identity), None)
        self.cases = [held for held in self.cases if held not in other]
        if same is None:
            # What was run has changed: its old sessions say nothing of the new.
            return [made] if other else []
        before = [label for label in same.values if marks[label] in mark and label not in new.values]
        if not before:
            return [made] if other else []
        ratio = of_pairs or _typical(new.values.values()) / _typical(same.values[label] for label in before)
        if abs(ratio - 1) < LEAST_CHANGE:
            return []
        made.ratio, made.by, made.before = float(f"{ratio:.6g}"), "pairs" if of_pairs else "first look", before
        return [made]

    def prune(self, keep: int) -> list[str]:
        """Keep the newest `keep` sessions of each machine, and drop what only older ones had; return what went."""
        by_machine: dict[str, list[Pass]] = {}
        for one in self.sessions:
            by_machine.setdefault(str(sorted(one.machines.items())), []).append(one)
        gone = {one.label for every in by_machine.values() for one in every[: max(len(every) - keep, 0)]}
        self.sessions = [one for one in self.sessions if one.label not in gone]
        for held in self.cases:
            held.values = {label: value for label, value in held.values.items() if label not in gone}
        self.cases = [held for held in self.cases if held.values]
        used = {mark for one in self.sessions for mark in one.machines.values()}
        self.machines = {mark: facts for mark, facts in self.machines.items() if mark in used}
        for entry in self.accepted:
            entry.before = [label for label in entry.before if label not in gone]
        return sorted(gone)

    def learning(self, fewest: int) -> dict[str, int]:
        """Return case id -> sessions, where a machine has fewer of them than tell how much they spread.

        Modelled values do not spread; one is enough.
        """
        machines = {one.label: one.machines for one in self.sessions}
        found: dict[str, int] = {}
        for held in self.cases:
            if held.metric == "step_s" and held.source != "modelled":
                least = min(Counter(machines[label].get(held.device) for label in held.values).values())
                if least < fewest:
                    found[held.case_id] = min(least, found.get(held.case_id, least))
        return found

    def drop(self, patterns: Collection[str]) -> list[str]:
        """Drop the cases that match any pattern; return their ids."""
        gone = [held.case_id for held in self.cases if any(matches(held.case_id, pattern) for pattern in patterns)]
        self.cases = [held for held in self.cases if held.case_id not in gone]
        return list(dict.fromkeys(gone))


def level(accepted: Collection[Accepted], key: Key, label: str) -> float:
    """Return what a session's values of one metric are to be multiplied by: all ratios accepted since it was made."""
    return math.prod(one.ratio for one in accepted if one.ratio is not None and one.key == key and label in one.before)


def _scaled(value: Value, ratio: float) -> Value:
    return Value(value.count, value.median * ratio, value.low * ratio, value.high * ratio, value.others)


def typical_and_spread(medians: Sequence[float]) -> tuple[float, float | None]:
    """Return the geometric mean of session medians, and one standard deviation between them as a share (of two on)."""
    logs = [math.log(value) for value in medians]
    middle = math.fsum(logs) / len(logs)
    if len(logs) < 2:
        return math.exp(middle), None
    return math.exp(middle), math.sqrt(math.fsum((one - middle) ** 2 for one in logs) / (len(logs) - 1))


def _typical(values: Any) -> float:
    return typical_and_spread([value.median for value in values])[0]


def change_of(one: Accepted) -> str:
    """Return an accepted change in words."""
    return "a change of what is run" if one.ratio is None else f"{one.ratio - 1:+.1%}"
