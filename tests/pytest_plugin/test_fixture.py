"""The fixture `bench`: a person's own step, the vocabulary's operators, and whose clock it is."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.results.store import load_run
from bench.workloads.routing import Routing
from bench.workloads.sweep import kernel_case, select_cases

from ..contract.fakes import TOOLS, environment

TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture
def tests(inner: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs tests on this CPU, a moment each."""

    def run(text: str, *words: str, **keys: Any) -> Any:
        (tmp_path / "test_mine.py").write_text(text)
        return inner("--bench-device", "cpu", "--bench-time", "0.05", "test_mine.py", *words, cwd=tmp_path, **keys)

    return run


MINE = """
import pytest

@pytest.mark.parametrize("n", [10, 1000])
def test_sort(bench, n):
    assert bench(sorted, range(n), reverse=True) == list(range(n - 1, -1, -1))
    assert bench.row.step_s > 0

@pytest.mark.benchmark(group="sums", timer=None)
def test_sum(bench):
    numbers = list(range(1000))
    assert bench.device == "cpu"
    bench.extra_info["mine"] = "kept"
    bench.time(lambda: sum(numbers), flops=999, read_bytes=8000, written_bytes=8, dtype="fp32", time_s=0.1)
    assert (bench.row.flops, bench.row.mfu, bench.row.dtype) == (999, None, "fp32")
"""


def test_ones_own_step_is_timed_and_its_answer_given_back(tests: Any) -> None:
    done = tests(MINE, "--benchmark-json=saved.json")
    assert done.code == 0, done.out
    assert "benchmark 'sums': 1 tests" in done.out
    ten, thousand, total = load_run(done.folder / "saved.json").rows
    assert ten.case_id == "test_mine.py::test_sort[10]"
    assert (ten.workload, ten.dtype, ten.definition) == (
        "test_mine.py::test_sort", "-", {"test": "test_mine.py::test_sort[10]"},
    )  # fmt: skip
    # A hundred times the numbers: more than ten times the time, on any machine.
    assert thousand.step_s > 10 * ten.step_s
    assert (total.flops, total.read_bytes, total.written_bytes, total.dtype) == (999, 8000, 8, "fp32")
    assert total.calls_per_sample > 1
    assert total.scope == "what the test calls, its operands as it leaves them: small ones stay in a cache"
    saved = done.saved("saved.json")
    assert [each["stats"]["data"] for each in saved["benchmarks"]] == [
        ten.samples_s,
        thousand.samples_s,
        total.samples_s,
    ]
    assert saved["benchmarks"][2]["extra_info"]["mine"] == "kept"
    assert saved["benchmarks"][2]["group"] == "sums"


def test_what_the_work_is_said_to_be_is_part_of_the_definition(tests: Any) -> None:
    text = "def test_it(bench):\n    bench.time(lambda: sum(range(99)), flops={})\n    print('is', bench.row.definition_hash)\n"
    told = [tests(text.format(flops), "-s").out.partition("is ")[2].split()[0] for flops in (98, 98, 99)]
    assert told[0] == told[1] != told[2]


WRONG = {
    "def test_it(bench):\n    bench(sum, [1])\n    bench(sum, [1])\n": "`bench` times one thing a test; parametrize the test, or write another",
    "def test_it(bench, benchmark):\n    bench(sum, [1])\n": "a test asks for `bench` or for `benchmark`, not for both: they have one timer",
    "def test_it(bench):\n    bench.operator('lineal', m=1)\n": "no operator 'lineal'; did you mean 'linear' or ",
    "def test_it(bench):\n    bench.operator('attention', m=1)\n": "no operator 'attention'; did you mean ",
    "def test_it(bench):\n    bench.kernel('gemm', m=1)\n": "kernel 'gemm' needs the dims ['k', 'm', 'n'], found ['m']",
    "def test_it(bench):\n    bench.kernel('gemm', m=0, n=1, k=1)\n": "gemm: m: '0' is not a positive whole number",
    "def test_it(bench):\n    bench.kernel('gemm', m=1, n=1, k=1, dtype='bf17')\n": "dtype is 'bf17'; known: fp32, ",
    "def test_it(bench):\n    bench.kernel('moe', m=1, hidden=8, inner=8, experts=2, top_k=3)\n": "top_k = 3 is more than experts = 2",
    "def test_it(bench):\n    bench.time(int, flops=-1)\n": "bench.time: flops is -1; a number is needed, 0 or more, or leave it out",
    "def test_it(bench):\n    bench.time(int, read_bytes=float('nan'))\n": "bench.time: read_bytes is nan; a number is needed, 0",
    "def test_it(bench):\n    bench.time(int, written_bytes='1k')\n": "bench.time: written_bytes is '1k'; a number is needed, 0",
    "def test_it(bench):\n    bench.time(int, time_s=0)\n": "bench.time: time_s is 0; a number is needed, above 0",
    "def test_it(bench):\n    bench(lambda: 1 / 0)\n": "ZeroDivisionError: division by zero",
}  # fmt: skip


def test_what_is_wrong_is_told_without_our_insides(inner: Any, tmp_path: Path) -> None:
    for index, text in enumerate(WRONG):
        (tmp_path / f"test_{index}.py").write_text(text)
    done = inner("--bench-device", "cpu", "--bench-time", "0.05", cwd=tmp_path)
    assert done.code == 1
    for message in WRONG.values():
        assert message in done.out
    assert "During handling" not in done.out
    assert "bench/measure" not in done.out
    assert "bench/pytest_plugin" not in done.out


def test_with_timings_switched_off_a_step_runs_once(tests: Any) -> None:
    text = "calls = []\ndef test_it(bench):\n    assert bench(calls.append, 1) is None\n    assert len(calls) == 1\n    assert bench.row.status == 'skipped'\n"
    done = tests(text, "--benchmark-disable")
    assert done.code == 0, done.out
    assert "not used" not in done.out


def test_a_clock_that_gives_no_time_fails_the_test_in_one_line(tests: Any, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from bench.devices.cpu import CpuAdapter\nCpuAdapter.time = lambda self, step, repeats: [float('nan')]\n"
    )
    done = tests("def test_it(bench):\n    bench(sum, [1])\n")
    assert done.code == 1
    assert "the clock of cpu gave nan s for a step; its adapter needs repair" in done.out
    assert "own_step" not in done.out


def test_without_pytest_benchmark_the_fixture_says_what_it_needs(tests: Any) -> None:
    done = tests("def test_it(bench):\n    pass\n", plugins=("bench.pytest_plugin",))
    assert done.code == 1
    assert "the fixture `bench` needs pytest-benchmark, which is not installed or switched off" in done.out


def test_nothing_is_loaded_before_it_is_asked_for(inner: Any, tmp_path: Path) -> None:
    heavy = ("torch", "numpy", "click", "msgspec", "rich", "psutil", "bench.results.record")
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        f"    assert [name for name in {heavy} if name in sys.modules] == []\n"
        "    assert 'bench.pytest_plugin' in sys.modules\n"
    )
    done = inner(cwd=tmp_path, plugins=("bench.pytest_plugin",))
    assert done.code == 0, done.out


# -- the vocabulary ---------------------------------------------------------------------------------------------------------


def test_an_operator_is_the_case_that_bench_run_would_measure() -> None:
    shipped = select_cases(["gemm"])[0]
    made = kernel_case("gemm", shipped.dims, shipped.dtype, Routing(), 1.0)
    assert (made.case_id, made.definition_hash) == (shipped.case_id, shipped.definition_hash)


OPERATORS = """
import pytest

@pytest.mark.parametrize("m", [1, 3])
def test_linear(bench, m):
    row = bench.operator("linear", m=m, n="1k", k=64)
    assert row is bench.row
    assert row.correct
    assert row.flops == 2 * m * 1024 * 64

def test_experts(bench):
    row = bench.kernel("moe", m=4, hidden=64, inner=32, experts=8, top_k=2, dtype="fp32", routing="k-hot:2")
    assert row.imbalance == 4

def test_fp8(bench):
    bench.operator("linear", m=1, n=64, k=64, dtype="fp8")
"""


@pytest.mark.slow
@pytest.mark.skipif(not TORCH, reason="torch is not installed")
def test_operators_run_in_a_worker_checked(tests: Any) -> None:
    done = tests(OPERATORS, "--benchmark-json=saved.json", "-rs")
    assert done.code == 0, done.out
    assert "3 passed, 1 skipped" in done.out
    assert "unsupported: dtype fp8 has no path on cpu here" in done.out
    rows = load_run(done.folder / "saved.json").rows
    assert [row.case_id for row in rows] == [
        "gemm[m=1,n=1k,k=64,bf16]", "gemm[m=3,n=1k,k=64,bf16]",
        "moe[m=4,hidden=64,inner=32,experts=8,top=2,fp32,2-hot]",
    ]  # fmt: skip


ASYNCHRONOUS = """
import torch

def product(bench, **how):
    x = torch.ones(64, 64, dtype=torch.bfloat16, device=bench.device)
    answer = bench.time(lambda: x @ x, flops=2 * 64**3, read_bytes=16384, written_bytes=8192, dtype="bf16", **how)
    assert answer.cpu()[0, 0] == 64

def test_graph(bench):
    product(bench)
    assert bench.row.launch == "graph"
    assert 0 < bench.row.mfu < 1

def test_eager(bench):
    product(bench, graph=False)
    assert bench.row.launch == "eager"

def test_host(benchmark):
    x = torch.ones(64, 64, dtype=torch.bfloat16, device="npu:0")
    benchmark.pedantic(lambda: x @ x, rounds=20)

def test_linear(bench):
    assert bench.operator("linear", m=4, n=64, k=64).device == "npu:0"
"""


@pytest.mark.slow
@pytest.mark.skipif(not TORCH, reason="torch is not installed")
def test_an_accelerators_time_is_its_own_and_not_that_of_launching(inner: Any, tmp_path: Path) -> None:
    """On a fake Ascend whose kernels take 10 ms and are not waited for."""
    env = environment("torch_npu", tmp_path / "plugins")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "npu-smi").symlink_to(TOOLS / "npu-smi")
    (tmp_path / "test_mine.py").write_text(ASYNCHRONOUS)
    done = inner(
        "test_mine.py", "--bench-time", "0.2", "--benchmark-json=saved.json", cwd=tmp_path,
        **{key: value for key, value in env.items() if os.environ.get(key) != value},
        PATH=f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}",
        FAKE_OP_SECONDS="0.01", FAKE_CACHE_BYTES="64", FAKE_MEMORY_BYTES="64000000000",
    )  # fmt: skip
    assert done.code == 0, done.out
    medians = {each["name"]: each["stats"]["median"] for each in done.saved("saved.json")["benchmarks"]}
    host = medians.pop("test_host")
    assert medians == pytest.approx(dict.fromkeys(("test_graph", "test_eager", "test_linear"), 0.01), rel=0.05)
    # What the host's clock calls the time of the same product is that of asking for it.
    assert host < 0.005
