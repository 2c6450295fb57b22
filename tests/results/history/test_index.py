"""The index: what it takes in, and that a broken, foreign, locked or deleted one costs time and nothing else."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest
import sqlalchemy as sa

from bench.errors import ResultError
from bench.results.history import database, index, tables
from bench.results.history.index import NAME, Listed, ask, listing, remembered
from bench.results.history.memo import Memo
from bench.results.history.query import Asked, read_trends


@pytest.fixture
def told():
    return []


@pytest.fixture
def look(folder, told):
    """Return a function that brings the index up to date and returns every value, unreadable files and journals."""

    def question(held):
        trends = read_trends(held.connection, Asked(), Memo()).trends
        return sorted(point.value for one in trends for point in one.points), held.unreadable, held.journals

    return lambda **keys: ask(folder, question, told.append, **keys)


def values(found):
    return found[0]


def test_a_folder_that_is_not_there_holds_no_runs(tmp_path):
    assert listing(tmp_path / "none") == Listed()


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(ResultError, match="cannot be listed"):
        listing(tmp_path / "runs")


def test_runs_are_found_in_folders_below_but_not_in_hidden_ones(put, look):
    put(0, 1.0)
    put(1, 2.0, place="nightly/deep")
    put(2, 3.0, place=".trash")
    assert values(look()) == [1.0, 2.0]


def test_a_link_to_a_folder_is_not_followed(put, look, folder):
    put(0, 1.0, place="deep")
    (folder / "deep" / "again").symlink_to(folder)
    assert look() == ([1.0], {}, [])


def test_new_changed_and_deleted_files_are_seen_at_the_next_look(put, look, told):
    path = put(0, 1.0)
    assert values(look()) == [1.0]
    put(1, 2.0)
    assert values(look()) == [1.0, 2.0]
    put(0, 3.0)
    os.utime(path, ns=(1, 1))
    assert values(look()) == [2.0, 3.0]
    path.unlink()
    assert values(look()) == [2.0]
    assert told == []


def test_a_look_that_finds_nothing_new_writes_nothing(put, look, folder, monkeypatch):
    put(0, 1.0)
    look()
    monkeypatch.setattr(index, "_take_in", None)
    monkeypatch.setattr(index, "_take_out", None)
    assert values(look()) == [1.0]


def test_a_copy_counts_once_and_takes_over_when_the_first_is_gone(put, look, folder):
    path = put(0, 1.0)
    (folder / "sub").mkdir()
    shutil.copy(path, folder / "sub" / "copy.json")
    found, unreadable, _ = look()
    assert found == [1.0]
    assert unreadable == {"sub/copy.json": "the same run as run-000.0.json, counted once"}
    look()
    path.unlink()
    assert look() == ([1.0], {}, [])


def test_a_copy_that_comes_later_names_the_first(put, look, folder):
    path = put(0, 1.0)
    look()
    shutil.copy(path, folder / "a.json")
    assert look()[1] == {"a.json": "the same run as run-000.0.json, counted once"}


def test_what_cannot_be_read_is_listed_with_its_reason_and_stops_nothing(put, look, folder):
    whole = put(0, 1.0).read_bytes()
    (folder / "half.json").write_bytes(whole[: len(whole) // 2])
    (folder / "foreign.json").write_text('{"name": "package"}')
    (folder / "nan.json").write_bytes(whole.replace(b'"step_s":1.0', b'"step_s":NaN'))
    (folder / "negative.json").write_bytes(whole.replace(b'"step_s":1.0', b'"step_s":-1.0'))
    (folder / "when.json").write_bytes(whole.replace(b"2026-01-01T00", b"yesterday"))
    (folder / "newer.json").write_bytes(whole.replace(b'"schema":3', b'"schema":9999'))
    (folder / "part.json").write_bytes(whole.replace(b'"complete":true', b'"complete":false'))
    (folder / "folder.json").mkdir()
    (folder / "link.json").symlink_to("nowhere")
    (folder / "empty.json").write_text("")
    found, unreadable, _ = look()
    assert found == [1.0]
    expected = {
        "half.json": "cut off", "foreign.json": "not a bench run file", "nan.json": "JSON", "negative.json": "> 0.0",
        "when.json": "not a date such as", "newer.json": "newer than", "folder.json": "is a directory",
        "part.json": "not complete", "link.json": "no such file", "empty.json": "cut off",
    }  # fmt: skip
    assert {path for path, part in expected.items() if part in unreadable.get(path, "")} == set(expected)


def test_a_folder_below_that_may_not_be_listed_is_told_and_stops_nothing(put, look, folder, monkeypatch):
    put(0, 1.0)
    (folder / "closed").mkdir()
    scandir = os.scandir

    def refuse(place):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    assert look() == ([1.0], {"closed/": "cannot be listed (permission denied)"}, [])


def test_a_run_that_came_while_the_folder_was_listed_stays(put, look, folder, monkeypatch):
    put(0, 1.0)
    before = listing(folder)
    put(1, 2.0)
    assert values(look()) == [1.0, 2.0]
    monkeypatch.setattr(index, "listing", lambda _: before)
    assert values(look()) == [1.0, 2.0]


def test_a_name_that_is_not_utf8_is_told_and_not_read_again_and_again(put, look, folder):
    path = put(0, 1.0)
    put(1, 2.0)
    try:
        path.rename(os.fsdecode(os.fsencode(folder) + b"/\xff.json"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found, unreadable, _ = look()
    assert found == [2.0]
    assert list(unreadable) == ["\\udcff.json"]


def test_a_run_that_is_being_written_is_left_out_and_listed(put, look, folder):
    put(0, 1.0)
    (folder / "run-9.jsonl").write_text('{"schema": 3')
    assert look() == ([1.0], {}, ["run-9.jsonl"])


def test_a_file_that_holds_a_row_twice_counts_it_once(put, look, folder):
    path = put(0, 1.0, 2.0)
    path.write_bytes(path.read_bytes().replace(b'"session":2', b'"session":1'))
    assert values(look()) == [1.0]


def broken(path, how):
    content = path.read_bytes()
    if how == "text":
        path.write_text("this is no database " * 500)
    elif how == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif how == "pages":
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    elif how == "a table gone":
        with sqlite3.connect(path) as database:
            database.execute("drop table bench_point")
    elif how == "a column gone":
        with sqlite3.connect(path) as database:
            database.execute("alter table bench_point drop column step_s")


@pytest.mark.parametrize("how", ["text", "cut off", "pages", "a table gone", "a column gone"])
def test_a_corrupt_index_is_built_anew_and_that_is_said(put, look, folder, told, how):
    for day in range(20):
        put(day, 1.0 + day)
    expected = look()
    broken(folder / NAME, how)
    assert look() == expected
    assert len(told) == 1
    assert "built anew from the run files" in told[0]
    assert look() == expected
    assert len(told) == 1


def test_an_empty_index_file_is_filled(put, look, folder, told):
    put(0, 1.0)
    (folder / NAME).touch()
    assert values(look()) == [1.0]
    assert told == []


@pytest.mark.parametrize("version", [0, 99])
def test_an_index_of_another_version_is_built_anew_and_that_is_said(put, look, folder, told, version):
    put(0, 1.0)
    look()
    with sqlite3.connect(folder / NAME) as database:
        database.execute("update bench_version set version = ?", [version])
        database.execute("alter table bench_run drop column at")
    assert values(look()) == [1.0]
    assert told == [f"the index is of version {version}, not {tables.VERSION}; built anew from the run files"]
    assert values(look()) == [1.0]
    assert len(told) == 1


def test_a_rebuild_forgets_what_the_index_says(put, look, folder):
    put(0, 1.0)
    look()
    with sqlite3.connect(folder / NAME) as database:
        database.execute("update bench_point set step_s = 5")
    assert values(look()) == [5.0]
    assert values(look(rebuild=True)) == [1.0]


def test_an_index_deleted_in_use_answers_on_and_the_next_look_makes_another(put, look, folder, told):
    put(0, 1.0)

    def question(held):
        for path in folder.glob(f"{NAME}*"):
            path.unlink()
        return values(look()), held.connection.execute(sa.select(tables.point.c.step_s)).scalars().all()

    assert ask(folder, question, told.append) == ([1.0], [1.0])
    assert values(look()) == [1.0]
    assert told == []


def test_a_locked_index_is_done_without(put, look, folder, told, monkeypatch):
    put(0, 1.0)
    look()
    put(1, 2.0)
    monkeypatch.setattr(database, "PATIENCE_S", 0.05)
    with sqlite3.connect(folder / NAME, isolation_level=None) as other:
        other.execute("begin immediate")
        assert values(look()) == [1.0, 2.0]
        other.execute("rollback")
    assert len(told) == 1
    assert "cannot be used (database is locked); without it the run files are read anew each time" in told[0]


def test_change_points_are_remembered_and_those_of_old_series_forgotten(put, folder, monkeypatch):
    for day in range(12):
        put(day, (1.0 if day < 6 else 1.5) * (1 + day % 3 / 1000))

    def question(held):
        with remembered(held.connection) as memo:
            trends = read_trends(held.connection, Asked(), memo).trends
        return len(trends[0].changes), len(memo.known), len(memo.new)

    assert ask(folder, question, print) == (1, 0, 1)
    assert ask(folder, question, print) == (1, 1, 0)
    monkeypatch.setattr(index, "MOST_SPLITS", 0)
    put(12, 1.5)
    assert ask(folder, question, print) == (1, 1, 1)
    assert ask(folder, question, print) == (1, 1, 0)
