"""What a run is judged against: stored baselines, run files, or the runs of a branch's history."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import project
from bench.errors import BenchError, NotComparable, ResultError, listed, nearest
from bench.measure.checkout import Ancestry, file_at, known_revision
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import Accepted, Baseline
from bench.results.gate.document import LeftOut
from bench.results.gate.gather import Gathered, Key, gather, merged
from bench.results.store import list_runs, load_run

DEFAULT = "main"
# Of a branch's runs: enough for a steady limit; and how far back is looked for them.
MOST_SESSIONS = 20
MOST_RUNS = 500


@dataclass
class Against:
    """One side's sessions at the accepted level: what they are called, their files, what was accepted and why."""

    label: str
    gathered: Gathered
    files: list[str] = field(default_factory=list)
    reasons: dict[Key, str] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def without(self, runs: set[str]) -> Against:
        """Return it without the sessions of runs that are judged: nothing is compared with itself."""
        own = {one.label for one in self.gathered.sessions if one.run in runs}
        if not own:
            return self
        self.notes.append(f"{len(own)} sessions of the baseline are the run's own; they are left out of it")
        self.gathered.sessions = [one for one in self.gathered.sessions if one.label not in own]
        for held in self.gathered.cases:
            held.values = {label: value for label, value in held.values.items() if label not in own}
        self.gathered.cases = [held for held in self.gathered.cases if held.values]
        if not self.gathered.sessions:
            raise NotComparable(
                f"{self.label}: holds nothing but the run's own sessions, and nothing is compared with itself; name"
                " another run, or another --baseline"
            )
        return self


def find(words: Sequence[str], runs: set[str]) -> Against:
    """Return the baseline that `--baseline` names; without a name `main`, or the only one there is.

    runs: ids of the runs to be judged. Raises: ResultError naming what there is and how to make one.
    """
    sides = [_one(word, runs) for word in words or [_default()]]
    if len(sides) == 1:
        return sides[0].without(runs)
    return Against(
        label=", ".join(side.label for side in sides), gathered=merged(side.gathered for side in sides),
        files=[file for side in sides for file in side.files],
        reasons={key: reason for side in sides for key, reason in side.reasons.items()},
        accepted=[one for side in sides for one in side.accepted],
        left_out=[one for side in sides for one in side.left_out],
    ).without(runs)  # fmt: skip


def _default() -> str:
    names = stored.names()
    if DEFAULT in names:
        return DEFAULT
    if len(names) == 1:
        return names[0]
    if names:
        raise ResultError(f"several baselines are here: {listed(names)}; choose with --baseline {names[0]}")
    raise ResultError(
        "no baseline in results/baselines; make one: bench run --sessions 8, then bench baseline save main"
        " (or name run files, or a branch that has runs: --baseline)"
    )


def _one(word: str, runs: set[str]) -> Against:
    if word in stored.names():
        return _stored(stored.load(stored.path_of(word)), [project.shown(stored.path_of(word))])
    path = Path(word)
    if os.path.isfile(path):  # noqa: PTH113 - unlike Path's, it has no error for a name that is too long
        return _file(path)
    if path.suffix in (".json", ".jsonl"):
        raise ResultError(f"{word}: no such file; run files are in {project.runs_folder()}")
    if known_revision(word) is not None:
        return _history(word, runs)
    hint = nearest(word, stored.names()) or f"; baselines here: {listed(stored.names()) or 'none'}"
    # What cannot be a name is not offered as one.
    new = word if stored.NAME.fullmatch(word) else "NAME"
    raise ResultError(
        f"'{word}' is no baseline, no file and no branch or commit{hint}; make one with: bench baseline save {new}"
    )


def _file(path: Path) -> Against:
    if stored.is_baseline(path):
        return _stored(stored.load(path), [project.shown(path)])
    gathered, left_out = gather(load_run(path), "baseline")
    return Against(project.shown(path), gathered, [project.shown(path)], left_out=left_out)


def _stored(baseline: Baseline, files: list[str]) -> Against:
    return Against(baseline.name, baseline.leveled(), files, baseline.reasons(), baseline.accepted)


def _history(revision: str, runs: set[str]) -> Against:
    """Return the newest sessions of runs made of commits in a revision's history, or else the baseline kept there.

    Raises: ResultError where there is neither.
    """
    found, files, left_out = Gathered(), [], []
    history = Ancestry(revision)
    for path in list(list_runs(project.runs_folder()))[:MOST_RUNS]:
        try:
            run = load_run(path)
        except BenchError:
            continue  # bench history lists what cannot be read
        commit = run.environment.commit
        if not commit or commit.endswith("+") or run.id in runs or commit not in history:
            continue
        gathered, left = gather(run, "baseline")
        found.add(gathered)
        files.append(project.shown(path))
        left_out += left
        if len(found.sessions) >= MOST_SESSIONS:
            break
    if found.sessions:
        return Against(f"{revision} ({len(files)} runs)", found, files, left_out=left_out)
    for name in dict.fromkeys([revision.rpartition("/")[2], DEFAULT]):
        if stored.NAME.fullmatch(name):
            content = file_at(revision, stored.path_of(name))
            if content is not None:
                where = f"{revision}:{stored.path_of(name)}"
                return _stored(stored.parse(content, where), [where])
    raise ResultError(
        f"'{revision}' is a branch or commit, but no run in {project.runs_folder()} was made of it and it keeps no"
        f" baseline; run there first, or: bench baseline save {revision.rpartition('/')[2]}"
    )
