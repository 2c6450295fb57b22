"""Which code a second look measures: the candidate's, and the baseline's beside it, or why it cannot be that."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.errors import BenchError, listed
from bench.measure.checkout import checked_out, edited_after, holds, known_revision, same_code
from bench.measure.turns import Place
from bench.results.environment import changes, commit, settings
from bench.results.gate.gather import Gathered, Key, Pass
from bench.results.machine import fingerprint, machine
from bench.results.record import Environment, Run

# Where a repository that has accelbench itself keeps it; from such a one a checkout brings its own.
BENCH = ("bench/__init__.py", "src/bench/__init__.py")


def same_machine(run: Run, now: Environment, devices: Collection[str]) -> None:
    """Raise BenchError where a run cannot be repeated here: it would be something else that is measured."""
    devices = sorted({row.device for row in run.rows if row.source == "measured"} & set(devices))
    for device in devices:
        if fingerprint(run.environment, device) != fingerprint(now, device):
            apart = listed(changes(machine(run.environment, device), machine(now, device)), 3)
            raise BenchError(f"the run's {device} was in another machine than this one, or in another state ({apart})")
    found = _moved(settings(run.environment), settings(now), devices, run.environment.commit)
    if found:
        raise BenchError(f"the run was made with other software than is here ({listed(found, 3)})")


def _moved(before: dict[str, str], after: dict[str, str], devices: Collection[str], code: str | None) -> list[str]:
    """Return what a checkout of another commit does not bring back: libraries, drivers, the system.

    Of devices only those that are measured again; their memory is part of the machine, and told more exactly here than
    it stays. accelbench belongs to the code where the code's repository holds it.
    """
    aside = ["commit", "host"]
    if code is not None and any(holds(code.rstrip("+"), path) for path in BENCH):
        aside.append("accelbench")

    def kept(each: dict[str, str]) -> dict[str, str]:
        return {
            key: value
            for key, value in each.items()
            if key not in aside and (" " not in key or (key.split(" ")[0] in devices and not key.endswith(" memory")))
        }

    return changes(kept(before), kept(after))


def reference(baseline: Gathered, keys: Collection[Key], machines: Mapping[str, str]) -> Pass | None:
    """Return the session whose commit stands for the baseline: the newest with one of the metrics, on this machine.

    machines: device -> fingerprint. Where none was made on this one (a machine's border was crossed), the newest.
    """
    labels = {label for held in baseline.cases if held.key in keys for label in held.values}
    known = [one for one in baseline.sessions if one.commit and one.label in labels]
    here = [one for one in known if any(one.machines.get(device) == mark for device, mark in machines.items())]
    return next(reversed(here or known), None)


def baseline_commit(
    old: Pass | None, run: Run, now: Environment, devices: Collection[str], python: str | None
) -> tuple[str | None, str]:
    """Return the commit to measure against, or None and why there is none.

    A checkout that differs in nothing from the candidate would withdraw every alarm: what made it may lie elsewhere.
    """
    if old is None or old.commit is None:
        return None, "the baseline does not know its commit"
    code, new = old.commit, run.environment.commit or ""
    if code.endswith("+"):
        return None, f"the baseline was made of uncommitted changes to {code[:-1]}"
    if known_revision(code) is None:
        return None, f"commit {code} is not in this repository"
    if python:
        return code, ""
    found = _moved(old.settings, settings(now), devices, code)
    if found:
        return None, f"a checkout does not bring back {listed(found, 3)}; --baseline-python may"
    if code == new or (new and not new.endswith("+") and same_code(code, new)):
        return None, f"both sides are of the same code, commit {code}"
    return code, ""


def candidate_place(stack: contextlib.ExitStack, run: Run) -> Place:
    """Return where the candidate's code is: here where nothing has changed since the run, or in a checkout.

    Raises: BenchError where it is nowhere: what is here now may be without what made the alarm.
    """
    made, here = run.environment.commit, commit()
    if made is None or (made == here and not made.endswith("+")):
        return Place(Path.cwd())
    if not made.endswith("+"):
        if known_revision(made) is None:
            raise BenchError(f"the run was made of commit {made}, which is not in a repository here")
        return stack.enter_context(checked_out(made, sys.executable))
    if made != here:
        raise BenchError(f"the run was made of uncommitted changes to {made[:-1]}, and {here or 'no commit'} is here")
    edited = edited_after(_time(run.environment.created))
    if edited:
        raise BenchError(f"the run was made of uncommitted changes, and {edited} was edited since; run again")
    return Place(Path.cwd())


def _time(created: str) -> float:
    try:
        # It is cut to the second.
        return datetime.datetime.fromisoformat(created).timestamp() + 1
    except ValueError:
        return 0.0
