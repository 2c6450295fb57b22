"""bench push into SQLite: what cannot be read is told, keeps nothing else here, and does not end in 0."""

from __future__ import annotations

import msgspec
import pytest

from bench.cli import run
from bench.results.record import Environment, Run

SAID = "not readable as JSON"


@pytest.fixture
def put(folder, row, monkeypatch):
    """Return a function that writes a run file of this id; the store is a file beside the runs."""
    monkeypatch.setenv("BENCH_STORE", f"sqlite:///{folder}/store.db")
    (folder / "results" / "runs").mkdir(parents=True)

    def write(run_id):
        environment = Environment(
            bench_version="0", created="2026-11-21T12:00:00+00:00", command="bench run", host="h", fingerprint="f",
            python="3", os="l", cpu="A CPU", cores=2, devices={"cpu": {"name": "A CPU"}},
        )  # fmt: skip
        path = folder / "results" / "runs" / f"{run_id}.json"
        path.write_bytes(msgspec.json.encode(Run(id=run_id, environment=environment, rows=[row()])))
        return str(path.relative_to(folder))

    return write


def test_all_that_can_be_read_is_pushed_and_the_rest_ends_in_2(put, folder, capsys):
    put("a")
    put("c")
    for name in ("b", "d"):
        (folder / "results" / "runs" / f"{name}.json").write_text("{")
    assert run(["push"]) == 2
    out, err = capsys.readouterr()
    assert out == f"pushed 2 runs to sqlite:///{folder}/store.db; 0 runs there already; 2 runs not pushed\n"
    assert f"left out: b.json: {SAID}" in err
    assert f"left out: d.json: {SAID}" in err
    assert err.splitlines()[-1].startswith(f"error: results/runs/b.json: {SAID}")
    assert err.splitlines()[-1].endswith("; and 1 more, named above")
    assert run(["push"]) == 2
    assert capsys.readouterr().out.startswith("pushed 0 runs")


def test_a_named_file_that_is_no_run_keeps_the_others_not_here(put, folder, capsys):
    bad = folder / "bad.json"
    bad.write_text("[]")
    assert run(["push", put("a"), str(bad), put("b")]) == 2
    out, err = capsys.readouterr()
    assert (out[:13], "1 run not pushed" in out) == ("pushed 2 runs", True)
    assert "error: bad.json: JSON, but not a bench run file" in err
    assert run(["push", str(bad)]) == 2
    assert capsys.readouterr().err.count("bad.json") == 1


def test_a_copy_of_a_run_is_no_fault(put, folder, capsys):
    (folder / "results" / "runs" / "copy.json").write_bytes((folder / put("a")).read_bytes())
    assert run(["push"]) == 0
    out, err = capsys.readouterr()
    assert (out[:12], "not pushed" in out) == ("pushed 1 run", False)
    assert "the same run as" in err


@pytest.mark.parametrize("words", [["history"], ["pull"]])
def test_who_only_reads_makes_no_store(put, folder, capsys, words):
    put("a")
    assert run(words) == 2
    assert "store.db: no such file; bench push makes it" in capsys.readouterr().err
    assert not (folder / "store.db").exists()
