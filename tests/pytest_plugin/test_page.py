"""docs/pytest.md: its tests pass, its lines run, and its tables name what there is."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.pytest_plugin import pytest_addoption
from bench.pytest_plugin.fixture import Bench

PAGE = (Path(__file__).parents[2] / "docs" / "pytest.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
PROGRAMS = {"bench": "bench", "pytest": "pytest", "pytest-benchmark": "pytest_benchmark"}

# What the page's lines measure, made small: a person's own folder comes first.
SMALL = """
summary = "As on the page, but small"
phase = "kernel"
kernel = "{kernel}"
points = [{{ {dims} }}]
suites = {{ smoke = {{}} }}
"""
WORKLOADS = {"gemm": ("gemm", "m = 1, n = 64, k = 64"), "rms-norm": ("rms_norm", "m = 2, n = 64")}

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def test_every_option_is_in_the_table_and_no_other() -> None:
    names: list[str] = []

    class Parser:
        def getgroup(self, *_: str) -> Any:
            return self

        def addoption(self, name: str, **_: Any) -> None:
            names.append(name)

    pytest_addoption(Parser())  # type: ignore[arg-type]
    assert re.findall(r"^\| `(--bench-[a-z-]+)", PAGE, flags=re.MULTILINE) == names


def test_every_public_name_of_the_fixture_is_on_the_page() -> None:
    named = set(re.findall(r"\bbench\.([a-z_]+)", PAGE))
    public = {name for name in dir(Bench) if not name.startswith("_")} | {"row"}
    assert public <= named


@pytest.mark.slow
def test_the_pages_tests_pass(inner: Callable[..., Any], tmp_path: Path) -> None:
    for index, text in enumerate(PYTHON):
        (tmp_path / f"test_{index}.py").write_text(text)
    done = inner("--bench-device", "cpu", "--bench-time", "0.05", cwd=tmp_path)
    assert done.code == 0, done.out
    assert "7 passed" in done.out


@pytest.mark.slow
def test_the_pages_lines_run_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "workloads").mkdir()
    for name, (kernel, dims) in WORKLOADS.items():
        (tmp_path / "workloads" / f"{name}.toml").write_text(SMALL.format(kernel=kernel, dims=dims))
    env = {key: value for key, value in os.environ.items() if key not in ("PYTEST_ADDOPTS", "BENCH_RESULTS")}

    def go(line: str, *more: str) -> subprocess.CompletedProcess[str]:
        program, *words = shlex.split(line)
        return subprocess.run(
            [sys.executable, "-m", PROGRAMS[program], *words, *more], cwd=tmp_path, capture_output=True, text=True,
            env=env | {"OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip

    assert go("bench run gemm", "--time", "0.05", "-q").returncode == 0
    for line in LINES:
        # Models take their time; those lines only have to find their cases.
        quick = ("--co", "-q") if "smoke" in line or "mini-" in line else ("--bench-time", "0.05")
        done = go(line, *(quick if line.startswith("pytest ") else ()))
        noisy = (
            "compare-fail" in line and done.returncode == 1 and "Performance has regressed" in done.stdout + done.stderr
        )
        assert done.returncode == 0 or noisy, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout or "-o before.json" in line, line
    assert any((tmp_path / ".benchmarks").rglob("*.json"))
