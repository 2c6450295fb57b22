"""`pytest --bench-suite`: cases as tests, their samples as pytest-benchmark's, and what it does with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bench.pytest_plugin.recorder import _kept_environment
from bench.results.machine import fingerprint
from bench.results.store import load_run

PLUGINS = ("pytest_benchmark.plugin", "bench.pytest_plugin")
CASES = [f"tiny[m={m},n=64,k=64,bf16]" for m in (1, 2, 3, 4)]
OWN = """
def test_own():
    pass
"""


def _lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_each_case_is_a_test_that_passes_skips_or_fails_with_its_reason(suite: Any) -> None:
    done = suite("-rA", WRONG="2=unsupported,3=oom,4=error")
    assert done.code == 1
    assert _lines(done.out, "PASSED") == ["PASSED bench/cpu::tiny[m=1,n=64,k=64,bf16]"]
    assert [line.partition(": ")[2] for line in _lines(done.out, "SKIPPED")] == ["unsupported: as was said of m=2"]
    assert _lines(done.out, "FAILED") == [
        "FAILED bench/cpu::tiny[m=3,n=64,k=64,bf16] - Failed: oom: as was said of m=3",
        "FAILED bench/cpu::tiny[m=4,n=64,k=64,bf16] - Failed: error: as was said of m=4",
    ]
    assert "Traceback" not in done.out
    assert "was not used" not in done.out
    assert "bench: tiny on cpu, 4 cases, 800 ms of timing" in done.out
    assert "benchmark 'tiny': 1 tests" in done.out


def test_pytest_benchmark_holds_the_samples_themselves_and_bench_reads_them_as_a_run(suite: Any) -> None:
    done = suite("--benchmark-json", "saved.json")
    assert done.code == 0, done.out
    saved = done.saved("saved.json")
    assert [each["fullname"] for each in saved["benchmarks"]] == [f"bench/cpu::{case}" for case in CASES]
    third = saved["benchmarks"][2]
    assert third["stats"]["data"] == [3 / 1024, 3.75 / 1024, 2.25 / 1024]
    assert third["stats"]["median"] == 3 / 1024
    assert (third["group"], third["options"]["timer"]) == ("tiny", "device_clock")
    assert third["extra_info"]["flops"] == 8192.0
    assert third["extra_info"]["mfu"] is None
    run = load_run(done.folder / "saved.json")
    assert [(row.case_id, row.step_s, row.samples_s) for row in run.rows][2] == (
        CASES[2], 3 / 1024, [3 / 1024, 3.75 / 1024, 2.25 / 1024],
    )  # fmt: skip
    assert [row.definition_hash for row in run.rows] == [
        each["extra_info"]["definition_hash"] for each in saved["benchmarks"]
    ]
    assert fingerprint(run.environment, "cpu") == third["extra_info"]["fingerprint"]
    assert run.environment.devices["cpu"]["name"] == run.environment.cpu


@pytest.mark.slow
def test_what_was_saved_is_compared_with_and_a_slower_run_fails(suite: Any) -> None:
    assert suite("--benchmark-autosave").code == 0
    words = ("--benchmark-compare", "--benchmark-compare-fail=median:50%")
    same = suite(*words)
    assert same.code == 0, same.out
    assert "tiny[m=2,n=64,k=64,bf16] (NOW)" in same.out
    slower = suite(*words, SLOWER="2")
    assert slower.code == 1
    assert "Performance has regressed" in slower.out + slower.err
    (saved,) = (same.folder / ".benchmarks").rglob("*.json")
    # Saved without samples: the median stands for them.
    assert [row.samples_s for row in load_run(saved).rows] == [[m / 1024] for m in (1, 2, 3, 4)]


def test_histograms_are_drawn(suite: Any) -> None:
    done = suite("--benchmark-histogram", "drawn/of")
    assert done.code == 0
    assert (done.folder / "drawn" / "of-tiny.svg").read_text().count("tiny[m=") >= 4


def test_tests_are_listed_chosen_and_stopped_at_as_any(suite: Any) -> None:
    listed = suite("--co", "-q")
    assert listed.out.splitlines()[:4] == [f"bench/cpu::{case}" for case in CASES]
    stopped = suite("-x", "--durations=1", WRONG="2=timeout")
    assert "1 failed, 1 passed" in stopped.out
    assert "slowest 1 durations" in stopped.out
    left = suite("-q", "-k", "tiny and not fp32", "--deselect", f"bench/cpu::{CASES[0]}")
    assert "3 passed, 1 deselected" in left.out


def test_without_paths_only_the_suite_runs_with_paths_their_tests_come_first(suite: Any, folder: Path) -> None:
    (folder / "test_own.py").write_text(OWN)
    assert "4 passed" in suite("-q").out
    both = suite("-v", "test_own.py")
    assert "5 passed" in both.out
    ran = [line.split()[0] for line in both.out.splitlines() if " PASSED" in line]
    assert ran == ["test_own.py::test_own", *(f"bench/cpu::{case}" for case in CASES)]


def test_a_projects_own_fixtures_do_not_get_in_the_way(suite: Any, folder: Path) -> None:
    with (folder / "conftest.py").open("a") as file:
        file.write(
            "\nimport pytest\n"
            "@pytest.fixture\ndef bench(): return 3\n"
            "@pytest.fixture(autouse=True, scope='module')\ndef each_module(request): assert request.module\n"
        )
    (folder / "test_own.py").write_text("def test_own(bench):\n    assert bench == 3\n")
    assert "5 passed" in suite("test_own.py").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bench-device", "h100-sxm"), "--bench-device: 'h100-sxm' is not on this machine, and a test is a timing: its"
         " sheet can be modelled with bench run -d h100-sxm"),
        (("--bench-device", "cuda:7"), "--bench-device: device 'cuda:7' is not on this machine; here: cpu"),
        (("--bench-suite", ""), "--bench-suite '': names nothing; write suites or workloads: smoke, or 'gemm,llama*'"),
        (("--bench-suite", " ,"), "--bench-suite ' ,': names nothing"),
        (("--bench-suite", "tinny"), "unknown workload or suite 'tinny'; did you mean 'tiny'"),
        (("--bench-sweep", "bath=1"), "--bench-sweep: 'bath' is no axis; did you mean 'batch'? (write batch=1,8)"),
        (("--bench-sweep", "batch=x"), "--bench-sweep batch: 'x' is not a positive whole number"),
        (("--bench-sweep", "batch=2"), "--batch: none of the chosen workloads has it"),
        (("--bench-time", "0.001"), "--bench-time: 0.001 s is not between 0.05 and 3600"),
        (("--bench-time", "nan"), "--bench-time: nan s is not between 0.05 and 3600"),
        ((), "--bench-suite needs pytest-benchmark, which is not installed or switched off"),
    ],
)  # fmt: skip
def test_what_cannot_be_met_is_told_before_anything_runs(suite: Any, words: tuple[str, ...], message: str) -> None:
    done = suite(*words) if words else suite(plugins=("bench.pytest_plugin",))
    assert done.code == 4
    assert done.err.startswith(f"ERROR: {message}")
    assert len(done.err.strip().splitlines()) == 1


def test_what_is_swept_replaces_the_suites_own_values(inner: Any, folder: Path) -> None:
    done = inner(
        "--bench-suite", "mini-dense-decode", "--bench-device", "cpu", "--co", "-q",
        "--bench-sweep", "batch=1,4", "--bench-sweep", "context=1k", "--bench-sweep", "dtype=fp32", cwd=folder,
    )  # fmt: skip
    assert done.out.splitlines()[:2] == [
        "bench/cpu::mini-dense-decode[b=1,ctx=1k,fp32]",
        "bench/cpu::mini-dense-decode[b=4,ctx=1k,fp32]",
    ]


def test_with_timings_switched_off_a_case_still_has_to_work(suite: Any) -> None:
    done = suite("--benchmark-disable", "--benchmark-json=x.json", WRONG="3=invalid")
    assert "1 failed, 3 passed" in done.out
    assert not (done.folder / "x.json").exists()
    assert "4 skipped" in suite("--benchmark-skip").out


@pytest.mark.slow
def test_in_several_processes_nothing_is_timed(suite: Any) -> None:
    done = suite("-n", "2", "--benchmark-json=x.json", plugins=(*PLUGINS, "xdist.plugin"))
    assert "4 passed" in done.out
    assert not (done.folder / "x.json").exists()


def test_what_starting_workers_sets_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "as it was")
    before = dict(os.environ)
    with _kept_environment():
        os.environ["GLIBC_TUNABLES"] = "of the workers"
        os.environ["KEPT"] = "changed"
    assert dict(os.environ) == before
