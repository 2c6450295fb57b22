"""One check as a whole: what is kept where its second look is interrupted."""

from __future__ import annotations

import json
import os
import signal

import msgspec
import pytest

from bench.commands import checking
from bench.commands.checking import INTERRUPTED, Asked, Request, check_runs
from bench.commands.publishing import publish
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import Baseline
from bench.results.gate.gather import gather
from bench.results.record import Run

CASE = "tiny[m=1]"
ASKED = Request((), (), 0.05, 0.01, ("regressed",))


@pytest.fixture
def slower(tmp_path, monkeypatch, row, environment):
    """A baseline of eight sessions, and a run that is 30 % slower."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_RESULTS", raising=False)

    def run(run_id, times):
        rows = [row(case_id=CASE, workload="tiny", session=i + 1, step_s=s, samples_s=[s]) for i, s in enumerate(times)]
        return Run(
            id=run_id,
            environment=environment(created=f"2026-11-21T{run_id}", devices={"cpu": {"name": "x"}}),
            rows=rows,
        )

    one = Baseline(name="main")
    one.add(gather(run("1", [1.0, 1.001, 0.999, 1.002, 0.998, 1.0, 1.001, 0.999]))[0])
    stored.save(one, stored.path_of("main"))
    (tmp_path / "results" / "runs").mkdir()
    (tmp_path / "results" / "runs" / "2.json").write_bytes(msgspec.json.encode(run("2", [1.3])))
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_second_look_keeps_the_first(slower, monkeypatch, number):
    def interrupted(*_):
        os.kill(os.getpid(), number)

    monkeypatch.setattr(checking, "look_again", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    checked = check_runs(ASKED, Asked(600.0))
    assert signal.getsignal(signal.SIGTERM) is before
    assert INTERRUPTED in checked.notes
    assert checked.exit_code == 130
    (found,) = checked.findings
    assert (found.verdict, found.confirmed, found.alarm) == ("regressed", "not run", True)
    assert found.reason.endswith(INTERRUPTED)
    publish(checked, "md", [], every=False, no_color=True, quiet=True)
    kept = json.loads((slower / "results" / "checks" / "2.json").read_text())
    assert kept["findings"][0]["verdict"] == "regressed"
