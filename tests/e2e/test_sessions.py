"""bench run --sessions: every case in each, in processes of their own; tables of one row a case, files of every row."""

from __future__ import annotations

import csv
import io
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slow

Bench = Callable[..., Any]
CASES = [f"tiny[m={m},n=64,k=64,bf16]" for m in (1, 2, 3, 4)]
# Four cases and three sessions: each session begins one case later.
ORDER = [(1, m) for m in (0, 1, 2, 3)] + [(2, m) for m in (1, 2, 3, 0)] + [(3, m) for m in (2, 3, 0, 1)]


def did(rows: list[Any]) -> list[tuple[int, int]]:
    """Return (session, number of the case) of each row."""
    return [(row["session"], CASES.index(row["case_id"])) for row in rows]


def journal_rows(going: Any) -> list[Any]:
    (journal,) = going.runs.glob("*.jsonl")
    return [json.loads(line)["row"] for line in journal.read_bytes().split(b"\n")[1:-1]]


def body(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("tiny[")]


def test_every_case_is_measured_in_every_session_in_turned_order(sessions: Any) -> None:
    assert sessions.code == 0
    assert did(sessions.json["rows"]) == ORDER
    assert {row["status"] for row in sessions.json["rows"]} == {"ok"}
    (file,) = sessions.run_files
    assert json.loads(file.read_text()) == sessions.json


def test_the_file_has_the_plan_once_and_the_number_of_sessions(sessions: Any) -> None:
    assert len(sessions.json["planned"]) == 4
    assert (sessions.json["environment"]["sessions"], sessions.json["schema"]) == (3, 3)
    assert all(row["samples_s"] and row["sessions"] == 1 for row in sessions.json["rows"])


def test_progress_names_the_session(sessions: Any) -> None:
    assert "plan    4 cases in 3 sessions, about " in sessions.err
    assert " 1/12  session 1/3  ok          tiny[m=1," in sessions.err
    assert "12/12  session 3/3  ok          tiny[m=2," in sessions.err
    assert "\n12 measured" in sessions.err
    assert "; 3 sessions. " in sessions.err


def test_each_session_has_a_server_and_each_case_a_process_of_its_own(
    start: Callable[..., Any], until: Callable[..., None], tiny: str
) -> None:
    going = start("run", tiny, "--sessions", "3", "--time", "0.5")
    servers: set[int] = set()
    workers: set[int] = set()

    def ended() -> bool:
        for child in psutil.Process(going.process.pid).children():
            try:
                forked = {worker.pid for worker in child.children()}
            except psutil.Error:
                continue
            workers.update(forked)
            servers.update({child.pid} if forked else ())
        return going.process.poll() is not None

    until(ended, "the run to end")
    assert going.wait().code == 0
    assert (len(servers), len(workers)) == (3, 12)


def test_tables_markdown_and_csv_have_one_row_a_case(bench: Bench, tiny: str) -> None:
    words = ("run", tiny, "--sessions", "3", "--time", "0.05")
    table = bench(*words, "-q")
    assert (table.code, [line.split()[0] for line in body(table.out)]) == (0, CASES)
    assert "3 sessions, one row a case: +- is the 95 % interval between sessions" in table.out
    assert "inside one process" not in table.out
    markdown = bench(*words, "-q", "--format", "md").out
    assert sum(line.startswith("| tiny[") for line in markdown.splitlines()) == 4
    rows = list(csv.DictReader(io.StringIO(bench(*words, "-q", "--format", "csv").out)))
    assert [row["case_id"] for row in rows] == CASES
    assert {row["sessions"] for row in rows} == {"3"}
    assert all(float(row["interval_low_s"]) < float(row["step_s"]) < float(row["interval_high_s"]) for row in rows)
    lines = bench(*words, "-q", "--format", "jsonl").out.splitlines()
    assert did([json.loads(line) for line in lines]) == ORDER


def test_explain_lists_each_session(bench: Bench, sessions: Any) -> None:
    (file,) = sessions.run_files
    rows = [row for row in sessions.json["rows"] if row["case_id"] == CASES[1]]
    done = bench("explain", CASES[1], "--run", str(file))
    assert "geometric mean of 3 sessions' medians" in done.out
    (line,) = [line for line in done.out.splitlines() if line.strip().startswith("sessions")]
    assert [part.split(":")[0].split()[-1] for part in line.split(",")] == ["1", "2", "3"]
    assert json.loads(bench("explain", CASES[1], "--run", str(file), "--format", "json").out) == rows
    # A part of the name finds the first case that has it, with all its sessions.
    assert len(json.loads(bench("explain", "m=2", "--run", str(file), "--format", "json").out)) == 3


def test_two_runs_of_sessions_are_compared_by_their_means(bench: Bench, tiny: str, sessions: Any) -> None:
    bench("run", tiny, "--sessions", "2", "--time", "0.05", "-q")
    (before,), folder = sessions.run_files, Path("results/runs")
    after = next((bench("workloads").folder / folder).glob("*.json"))
    done = bench("compare", str(before), str(after), "--format", "json")
    assert done.code == 0
    lines = done.json["lines"]
    assert [line["case_id"] for line in lines] == CASES
    times = [row["step_s"] for row in sessions.json["rows"] if row["case_id"] == CASES[0]]
    assert lines[0]["a"] == pytest.approx(math.prod(times) ** (1 / 3))
    assert all(line["interval"] is not None for line in lines)


def test_kill_9_in_the_second_session_and_resume_does_the_rest_once(
    start: Callable[..., Any], until: Callable[..., None], bench: Bench, tiny: str
) -> None:
    going = start("run", tiny, "--sessions", "3")
    until(lambda: going.rows() >= 5, "a row of the second session")
    done = going.end(signal.SIGKILL)
    assert (done.code, done.out) == (-signal.SIGKILL, "")
    before = journal_rows(going)
    assert did(before) == ORDER[: len(before)]
    assert before[-1]["session"] == 2
    until(lambda: going.alive() == [], "the workers to end by themselves", seconds=15)

    resumed = bench("run", "--resume", "--format", "json")
    assert resumed.code == 0
    assert f"{len(before)} rows kept, {12 - len(before)} cases left" in resumed.err
    assert f"{len(before) + 1:>2}/12  session 2/3" in resumed.err or len(before) == 8
    assert did(resumed.json["rows"]) == ORDER
    assert resumed.json["rows"][: len(before)] == before
    assert resumed.json["complete"] is True


def test_ctrl_c_in_the_second_session_saves_and_shows_what_is_finished(
    start: Callable[..., Any], until: Callable[..., None], bench: Bench, tiny: str
) -> None:
    going = start("run", tiny, "--sessions", "2", "--time", "1")
    until(lambda: going.rows() >= 5, "a row of the second session")
    done = going.end(signal.SIGINT, group=True)
    assert done.code == 130
    assert "Traceback" not in done.err
    assert [line.split()[0] for line in body(done.out)] == CASES
    # Of a case that only the first session has, the interval is that of its process.
    assert "2 sessions, one row a case" in done.out
    assert "inside one process" in done.out
    until(lambda: going.alive() == [], "the workers to end", seconds=15)
    before = journal_rows(going)
    assert bench("run", "--resume", "-q").code == 0
    (file,) = going.runs.iterdir()
    after = json.loads(file.read_text())["rows"]
    assert after[: len(before)] == before
    assert did(after) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 0), (2, 1)]


def test_ctrl_c_between_two_sessions_is_as_quiet(
    start: Callable[..., Any], until: Callable[..., None], tiny: str
) -> None:
    going = start("run", tiny, "--sessions", "2", "--time", "0.05")
    # The fourth row ends the first session: now its server is stopped, and the next one loads torch.
    until(lambda: going.rows() >= 4, "the first session")
    done = going.end(signal.SIGINT, group=True)
    assert done.code in (130, 0)  # 0: it was over before the signal came
    assert "Traceback" not in done.err
    until(lambda: going.alive() == [], "the workers to end", seconds=15)


def test_a_case_that_fails_in_every_session_is_a_row_in_each_and_exit_code_4(
    bench: Bench, define: Callable[[str, str], Path], tiny: str
) -> None:
    text = (
        'summary = "Long"\nphase = "kernel"\nkernel = "gemm"\npoints = [{ m = 512, n = 512, k = 512 }]\ntime_s = 60.0\n'
    )
    define("workloads/long.toml", text)
    done = bench("run", "long", tiny, "--sessions", "2", "--limit", "2", "--format", "jsonl")
    assert done.code == 4
    rows = [json.loads(line) for line in done.out.splitlines()]
    # Five cases, two sessions: the second begins with the third case.
    assert [row["case_id"].split("[")[0] for row in rows] == ["long", *["tiny"] * 4, *["tiny"] * 3, "long", "tiny"]
    assert [row["status"] for row in rows if row["workload"] == "long"] == ["timeout", "timeout"]


def test_sessions_of_a_sheet_are_one(bench: Bench) -> None:
    done = bench("run", "rms-norm", "-d", "h100-sxm", "--sessions", "3", "--format", "json")
    assert (done.code, len(done.json["rows"]), done.json["environment"]["sessions"]) == (0, 3, 1)
    assert "! nothing is measured: one session, any other would come out the same" in done.err


@pytest.mark.parametrize("words", [("--sessions", "0"), ("--sessions", "two"), ("--resume", "--sessions", "2")])
def test_a_number_of_sessions_that_cannot_be_is_refused(words: tuple[str, ...], bench: Bench) -> None:
    done = bench("run", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "sessions" in done.err
