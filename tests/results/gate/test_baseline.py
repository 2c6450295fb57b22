"""Baselines: kept whole, reviewed as text, accepted with a reason, pruned; broken ones say so."""

from __future__ import annotations

import json
import math
import threading

import pytest

from bench.errors import ResultError
from bench.project import matches
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import Baseline, typical_and_spread
from bench.results.gate.baseline_file import load, locked, save
from bench.results.gate.gather import gather, series

CASE, OTHER = "tiny[b=1]", "tiny[b=2]"


@pytest.fixture
def base(ran):
    """A baseline of five sittings: tiny[b=1] around 1 s, tiny[b=2] around 2 s."""
    made = Baseline(name="main")
    for hour in range(1, 6):
        made.add(gather(ran(f"run-{hour}", {CASE: [1.0], OTHER: [2.0]}))[0])
    return made


def medians(gathered, case_id=CASE):
    (one,) = [each for each in series(gathered) if each.case_id == case_id and each.metric == "step_s"]
    return [session.samples[0] for session in one.sessions]


def test_a_baseline_comes_back_as_it_was_saved(base, tmp_path):
    save(base, tmp_path / "main.json")
    assert load(tmp_path / "main.json") == base


def test_its_text_begins_with_what_it_is_and_has_a_line_for_each_value(base, tmp_path):
    save(base, tmp_path / "main.json")
    lines = (tmp_path / "main.json").read_text().splitlines()
    assert lines[1].strip() == '"kind": "accelbench baseline",'
    assert sum(line.strip().startswith('"run-3/1": [3, 1.0, 1.0, 1.0, null]') for line in lines) == 1
    assert stored.is_baseline(tmp_path / "main.json")
    assert not stored.is_baseline(tmp_path / "nothing.json")


def test_the_same_run_is_not_counted_twice(base, ran):
    assert base.add(gather(ran("run-3", {CASE: [9.0]}))[0]) == []
    assert medians(base) == [1.0] * 5


def test_an_accepted_change_moves_the_level_of_what_was_before_it(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.1], OTHER: [2.2]}))
    (one,) = base.accept("tiny[b=1]", new, "more exact", "2026-11-22T00:00:00+00:00")
    assert one.ratio == pytest.approx(1.1)
    assert medians(base.leveled()) == pytest.approx([1.1] * 5)
    assert medians(base.leveled(), OTHER) == [2.0] * 5
    base.add(new)
    assert medians(base.leveled()) == pytest.approx([1.1] * 6)
    (reason,) = base.reasons().values()
    assert reason == "+10.0% accepted on 2026-11-22: more exact"


def test_a_second_change_is_accepted_on_top_of_the_first(base, ran):
    base.accept(CASE, gather(ran("run-8", {CASE: [1.1]}))[0], "first", "2026-11-22")
    (one,) = base.accept(CASE, gather(ran("run-9", {CASE: [1.21]}))[0], "second", "2026-11-23")
    assert one.ratio == pytest.approx(1.1)
    assert medians(base.leveled()) == pytest.approx([1.21] * 5)


def test_where_what_is_run_has_changed_the_old_sessions_go(base, ran):
    new, _ = gather(ran("run-9", {CASE: [7.0]}, definition_hash="f" * 16))
    (one,) = base.accept(CASE, new, "another definition", "2026-11-22")
    assert one.ratio is None
    assert {held.case_id for held in base.cases} == {OTHER}
    base.add(new)
    assert medians(base.leveled()) == [7.0]


def test_nothing_is_accepted_that_has_not_changed(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.001]}))
    assert base.accept(CASE, new, "why", "2026-11-22") == []
    assert base.accepted == []


def test_what_is_to_be_left_keeps_its_level(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.1], OTHER: [2.2]}))
    found = base.accept("tiny", new, "why", "2026-11-22", leave={("cpu", CASE, "step_s")})
    assert [(one.case_id, one.ratio) for one in found] == [(OTHER, pytest.approx(1.1))]
    assert medians(base.leveled()) == [1.0] * 5


def test_a_case_that_the_baseline_does_not_have_is_saved_and_not_accepted(base, ran):
    new, _ = gather(ran("run-9", {"tiny[b=3]": [1.1]}))
    with pytest.raises(ResultError, match=r"has no case that matches 'tiny'; .* bench baseline save main"):
        base.accept("tiny", new, "why", "2026-11-22")


def test_each_machine_needs_sessions_of_its_own_and_a_model_none(base, ran):
    assert base.learning(5) == {}
    assert base.learning(6) == {CASE: 5, OTHER: 5}
    base.add(gather(ran("run-8", {CASE: [3.0, 3.0]}, told={"name": "Another CPU"}))[0])
    base.add(gather(ran("run-9", {"model[b=1]": [1.0]}, source="modelled"))[0])
    assert base.learning(5) == {CASE: 2}


@pytest.mark.parametrize(("pattern", "reason", "said"), [
    ("nothing*", "why", "no case of the run matches 'nothing"),
    (CASE, "  ", "the reason is empty"),
])  # fmt: skip
def test_what_cannot_be_accepted_is_refused(base, ran, pattern, reason, said):
    with pytest.raises(ResultError, match=said):
        base.accept(pattern, gather(ran("run-9", {CASE: [2.0]}))[0], reason, "2026-11-22")


def test_pruning_keeps_the_newest_of_each_machine(base, ran):
    other = {"name": "Another CPU"}
    base.add(gather(ran("run-0", {CASE: [3.0]}, told=other))[0])
    gone = base.prune(2)
    assert gone == ["run-1/1", "run-2/1", "run-3/1"]
    assert [one.run for one in base.sessions] == ["run-0", "run-4", "run-5"]
    assert len(base.machines) == 2


def test_a_case_is_dropped_by_pattern(base):
    assert base.drop(["tiny[b=2*"]) == [OTHER]
    assert {held.case_id for held in base.cases} == {CASE}


@pytest.mark.parametrize(("pattern", "does"), [
    ("tiny[b=1]", True), ("tiny", True), ("tin*", True), ("tiny[b=?]", True), ("*[b=1]", True),
    ("tiny[b=2]", False), ("tin", False), ("[a-z]*", False),
])  # fmt: skip
def test_patterns_take_brackets_as_they_are(pattern, does):
    assert matches(CASE, pattern) is does


@pytest.mark.parametrize(("change", "said"), [
    ({"kind": "something"}, "not a baseline"),
    ({"schema": 2}, "reads 1 to 1; upgrade"),
    ({"sessions": 5}, "not readable as a baseline"),
    ({"sessions": []}, "cannot be"),
])  # fmt: skip
def test_a_broken_baseline_says_where_and_what(base, tmp_path, change, said):
    path = tmp_path / "main.json"
    save(base, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ResultError, match=said):
        load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 5000, b"null"])
def test_hostile_content_is_one_line(tmp_path, content):
    (tmp_path / "main.json").write_bytes(content)
    with pytest.raises(ResultError, match=r"main\.json: not readable"):
        load(tmp_path / "main.json")


def test_a_value_that_cannot_be_is_refused(base, tmp_path):
    save(base, tmp_path / "main.json")
    text = (tmp_path / "main.json").read_text().replace("[3, 1.0, 1.0, 1.0, null]", "[3, -1.0, 1.0, 1.0, null]", 1)
    (tmp_path / "main.json").write_text(text)
    with pytest.raises(ResultError, match=r"tiny\[b=1\] step_s has a value of session 'run-1/1' that cannot be"):
        load(tmp_path / "main.json")


def test_a_missing_one_names_those_there_are(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(base, stored.path_of("main"))
    with pytest.raises(ResultError, match=r"did you mean 'main'.*bench baseline save mian"):
        load(stored.path_of("mian"))


@pytest.mark.parametrize("name", ["", "../main", "a/b", ".hidden", "a b"])
def test_a_name_that_leaves_the_folder_is_refused(name):
    with pytest.raises(ResultError, match="no name for a baseline"):
        stored.path_of(name)


def test_spread_is_the_standard_deviation_of_logarithms():
    middle, spread = typical_and_spread([math.exp(-0.1), 1.0, math.exp(0.1)])
    assert (middle, spread) == (pytest.approx(1.0), pytest.approx(0.1))
    assert typical_and_spread([2.0])[1] is None


def test_two_writers_wait_for_each_other(tmp_path):
    path, order = tmp_path / "main.json", []

    def second():
        with locked(path):
            order.append("second")

    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_lock_goes_where_no_baseline_came_to_be(tmp_path):
    path = tmp_path / "main.json"
    with locked(path):
        assert path.with_suffix(".lock").exists()
    assert list(tmp_path.iterdir()) == []
    with locked(path):
        path.write_text("{}")
    assert path.with_suffix(".lock").exists()


def test_who_waited_for_a_lock_that_is_gone_takes_the_new_one(tmp_path):
    """The first takes the baseline away, and the lock with it, while the second waits: the third must wait for it."""
    path, order = tmp_path / "main.json", []
    entered, go = threading.Event(), threading.Event()

    def second():
        with locked(path):
            entered.set()
            go.wait(5)
            order.append("second")

    def third():
        with locked(path):
            order.append("third")

    with locked(path):
        threads = [threading.Thread(target=second), threading.Thread(target=third)]
        threads[0].start()
        threads[0].join(0.2)
    assert entered.wait(5)
    threads[1].start()
    threads[1].join(0.2)
    go.set()
    for thread in threads:
        thread.join(5)
    assert order == ["second", "third"]
