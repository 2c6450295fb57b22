"""A run that is cut off loses nothing that was finished, leaves nothing running, and can be gone on with."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

IDS = ["tiny[m=1,n=64,k=64,bf16]", "tiny[m=2,n=64,k=64,bf16]", "tiny[m=3,n=64,k=64,bf16]", "tiny[m=4,n=64,k=64,bf16]"]

# One case that would go on for a minute.
LONG = """
summary = "A product timed for long"
phase = "kernel"
kernel = "gemm"
points = [{ m = 512, n = 512, k = 512 }]
time_s = 60.0
"""


def _finished(going: Any) -> list[Any]:
    (journal,) = going.runs.glob("*.jsonl")
    lines = journal.read_bytes().split(b"\n")
    return [json.loads(line)["row"] for line in lines[1:-1]]


def _complete(runs: Path) -> Any:
    """Return the one complete run file; there is no journal beside it."""
    (file,) = runs.iterdir()
    assert file.suffix == ".json"
    content = json.loads(file.read_text())
    assert content["complete"] is True
    return content


def test_kill_9_loses_only_the_case_in_flight_and_resume_does_the_rest_once(
    start: Callable[..., Any], until: Callable[..., None], bench: Callable[..., Any], tiny: str
) -> None:
    going = start("run", tiny)
    until(lambda: going.rows() >= 2, "two rows in the journal")
    done = going.end(signal.SIGKILL)
    assert (done.code, done.out) == (-signal.SIGKILL, "")
    before = _finished(going)
    assert [row["case_id"] for row in before] == IDS[: len(before)]

    resumed = bench("run", "--resume", "--format", "json")
    assert resumed.code == 0
    assert f"{len(before)} rows kept, {4 - len(before)} cases left" in resumed.err
    after = _complete(going.runs)
    assert [row["case_id"] for row in after["rows"]] == IDS
    assert after["rows"][: len(before)] == before
    assert {row["status"] for row in after["rows"]} == {"ok"}
    assert resumed.json == after


def test_no_worker_outlives_a_run_that_was_killed(
    start: Callable[..., Any], until: Callable[..., None], define: Callable[[str, str], Path]
) -> None:
    define("workloads/long.toml", LONG)
    going = start("run", "long")
    until(lambda: going.workers() >= 3, "a worker")
    done = going.end(signal.SIGKILL)
    until(lambda: going.alive() == [], "the workers to end by themselves", seconds=15)
    assert "Traceback" not in done.err


def test_ctrl_c_exits_130_with_everything_finished_saved_and_shown(
    start: Callable[..., Any], until: Callable[..., None], bench: Callable[..., Any], tiny: str
) -> None:
    going = start("run", tiny, "--format", "json")
    until(lambda: going.rows() >= 1, "a row in the journal")
    done = going.end(signal.SIGINT, group=True)
    assert done.code == 130
    assert "Traceback" not in done.err
    before = _finished(going)
    assert [row["case_id"] for row in json.loads(done.out)["rows"]] == [row["case_id"] for row in before]
    hint = done.err.splitlines()[-1]
    assert hint.startswith("interrupted; saved results/runs/")
    command = hint.partition("Go on with: bench ")[2].split()
    assert command[:2] == ["run", "--resume"]
    until(lambda: going.alive() == [], "the workers to end", seconds=15)

    assert bench(*command).code == 0
    after = _complete(going.runs)
    assert [row["case_id"] for row in after["rows"]] == IDS
    assert after["rows"][: len(before)] == before


def test_ctrl_c_before_the_first_case_is_as_quiet(
    start: Callable[..., Any], until: Callable[..., None], tiny: str
) -> None:
    going = start("run", tiny)
    until(lambda: going.rows() == 0 and going.workers() >= 2, "a journal and the server of workers")
    done = going.end(signal.SIGINT, group=True)
    assert done.code == 130
    assert "Traceback" not in done.err
    assert "interrupted; saved" in done.err
    assert done.out == ""
    until(lambda: going.alive() == [], "the server to end", seconds=30)


@pytest.mark.parametrize("group", [False, True])
def test_a_run_that_is_asked_to_end_loses_nothing(
    start: Callable[..., Any], until: Callable[..., None], bench: Callable[..., Any], tiny: str, group: bool
) -> None:
    going = start("run", tiny)
    until(lambda: going.rows() >= 1, "a row in the journal")
    done = going.end(signal.SIGTERM, group=group)
    assert done.code == 143
    assert "Traceback" not in done.err
    assert "interrupted; saved results/runs/" in done.err.splitlines()[-1]
    assert "Go on with: bench run --resume results/runs/" in done.err.splitlines()[-1]
    before = _finished(going)
    until(lambda: going.alive() == [], "the workers to end", seconds=15)
    assert bench("run", "--resume", "-q").code == 0
    after = _complete(going.runs)
    assert after["rows"][: len(before)] == before
    assert len(after["rows"]) == 4


def test_a_half_written_last_line_is_measured_again(
    start: Callable[..., Any], until: Callable[..., None], bench: Callable[..., Any], tiny: str
) -> None:
    going = start("run", tiny)
    until(lambda: going.rows() >= 1, "a row in the journal")
    going.end(signal.SIGKILL)
    before = _finished(going)
    (journal,) = going.runs.glob("*.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"row":{"case_id":"tiny[m=')
    assert bench("run", "--resume", str(journal), "-q").code == 0
    after = _complete(going.runs)
    assert [row["case_id"] for row in after["rows"]] == IDS
    assert after["rows"][: len(before)] == before


def test_two_runs_at_once_in_one_folder_give_two_complete_files(
    start: Callable[..., Any], tmp_path: Path, tiny: str, define: Callable[[str, str], Path]
) -> None:
    first = start("run", tiny, "--time", "0.05")
    second = start("run", tiny, "--time", "0.05")
    assert (first.wait().code, second.wait().code) == (0, 0)
    files = sorted((tmp_path / "results" / "runs").iterdir())
    assert [file.suffix for file in files] == [".json", ".json"]
    for file in files:
        assert [row["case_id"] for row in json.loads(file.read_text())["rows"]] == IDS


def test_resume_takes_neither_workloads_nor_flags_that_the_run_was_not_planned_with(
    bench: Callable[..., Any], tiny: str
) -> None:
    for words, told in (
        (("gemm", "--resume"), "its journal decides workloads; leave that out, or start a new run without --resume"),
        (("--resume", "--batch", "2"), "decides --batch; leave that out"),
        (("--resume", "-d", "h100-sxm"), "decides --device; leave that out"),
        (
            ("--resume", "--time", "2", "--sessions", "3", "--check"),
            "decides --time, --sessions, --check; leave that out",
        ),
        (("--resume", "--dry-run"), "--dry-run plans anew"),
    ):
        done = bench("run", *words)
        assert done.code == 2
        assert done.err.startswith("error: --resume goes on as the run was planned")
        assert told in done.err


def test_resume_without_anything_to_go_on_with_says_so(bench: Callable[..., Any]) -> None:
    done = bench("run", "--resume")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: results/runs: no interrupted run to resume; start one with: bench run\n"


def test_a_run_that_is_still_going_on_is_not_resumed_by_another(
    start: Callable[..., Any], until: Callable[..., None], bench: Callable[..., Any], tiny: str
) -> None:
    going = start("run", tiny)
    until(lambda: going.rows() >= 1, "a row in the journal")
    done = bench("run", "--resume")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "another bench is writing this run" in done.err
    assert going.wait().code == 0
    assert [row["case_id"] for row in _complete(going.runs)["rows"]] == IDS
