"""bench export with the real command, and the tools that read what it writes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parents[1] / "data" / "pytest_benchmark"


def _their_compare(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", *words],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def runs(bench: Callable[..., Any], measured: Any, tmp_path: Path) -> list[Any]:
    """Put a measured run into this test's own folder; return its rows."""
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)
    shutil.copy(measured.run_files[0], folder)
    return measured.json["rows"]


@pytest.mark.slow
def test_an_exported_run_is_read_by_pytest_benchmark_and_by_bench(
    bench: Callable[..., Any], runs: Any, tmp_path: Path
) -> None:
    done = bench("export", "--format", "pytest-benchmark", "-o", "made/here.json")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"Wrote made/here.json: {len(runs)} of {len(runs)} rows of results/runs/")
    shown = _their_compare(tmp_path, "made/here.json")
    for row in runs:
        assert row["case_id"] in shown
    source = next((tmp_path / "results" / "runs").glob("*.json"))
    back = bench("export", "made/here.json", "--format", "json").json
    assert back["environment"] == json.loads(source.read_text())["environment"]
    assert [{**row, "id": 0} for row in back["rows"]] == [{**row, "id": 0} for row in runs]
    beside = bench("compare", "made/here.json", str(source))
    assert beside.code == 0
    assert "not the same on all sides" not in beside.out


@pytest.mark.slow
def test_csv_is_the_default_and_has_every_row(bench: Callable[..., Any], runs: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("export").out)))
    assert [row["case_id"] for row in rows] == [row["case_id"] for row in runs]
    assert {row["source"] for row in rows} == {"measured"}
    lines = bench("export", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["case_id"] for line in lines] == [row["case_id"] for row in runs]


def test_what_was_modelled_is_no_timing(bench: Callable[..., Any], modelled: Any, tmp_path: Path) -> None:
    file = str(modelled.run_files[0])
    rows = modelled.json["rows"]
    done = bench("export", file, "--format", "pytest-benchmark", "-o", "x.json")
    assert done.code == 2
    assert not (tmp_path / "x.json").exists()
    assert done.err.splitlines()[0] == f"left out  {rows[0]['case_id']} on h100-sxm: modelled: no timing"
    assert done.err.splitlines()[-1].startswith("error: ")
    assert "holds nothing that pytest-benchmark could hold" in done.err
    assert {row["source"] for row in csv.DictReader(io.StringIO(bench("export", file).out))} == {"modelled"}


def test_another_projects_tests_are_compared_and_explained(bench: Callable[..., Any]) -> None:
    files = [str(RECORDED / f"{version}.json") for version in ("4.0.0", "5.3.1")]
    done = bench("compare", *files)
    assert done.code == 0, done.err
    assert "test_sorting.py::test_sort[1000]" in done.out
    assert "accelbench: pytest-benchmark 4.0.0 | pytest-benchmark 5.3.1" in done.out
    done = bench("explain", "test_sorting.py::test_sort[10]", "--run", files[0])
    assert "covers       what the test calls, by the host's clock" in done.out
    assert "median of 7 samples" in done.out


def test_a_test_is_not_modelled(bench: Callable[..., Any]) -> None:
    done = bench("compare", str(RECORDED / "5.3.1.json"), "h100-sxm")
    assert done.code == 2
    assert done.err.endswith("5.3.1.json: holds tests only, which cannot be modelled; compare it with a file\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "results/runs: no run files; make one with: bench run"),
        (("missing.json",), "missing.json: cannot be read (no such file or directory)"),
        (("broken.json",), "broken.json: not readable as JSON"),
        (("empty.json", "--format", "pytest-benchmark"), "empty.json: holds nothing that pytest-benchmark could hold"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(
    bench: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "broken.json").write_text('{"machine_info": 1, "benchmarks": [')
    (tmp_path / "empty.json").write_text(
        json.dumps({"machine_info": {}, "benchmarks": [], "datetime": "2026-11-22T12:00:00Z", "version": "5.0.0"})
    )
    done = bench("export", *words)
    assert done.code == 2
    assert done.err.startswith(f"error: {message}")
    assert done.err.count("\n") == 1


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(
    bench: Callable[..., Any], modelled: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    done = bench("export", str(modelled.run_files[0]), "-o", "file/x.csv")
    assert done.code == 2
    assert done.err.startswith("error: file/x.csv: cannot be written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_what_a_test_says_of_its_work_is_told_as_its_own(bench: Callable[..., Any], tmp_path: Path) -> None:
    saved = json.loads((RECORDED / "5.3.1.json").read_text())
    run = bench("export", str(RECORDED / "5.3.1.json"), "--format", "json").json
    run["rows"] = run["rows"][:1]
    run["rows"][0] |= {"read_bytes": 2e6, "written_bytes": 1e6}
    (tmp_path / "run.json").write_text(json.dumps(run))
    done = bench("explain", saved["benchmarks"][0]["fullname"], "--run", "run.json")
    assert "work         -, reads 2.00 MB, writes 1.00 MB (told by the test)" in done.out


def test_tests_of_another_project_are_judged_against_a_baseline_of_theirs(bench: Callable[..., Any]) -> None:
    saved = bench("baseline", "save", "theirs", str(RECORDED / "4.0.0.json"), str(RECORDED / "5.0.0.json"))
    assert "3 cases, 2 sessions of 2 sittings" in saved.out
    done = bench("check", str(RECORDED / "5.3.1.json"), "--baseline", "theirs")
    assert done.code == 0, done.err
    assert "2 of 5 baseline sessions" in done.out
    assert "test_sorting.py::test_sort[1000] step_s" in done.out
