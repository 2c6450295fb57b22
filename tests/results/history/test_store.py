"""The store's rules, in SQLite: once only, wholly, of one version; a real PostgreSQL is in test_postgres."""

from __future__ import annotations

import json
import sqlite3

import pytest
import sqlalchemy as sa

from bench.errors import ResultError
from bench.results.history import tables
from bench.results.history.database import parsed, reason, shown
from bench.results.history.memo import Memo
from bench.results.history.query import Asked, read_trends
from bench.results.history.store import opened
from bench.results.pytest_benchmark.write import document
from bench.results.store import load_run


@pytest.fixture
def url(tmp_path):
    return parsed(f"sqlite:///{tmp_path / 'store.db'}")


@pytest.fixture
def store(url):
    with opened(url, "try again") as store:
        store.prepare()
        yield store


def count(store, table):
    with store.connection.begin():
        return store.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_a_run_goes_in_once(put, store):
    path = put(0, 1.0, 2.0)
    assert [store.push(path), store.push(path)] == ["pushed", "there"]
    assert [count(store, table) for table in (tables.document, tables.run, tables.point)] == [1, 1, 2]


def test_other_content_under_the_same_id_is_told_and_the_first_stays(put, store):
    store.push(put(0, 1.0))
    assert store.push(put(0, 2.0)) == "differs"
    (trend,) = read_trends(store.connection, Asked(), Memo()).trends
    assert trend.best == 1.0


def test_what_is_missing_is_told_in_the_order_asked(put, store):
    store.push(put(0, 1.0))
    assert store.missing(["z", "run-000.0", "a"]) == ["z", "a"]
    assert store.missing([str(number) for number in range(1200)]) == [str(number) for number in range(1200)]


def test_a_run_that_cannot_be_entered_leaves_nothing_behind(put, store):
    path = put(0, 1.0)
    path.write_bytes(path.read_bytes().replace(b"2026-01-01T00", b"yesterday"))
    with pytest.raises(ResultError, match=r"run-000\.0\.json: created is 'yesterday"):
        store.push(path)
    assert [count(store, table) for table in (tables.document, tables.run, tables.facts)] == [0, 0, 0]


def test_documents_come_back_to_the_letter(put, store):
    files = [put(day, 1.0, case_id="漢\0") for day in range(3)]
    for file in files:
        store.push(file)
    assert list(store.documents(None, set())) == [(file.stem, file.read_bytes()) for file in files]
    assert [run_id for run_id, _ in store.documents(None, {"run-000.0"})] == ["run-001.0", "run-002.0"]
    assert [run_id for run_id, _ in store.documents({"run-002.0"}, set())] == ["run-002.0"]
    with pytest.raises(ResultError, match=r"has no run 'run-002\.1'; did you mean 'run-002\.0'"):
        list(store.documents({"run-002.1"}, set()))


def test_tables_of_version_1_become_those_of_this_version_with_all_runs(put, url, tmp_path):
    file = put(0, 1.0, launch="graph")
    with sqlite3.connect(tmp_path / "store.db") as old:
        old.execute("create table bench_version (version integer primary key)")
        old.execute("insert into bench_version values (1)")
        old.execute(
            "create table bench_document (run_id text primary key, digest text not null, content text not null)"
        )
        old.execute("insert into bench_document values ('run-000.0', '', ?)", [file.read_text()])
        old.execute("insert into bench_document values ('unreadable', '', '{')")
    with opened(url, "") as store:
        with pytest.raises(ResultError, match="version 1, not 3; bench push makes them"):
            store.check()
        told = store.prepare()
        assert told[:2] == [f"its tables of version {n} are now of version {n + 1}" for n in (1, 2)]
        assert told[-1] == "made anew from 1 document"
        assert store.prepare() == []
        assert (count(store, tables.document), count(store, tables.point)) == (2, 1)


def test_what_pytest_benchmark_saved_is_made_anew_too(put, url):
    path = put(0, 1.0, samples_s=[1.0, 1.0, 1.0])
    path.write_text(json.dumps(document(load_run(path))))
    with opened(url, "") as store:
        store.prepare()
        assert store.push(path) == "pushed"
        with store.connection.begin():
            tables.point.drop(store.connection)
        assert store.prepare() == ["bench_point was missing", "made anew from 1 document"]
        (trend,) = read_trends(store.connection, Asked(), Memo()).trends
        assert trend.points[0].value == 1.0


def test_every_version_but_the_first_has_its_step():
    assert sorted(tables.STEPS) == list(range(2, tables.VERSION + 1))


def test_a_newer_version_is_refused(store):
    with store.connection.begin():
        store.connection.execute(tables.version.update().values(version=99))
    for action in (store.check, store.prepare):
        with pytest.raises(ResultError, match="version 99, newer than 3, the newest this version knows"):
            action()


def test_what_the_database_refuses_is_one_line_with_what_to_do(tmp_path):
    with (
        pytest.raises(ResultError, match=r"sqlite:///.*none/store\.db: unable to open database file; try again"),
        opened(sa.make_url(f"sqlite:///{tmp_path}/none/store.db"), "try again"),
    ):
        pass


@pytest.mark.parametrize(("text", "expected"), [
    ("postgresql://me:secret@host:5433/db", "postgresql://me@host:5433/db"),
    ("postgres://me:secret@host/db?password=secret&sslmode=require", "postgresql://me@host/db"),
    ("postgresql+psycopg://host/db", "postgresql://host/db"),
    ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
])  # fmt: skip
def test_a_url_is_shown_without_what_is_secret(text, expected):
    assert shown(parsed(text)) == expected


@pytest.mark.parametrize("said", ["no: s3cr/t", "no: s3cr%2Ft", 'password "s3cr/t" is wrong', "a=hidden"])
def test_a_databases_words_are_told_without_the_secrets(said):
    url = parsed("postgresql://me:s3cr%2Ft@host/db?sslpassword=hidden&application_name=bench")
    told = reason(ValueError(f"{said}\nin application_name=bench"), url)
    assert "s3cr" not in told
    assert "hidden" not in told
    assert "***" in told
    assert "\n" not in told


@pytest.mark.parametrize("text", ["nonsense", "postgresql://host:port/db", "://", "a b"])
def test_what_is_no_url_is_not_repeated(text):
    with pytest.raises(ResultError) as error:
        parsed(text)
    assert str(error.value) == (
        "BENCH_STORE: not the URL of a database; write it as postgresql://user:password@host/database or"
        " sqlite:////folder/store.db"
    )


@pytest.mark.parametrize(("text", "told"), [
    ("sqlite", "not the URL of a database"), ("store.db", "not the URL of a database"),
    ("/folder/store.db", "not the URL of a database"), ("sqlite:store.db", "not the URL of a database"),
    ("sqlite://", "names no file"), ("sqlite:///", "names no file"), ("sqlite:///:memory:", "names no file"),
    ("sqlite://store.db", "names no file"), ("sqlite:///none/store.db", "no folder none; make it"),
    ("sqlite:///folder", "a folder; name a file in it"),
])  # fmt: skip
def test_a_url_of_no_file_is_refused_and_leaves_none(text, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResultError, match=told) as error:
        parsed(text)
    assert "sqlite:////folder/store.db" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("query", ["timeout=hidden", "passwort=hidden"])
def test_an_option_that_the_driver_does_not_take_is_told_by_its_name(query, tmp_path):
    with pytest.raises(ResultError, match=r"what stands after '\?' in BENCH_STORE \((timeout|passwort)\)") as error:
        parsed(f"sqlite:///{tmp_path}/store.db?{query}")
    assert "hidden" not in str(error.value)
    assert parsed(f"sqlite:///{tmp_path}/store.db?timeout=5").query == {"timeout": "5"}


def test_a_store_that_is_only_read_is_not_made(url, tmp_path):
    with (
        pytest.raises(ResultError, match=r"store\.db: no such file; bench push makes it"),
        opened(url, "x", make=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
