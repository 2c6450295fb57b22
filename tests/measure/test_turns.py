"""Two sides measured in turns: the order changes, pairs stay pairs, and a side that cannot speak says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.measure import turns
from bench.measure.runner import Planned
from bench.measure.turns import Pairs, Place, Speaker, in_turns
from bench.workloads.schema import Case

CASES = [
    Planned(
        "cpu",
        Case(workload="a", phase="kernel", kernel="gemm", dtype="bf16", dims={"m": m, "n": 8, "k": 8}, time_s=0.1),
        True,
    )
    for m in (1, 2)
]


class Told:
    """Sides that write down who measured what, and answer as they are told."""

    def __init__(self, row, answers=None):
        self.row, self.answers, self.calls, self.opened = row, answers or {}, [], 0

    def __call__(self, place):
        told, side = self, place.python
        told.opened += 1

        class Side:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def measure(self, each):
                told.calls.append((side, each.case.dims["m"]))
                changes = told.answers.get((side, each.case.dims["m"]), [])
                change = changes.pop(0) if changes else {}
                if isinstance(change, Exception):
                    raise change
                return told.row(case_id=each.case.case_id, step_s=1.0, **change)

        return Side()


@pytest.fixture
def sides(monkeypatch, row):
    def make(answers=None):
        told = Told(row, answers)
        monkeypatch.setattr(turns, "Speaker", told)
        return told

    return make


OLD, NEW = Place(Path(), "old"), Place(Path(), "new")


def test_the_order_changes_from_pair_to_pair_and_from_case_to_case(sides):
    told = sides()
    pairs = in_turns(CASES, 2, NEW, OLD)
    assert told.calls == [
        ("old", 1), ("new", 1), ("new", 2), ("old", 2),
        ("new", 1), ("old", 1), ("old", 2), ("new", 2),
    ]  # fmt: skip
    assert told.opened == 4  # both sides afresh for each of two pairs
    assert {key: len(rows) for key, rows in pairs.baseline.items()} == {each.key: 2 for each in CASES}
    assert {key: len(rows) for key, rows in pairs.candidate.items()} == {each.key: 2 for each in CASES}


def test_without_a_baseline_one_side_is_measured(sides):
    told = sides()
    pairs = in_turns(CASES[:1], 3, NEW, None)
    assert told.calls == [("new", 1)] * 3
    assert not pairs.baseline
    assert len(pairs.candidate[CASES[0].key]) == 3


def test_a_pair_of_which_one_failed_is_in_neither_side(sides):
    sides({("old", 1): [{}, {"status": "error", "reason": "lost"}]})
    pairs = in_turns(CASES, 3, NEW, OLD)
    assert len(pairs.baseline[CASES[0].key]) == len(pairs.candidate[CASES[0].key]) == 2
    assert len(pairs.candidate[CASES[1].key]) == 3
    assert pairs.failed == {CASES[0].key: "error: lost"}


def test_a_side_that_cannot_go_on_costs_no_pair_from_before(sides):
    sides({("old", 2): [{}, {}, BenchError("there: cannot measure there (Killed)")]})
    pairs = in_turns(CASES, 5, NEW, OLD)
    assert (pairs.rounds, pairs.ended) == (2, "there: cannot measure there (Killed)")
    assert {key[1][:8]: len(rows) for key, rows in pairs.candidate.items()} == {"a[m=1,n=": 3, "a[m=2,n=": 2}
    assert {key: len(rows) for key, rows in pairs.baseline.items()} == {k: len(r) for k, r in pairs.candidate.items()}


def test_a_side_that_can_measure_nothing_is_an_error(sides):
    sides({("new", 1): [BenchError("there: cannot measure there (No module)")]})
    with pytest.raises(BenchError, match="No module"):
        in_turns(CASES, 5, NEW, OLD)


def test_a_disturbed_pair_is_tried_again_and_the_quietest_try_counts(sides):
    told = sides(
        {
            ("new", 1): [
                {"others_cores": 1.0, "wall_s": 1},
                {"others_cores": 0.5, "wall_s": 2},
                {"others_cores": 0.8, "wall_s": 3},
            ]
        }
    )
    pairs = in_turns(CASES[:1], 4, NEW, OLD)
    assert len(told.calls) == 2 * (4 + 2)  # three tries of the first pair
    assert pairs.candidate[CASES[0].key][0].wall_s == 2
    assert pairs.disturbed() == "others took cores 1 of 4 times"


def test_tries_come_to_an_end_where_every_pair_is_disturbed(sides):
    told = sides({("old", 1): [{"others_cores": 1.0} for _ in range(99)]})
    pairs = in_turns(CASES[:1], 3, NEW, OLD)
    assert len(told.calls) == 2 * (3 + 3)  # as many again as there are pairs, and no more
    assert len(pairs.baseline[CASES[0].key]) == 3
    assert pairs.disturbed() == "others took cores 3 of 3 times"


def test_of_sessions_without_pairs_the_disturbed_are_counted_too(sides):
    sides({("new", 1): [{"others_cores": 1.0} for _ in range(99)], ("new", 2): [{"others_cores": 0.1}]})
    assert in_turns(CASES, 2, NEW, None).disturbed() == "others took cores 2 of 4 times"
    assert Pairs().disturbed() == ""


def clock(monkeypatch, step):
    """Every look at the clock is `step` seconds later."""
    now = [0.0]

    def tick():
        now[0] += step
        return now[0]

    monkeypatch.setattr(turns.time, "monotonic", tick)


def test_no_round_begins_that_would_not_be_over_in_time(sides, monkeypatch):
    told = sides()
    clock(monkeypatch, 10.0)  # looked at once to start and once a round: 10 s a round
    pairs = in_turns(CASES[:1], 9, NEW, OLD, time_s=45.0)
    assert (pairs.rounds, pairs.ended) == (3, "the time was over")
    assert len(told.calls) == 2 * 3


def test_nothing_is_tried_again_behind_its_share_of_the_time(sides, monkeypatch):
    told = sides({("old", 1): [{"others_cores": 1.0} for _ in range(99)]})
    clock(monkeypatch, 10.0)
    pairs = in_turns(CASES[:1], 3, NEW, OLD, time_s=60.0)
    assert pairs.rounds == 2
    assert len(told.calls) == 2 * 2


def test_a_place_of_a_checkout_comes_first_on_the_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert Place(Path("/t/below"), root=Path("/t")).environment()["PYTHONPATH"] == "/t:/t/src:/mine"
    assert Place(Path("/here")).environment()["PYTHONPATH"] == "/mine"


def test_a_side_that_cannot_speak_says_why(tmp_path):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    with (
        Speaker(Place(tmp_path, root=tmp_path)) as side,
        pytest.raises(BenchError, match=r"cannot measure there .*No module named"),
    ):
        side.measure(CASES[0])


def test_a_python_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(BenchError, match="no such file"):
        Speaker(Place(tmp_path, "/no/such/python"))


def test_a_side_whose_rows_are_of_another_version_says_so(tmp_path):
    (tmp_path / "bench" / "measure").mkdir(parents=True)
    for name in ("bench/__init__.py", "bench/measure/__init__.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "bench" / "measure" / "turns.py").write_text(
        "input()\nprint('{\"case_id\": 7}', flush=True)\ninput()\n"
    )
    with (
        Speaker(Place(tmp_path, root=tmp_path)) as side,
        pytest.raises(BenchError, match=r"its rows are of another version than is here \(Expected `str`, got `int`"),
    ):
        side.measure(CASES[0])


def test_what_failed_before_a_side_broke_off_is_still_known(sides):
    sides({("new", 1): [{"status": "error", "reason": "lost"}], ("new", 2): [BenchError("gone")]})
    pairs = in_turns(CASES, 5, NEW, OLD)
    assert (pairs.rounds, pairs.ended, pairs.failed) == (0, "gone", {CASES[0].key: "error: lost"})


def test_a_side_that_does_not_answer_is_ended_and_says_how_long_it_had(tmp_path, monkeypatch):
    (tmp_path / "bench" / "measure").mkdir(parents=True)
    for name in ("bench/__init__.py", "bench/measure/__init__.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "bench" / "measure" / "turns.py").write_text("import time\ntime.sleep(60)\n")
    for name in ("START_S", "LIMIT_BASE_S"):
        monkeypatch.setattr(turns, name, 0.1)
    monkeypatch.setattr(turns, "LIMIT_FACTOR", 0.0)
    with (
        Speaker(Place(tmp_path, root=tmp_path)) as side,
        pytest.raises(BenchError, match=r"no answer within 200 ms; measuring there was ended"),
    ):
        side.measure(CASES[0])


@pytest.mark.slow
def test_a_side_measures_in_a_process_of_its_own(tmp_path):
    with Speaker(Place(tmp_path, sys.executable)) as side:
        rows = [side.measure(each) for each in CASES]
    assert [row.status for row in rows] == ["ok", "ok"]
    assert [row.case_id for row in rows] == [each.case.case_id for each in CASES]
