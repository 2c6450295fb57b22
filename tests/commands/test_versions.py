"""Which code a second look measures: never other code than the run's, never the same code twice."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest

from bench.commands.versions import baseline_commit, candidate_place, reference, same_machine
from bench.errors import BenchError
from bench.results.environment import settings
from bench.results.gate.gather import Gathered, Held, Pass, Value
from bench.results.record import Run

CPU = {"name": "A CPU", "cores": "2", "memory": "25.2 GB"}
KEY = ("cpu", "tiny[m=1]", "step_s")


def git(*words):
    name = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    return subprocess.run(["git", *name, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def made(row, environment):
    def make(devices=("cpu",), source="measured", **changes):
        told = {"cpu": CPU} | {name: {"name": name, "modelled": "from its sheet"} for name in devices if name != "cpu"}
        rows = [row(device=name, source=source if name == "cpu" else "modelled") for name in devices]
        return Run(id="run", environment=environment(devices=told, **changes), rows=rows)

    return make


@pytest.fixture
def commits(tmp_path, monkeypatch):
    """Two commits of a file; their hashes."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    found = []
    for text in ("one", "two"):
        (tmp_path / "code").write_text(text)
        git("add", "."), git("commit", "-qm", text)
        found.append(git("rev-parse", "--short=12", "HEAD"))
    return found


def place(run):
    with contextlib.ExitStack() as stack:
        found = candidate_place(stack, run)
        return found, (found.folder / "code").read_text()


def test_a_modelled_device_in_the_same_run_keeps_nobody_from_measuring_again(made):
    same_machine(made(("cpu", "h100-sxm")), made().environment, {"cpu"})


def test_a_little_more_memory_is_the_same_machine_and_software(made):
    now = made().environment
    now.devices = {"cpu": {**CPU, "memory": "25.3 GB"}}
    same_machine(made(), now, {"cpu"})


def test_another_accelbench_is_other_software_unless_the_code_brings_its_own(made, commits, tmp_path):
    run, now = made(commit=commits[1], bench_version="0.1"), made(bench_version="0.2").environment
    with pytest.raises(BenchError, match=r"other software than is here \(accelbench 0.1 -> 0.2\)"):
        same_machine(run, now, {"cpu"})
    old = Pass(
        label="1/1", run="1", number=1, created="1", host="h", commit=commits[0], settings=settings(run.environment)
    )
    assert "accelbench 0.1 -> 0.2" in baseline_commit(old, run, now, {"cpu"}, None)[1]
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()
    git("add", "."), git("commit", "-qm", "its own")
    run.environment.commit = git("rev-parse", "--short=12", "HEAD")
    same_machine(run, now, {"cpu"})


def test_what_was_committed_is_measured_as_it_was_whatever_is_here_now(made, commits, tmp_path):
    assert place(made(commit=commits[1]))[0].root is None
    assert place(made(commit=commits[0]))[1] == "one"
    (tmp_path / "code").write_text("repaired")
    found, text = place(made(commit=commits[1]))
    assert (found.root is None, text) == (False, "two")


def test_changes_that_were_not_committed_are_measured_only_where_they_are_still_here(made, commits, tmp_path):
    run = made(commit=f"{commits[1]}+", created="2026-11-21T00:00:10+00:00")
    with pytest.raises(BenchError, match=f"uncommitted changes to {commits[1]}, and {commits[1]} is here"):
        place(run)
    (tmp_path / "code").write_text("changed")
    started = 1795219210  # as above
    os.utime(tmp_path / "code", (started - 5, started - 5))
    assert place(run)[1] == "changed"
    os.utime(tmp_path / "code", (started + 5, started + 5))
    with pytest.raises(BenchError, match="code was edited since"):
        place(run)


def test_a_commit_without_its_repository_is_not_measured(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError, match="not in a repository here"):
        place(made(commit="0123456789ab"))


def test_the_baselines_code_is_that_of_the_newest_session_of_the_case_on_this_machine():
    def session(label, mark="here", commit="c0ffee"):
        return Pass(label=label, run=label, number=1, created=label, host="h", commit=commit, machines={"cpu": mark})

    held = Held(device="cpu", case_id=KEY[1], workload="tiny", metric=KEY[2], source="measured", dtype="bf16",
                definition_hash="a", values={name: Value(1, 1.0, 1.0, 1.0) for name in ("1", "2", "3", "5")})  # fmt: skip
    sessions = [session("1"), session("2"), session("3", mark="elsewhere"), session("4"), session("5", commit=None)]
    baseline = Gathered(sessions=sessions, cases=[held])
    assert reference(baseline, {KEY}, {"cpu": "here"}).label == "2"
    assert reference(baseline, {KEY}, {"cpu": "nowhere"}).label == "3"
    assert reference(baseline, {("cpu", "other", "step_s")}, {"cpu": "here"}) is None
