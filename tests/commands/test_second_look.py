"""The second look: what is measured again, how often, against what, and when it is not."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from bench.commands import second_look
from bench.commands.against import Against
from bench.commands.second_look import Asked, look_again
from bench.measure.turns import Pairs
from bench.results.gate.baseline import Baseline
from bench.results.gate.check import check
from bench.results.gate.gather import gather, merged, series
from bench.results.gate.look import Rule
from bench.results.gate.verdict import Session
from bench.results.record import Run
from bench.workloads.schema import Case

DIMS = {"m": 1, "n": 8, "k": 8}


def case(name, time_s=1.0):
    return Case(workload=name, phase="kernel", kernel="gemm", dtype="bf16", dims=DIMS, time_s=time_s)


def git(*words):
    name = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    return subprocess.run(["git", *name, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def here(monkeypatch, tmp_path, environment):
    """This machine, as the runs saw it, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    told = {"cpu": {"name": "A CPU", "cores": "2"}}
    now = {"devices": told, "packages": {"torch": "2.13.0"}}
    monkeypatch.setattr(second_look, "_environment_here", lambda devices, beside: environment(**now))
    return now


@pytest.fixture
def ran(row, environment, here):
    def make(run_id, times, **changes):
        rows = [
            row(case_id=case(name).case_id, workload=name, session=index + 1, step_s=seconds, samples_s=[seconds] * 5,
                definition=msgspec.to_builtins(case(name)), definition_hash="0123456789abcdef")
            for name, every in times.items()
            for index, seconds in enumerate(every)
        ]  # fmt: skip
        return Run(
            id=run_id, environment=environment(**{**here, "commit": None, "created": run_id, **changes}), rows=rows
        )

    return make


@pytest.fixture
def turns(monkeypatch, row):
    """Record what is measured in turns; `answers[workload]` are its (baseline, candidate) seconds in each round."""
    asked = {}

    def make(answers, ended=None):
        def in_turns(planned, rounds, candidate, baseline, listen, time_s):
            asked.update(
                cases=[each.case.workload for each in planned], rounds=rounds, candidate=candidate, baseline=baseline
            )
            if ended is not None:
                rounds = ended
            pairs = Pairs(rounds=rounds, ended="there: cannot measure there (Killed)" if ended is not None else "")
            for each in planned:
                for turn in range(rounds):
                    old, new = answers[each.case.workload]
                    # A wobble of half a per cent that both of a pair share but for a thousandth.
                    at = 1 + 0.005 * ((turn * 7) % 5 - 2)
                    rows = [
                        row(
                            case_id=each.case.case_id,
                            definition_hash="0123456789abcdef",
                            step_s=s * at,
                            samples_s=[s * at * extra] * 3,
                        )
                        for s, extra in ((old, 1.0), (new, 1 + 0.001 * (turn % 3 - 1)))
                    ]
                    pairs.add(each, rows[0] if baseline else None, rows[1])
            return pairs

        monkeypatch.setattr(second_look, "in_turns", in_turns)
        return asked

    return make


def looked(old, new, **asked):
    baseline, candidate = merged(gather(each)[0] for each in old), gather(new)[0]
    first = check(series(baseline, fewest=5, like=candidate), series(candidate))
    against = Against("main", baseline)
    return first, look_again(first, [new], against, {}, Rule(), Asked(**{"time_s": 600.0, "quiet": True, **asked}))


NOISY = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0, 1.015, 0.985]


def test_nothing_in_doubt_is_nothing_measured(ran, turns):
    asked = turns({})
    quiet = [1.0, 1.001, 0.999, 1.0005, 0.9995]
    first, found = looked([ran("1", {"a": quiet})], ran("2", {"a": [1.0]}))
    assert [one.verdict for one in first] == ["same"]
    assert (found.found, found.not_run, asked) == ({}, {}, {})


def test_an_alarm_is_measured_again_alone_where_the_commit_is_not_known(ran, turns):
    asked = turns({"a": (1.0, 1.2)})
    _, found = looked([ran("1", {"a": NOISY})], ran("2", {"a": [1.2]}))
    assert [one.outcome for one in found.found.values()] == ["confirmed"], found
    assert asked["baseline"] is None
    assert found.notes[0].startswith(
        "second look: 6 sessions, of 1 case, alone (the baseline does not know its commit)"
    )


def test_a_persons_own_test_is_not_run_again_here(ran, turns):
    asked = turns({"a": (1.0, 1.2)})
    old, new = ran("1", {"a": NOISY, "b": NOISY}), ran("2", {"a": [1.2], "b": [1.2]})
    for each in (*old.rows, *new.rows):
        if each.workload == "b":
            each.definition = {"test": "test_mine.py::test_b"}
    _, found = looked([old], new)
    assert asked["cases"] == ["a"]
    assert list(found.not_run.values()) == ["a person's own test is run again by pytest, not here"]
    assert len(found.found) == 1


@pytest.fixture
def commits(here, tmp_path):
    """Three commits: the second changes code, the third only results."""
    git("init", "-q", "-b", "main")
    found = []
    for path in ("code", "code", "results/baselines/main.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{len(found)}")
        git("add", "."), git("commit", "-qm", path)
        found.append(git("rev-parse", "--short=12", "HEAD"))
    return found


@pytest.mark.parametrize(("new", "outcome"), [(1.2, "confirmed"), (1.0, "withdrawn")])
def test_pairs_with_the_baselines_commit_decide(ran, turns, commits, new, outcome):
    asked = turns({"a": (1.0, new)})
    _, found = looked([ran("1", {"a": NOISY}, commit=commits[0])], ran("2", {"a": [1.2]}, commit=commits[2]))
    assert [one.outcome for one in found.found.values()] == [outcome]
    assert asked["baseline"].root is not None
    assert asked["baseline"].python == sys.executable
    assert asked["rounds"] % 2 == 0
    assert f"in turns with {commits[0]}" in found.notes[0]


@pytest.mark.parametrize(("new", "measured", "outcome"), [
    (1.2, 8, "confirmed"), (1.0, 8, "withdrawn"),
    # Few pairs can confirm, but an alarm that they do not see may be there nevertheless.
    (1.2, 3, "confirmed"), (1.0, 3, None),
])  # fmt: skip
def test_pairs_from_before_a_side_broke_off_count(ran, turns, commits, new, measured, outcome):
    turns({"a": (1.0, new)}, ended=measured)
    _, found = looked([ran("1", {"a": NOISY}, commit=commits[0])], ran("2", {"a": [1.2]}, commit=commits[2]), pairs=12)
    said = f"second look: {measured} pairs of 12 that were planned (there: cannot measure there (Killed)), of 1 case"
    assert found.notes[0].startswith(said)
    assert [one.outcome for one in found.found.values()] == ([outcome] if outcome else [])
    if outcome is None:
        (why,) = found.not_run.values()
        assert why == "3 of 12 are too few to decide: there: cannot measure there (Killed)"


def test_an_alarm_that_does_not_fit_takes_no_pairs_from_those_that_do(ran, turns):
    asked = turns({"a": (1.0, 1.2), "b": (1.0, 1.2)})
    noisier = [value**3 for value in NOISY]
    old, new = ran("1", {"a": noisier, "b": noisier}), ran("2", {"a": [1.6], "b": [1.5]})
    for row in new.rows:
        if row.workload == "b":
            row.definition["time_s"] = 1000.0
    _, found = looked([old], new, time_s=300.0)
    assert asked["cases"] == ["a"]
    assert asked["rounds"] > second_look.FEWEST_PAIRS
    assert len(found.not_run) == 1


@pytest.mark.parametrize(("old", "new", "why"), [
    ({"commit": 1}, {"commit": 1}, "the same code"),
    ({"commit": 1}, {"commit": 2}, "the same code"),  # only a baseline was committed in between
    ({"commit": 0, "packages": {"torch": "2.12.0"}}, {"commit": 2}, "torch 2.12.0 -> 2.13.0"),
    ({"commit": "0123456789ab"}, {"commit": 2}, "not in this repository"),
    ({"commit": "0123456789ab+"}, {"commit": 2}, "uncommitted changes"),
])  # fmt: skip
def test_a_checkout_that_would_measure_the_same_thing_twice_is_not_made(ran, turns, commits, old, new, why):
    asked = turns({"a": (1.0, 1.2)})
    old, new = (
        {**side, "commit": commits[side["commit"]] if isinstance(side["commit"], int) else side["commit"]}
        for side in (old, new)
    )
    _, found = looked([ran("1", {"a": NOISY}, **old)], ran("2", {"a": [1.2]}, **new))
    assert asked["baseline"] is None
    assert why in found.notes[0], found
    assert [one.outcome for one in found.found.values()] == ["confirmed"]


def test_another_python_is_another_baseline(ran, turns, commits):
    asked = turns({"a": (1.0, 1.2)})
    old = ran("1", {"a": NOISY}, commit=commits[0], packages={"torch": "2.12.0"})
    looked([old], ran("2", {"a": [1.2]}, commit=commits[2]), baseline_python="/old/python")
    assert asked["baseline"].python == "/old/python"


def test_a_run_of_other_software_is_not_measured_again(ran, turns):
    asked = turns({})
    _, found = looked([ran("1", {"a": NOISY})], ran("2", {"a": [1.2]}, packages={"torch": "2.14.0"}))
    (why,) = found.not_run.values()
    assert "other software than is here (torch 2.14.0 -> 2.13.0)" in why
    assert not asked


def test_alarms_come_before_doubts_and_the_time_bounds_both(ran, turns):
    asked = turns(dict.fromkeys("abc", (1.0, 1.2)))
    times = dict.fromkeys("abc", NOISY)
    # b is an alarm, a and c are in doubt; one case of a second costs 6 * (4 + 2 * (0.4 + 1.8)) s.
    first, found = looked([ran("1", times)], ran("2", {"a": [1.03], "b": [1.3], "c": [1.04]}), time_s=60.0)
    assert {one.case_id[0]: one.verdict for one in first} == {"a": "cannot tell", "b": "regressed", "c": "cannot tell"}
    assert asked["cases"] == ["b"]
    assert asked["rounds"] == 6
    assert {key[1][0] for key in found.not_run} == {"a", "c"}
    assert all("--confirm-time" in why for why in found.not_run.values())
    looked([ran("1", times)], ran("2", {"a": [1.03], "b": [1.3], "c": [1.04]}), time_s=6000.0)
    assert asked["cases"] == ["b", "c", "a"]


@pytest.mark.parametrize(("walls", "cases"), [([0.4, 0.5, 0.9], ["b", "c", "a"]), ([None] * 3, []), ([3.0] * 3, ["b"])])
def test_what_sessions_of_a_case_took_says_what_fits(ran, turns, walls, cases):
    """Half a second in the median: 6 pairs of three cases take 6 * (4 + 2 * 3 * (0.4 + 1.2 * 0.5)) s."""
    asked = turns(dict.fromkeys("abc", (1.0, 1.2)))
    new = ran("2", {"a": [1.03] * 3, "b": [1.3] * 3, "c": [1.04] * 3})
    for each in new.rows:
        each.definition["time_s"] = 10.0
        each.wall_s = walls[each.session - 1]
    looked([ran("1", dict.fromkeys("abc", NOISY))], new, time_s=75.0)
    assert asked.get("cases", []) == cases


def test_too_little_time_for_anything_says_how_much_is_needed(ran, turns):
    turns({})
    _, found = looked([ran("1", {"a": NOISY})], ran("2", {"a": [1.3]}), time_s=5.0)
    (why,) = found.not_run.values()
    assert "are needed for one case, --confirm-time has less" in why


def test_the_time_that_is_needed_is_never_less_than_there_was(ran, turns):
    """6 pairs of the alarm b take 6 * (4 + 2 * (0.4 + 10 * 1.2)) s; for a, only in doubt, 24 take as long as 24 * 6 s."""
    turns({})
    noisy = [1.0, 1.08, 0.92, 1.04, 0.96, 1.0, 1.06, 0.94]
    new = ran("2", {"a": [1.03], "b": [1.6]})
    for each in new.rows:
        each.wall_s = {"a": 0.5, "b": 10.0}[each.workload]
    _, found = looked([ran("1", dict.fromkeys("ab", noisy))], new, time_s=100.0)
    assert set(found.not_run.values()) == {"2 min 24 s are needed for one case, --confirm-time has less"}


def test_pairs_that_others_disturbed_are_counted_in_the_note(ran, turns, monkeypatch):
    turns({"a": (1.0, 1.2)})
    monkeypatch.setattr(Pairs, "disturbed", lambda _: "others took cores 5 of 6 times")
    _, found = looked([ran("1", {"a": NOISY})], ran("2", {"a": [1.3]}))
    assert found.notes[0].endswith("; others took cores 5 of 6 times")


def test_the_number_of_pairs_is_what_was_asked_for(ran, turns):
    asked = turns({"a": (1.0, 1.2)})
    looked([ran("1", {"a": NOISY})], ran("2", {"a": [1.3]}), pairs=11)
    assert asked["rounds"] == 11


@pytest.mark.parametrize(("new", "outcome"), [(1.2, "withdrawn"), (1.44, "confirmed")])
def test_what_was_accepted_is_no_alarm_of_the_pairs_either(ran, turns, commits, new, outcome):
    """The baseline's commit is of before the accepted +20 %: the pairs see it, and must not raise it again."""
    asked = turns({"a": (1.0, new)})
    base = Baseline(name="main")
    base.add(gather(ran("1", {"a": NOISY}, commit=commits[0]))[0])
    base.accept("a", gather(ran("2", {"a": [1.2]}))[0], "wanted", "2026-11-22")
    against = Against("main", base.leveled(), accepted=base.accepted)
    run = ran("3", {"a": [1.28 if outcome == "withdrawn" else 1.44]}, commit=commits[2])
    first = check(series(against.gathered, fewest=5), series(gather(run)[0]))
    found = look_again(first, [run], against, {}, Rule(), Asked(600.0, quiet=True))
    assert asked["baseline"] is not None
    (second,) = found.found.values()
    assert second.outcome == outcome, second
    assert second.judged.ratio == pytest.approx(new / 1.2, rel=0.01)


def test_runs_of_different_code_are_no_one_candidate(ran, turns, commits):
    asked = turns({})
    old = gather(ran("1", {"a": NOISY}))[0]
    runs = [ran("2", {"a": [1.2]}, commit=commits[0]), ran("3", {"a": [1.2]}, commit=commits[1])]
    first = check(series(old, fewest=5), series(merged(gather(run)[0] for run in runs)))
    found = look_again(first, runs, Against("main", old), {}, Rule(), Asked(600.0, quiet=True))
    (why,) = found.not_run.values()
    assert f"different code: commits {commits[0]}, {commits[1]}" in why
    assert not asked


def test_a_definition_of_another_version_is_a_reason_and_no_traceback(ran, turns):
    turns({})
    new = ran("2", {"a": [1.3]})
    new.rows[0].definition = {"workload": "a"}
    _, found = looked([ran("1", {"a": NOISY})], new)
    (why,) = found.not_run.values()
    assert "none of this version" in why


def test_a_reading_that_is_missing_on_one_side_takes_its_pair_away():
    def side(name, *numbers):
        made = {"source": "measured", "fingerprint": "f", "definition_hash": "d", "dtype": "bf16"}
        return [Session(label=f"{name}/{number}", samples=[1.0 * number], **made) for number in numbers]

    old, new = second_look._pairs_of(side("old", 1, 2, 4), side("new", 1, 3, 4))
    assert [(a.label, b.label) for a, b in zip(old, new, strict=True)] == [("old/1", "new/1"), ("old/4", "new/4")]


def test_another_python_without_a_commit_has_the_candidates_own_code(ran, turns, commits):
    asked = turns({"a": (1.0, 1.2)})
    new = ran("2", {"a": [1.2]}, commit=commits[0])
    looked([ran("1", {"a": NOISY})], new, baseline_python="/old/python")
    assert asked["baseline"].folder == asked["candidate"].folder
    assert asked["candidate"].root is not None
    assert asked["baseline"].python == "/old/python"
