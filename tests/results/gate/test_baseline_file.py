"""Baselines on disk: kept whole, reviewed as text, one writer at a time; broken ones say so."""

from __future__ import annotations

import json
import threading

import pytest

from bench.errors import ResultError
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import Accepted
from bench.results.gate.baseline_file import load, locked, save

CASE = "tiny[b=1]"


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


@pytest.mark.parametrize("ratio", [0, -2])
def test_an_accepted_ratio_that_cannot_be_is_refused(base, tmp_path, ratio):
    base.accepted.append(
        Accepted(device="cpu", case_id="tiny[b=1]", metric="step_s", reason="x", when="y", run="z", ratio=ratio)
    )
    save(base, tmp_path / "main.json")
    said = rf"main\.json: tiny\[b=1\] step_s has an accepted ratio that cannot be \({ratio}\); restore it"
    with pytest.raises(ResultError, match=said):
        load(tmp_path / "main.json")


def test_a_value_that_cannot_be_is_refused(base, tmp_path):
    save(base, tmp_path / "main.json")
    text = (tmp_path / "main.json").read_text().replace("[3, 1.0, 1.0, 1.0, null]", "[3, -1.0, 1.0, 1.0, null]", 1)
    (tmp_path / "main.json").write_text(text)
    with pytest.raises(
        ResultError, match=r"tiny\[b=1\] step_s has a value of session 'run-1/1' that cannot be \(-1\); restore"
    ):
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
