"""pytest inside of pytest: in a process and a folder of its own, with cases that are measured or only said to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

UNSET = ("BENCH_RESULTS", "CI", "FORCE_COLOR", "NO_COLOR", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")

PLUGINS = ("pytest_benchmark.plugin", "bench.pytest_plugin")

TINY = """
summary = "Tiny products"
phase = "kernel"
kernel = "gemm"
points = [
    { m = 1, n = 64, k = 64 },
    { m = 2, n = 64, k = 64 },
    { m = 3, n = 64, k = 64 },
    { m = 4, n = 64, k = 64 },
]
time_s = 0.2
"""

# A worker that measures nothing: a step takes m/1024 s, times SLOWER; what WRONG names goes wrong.
SAID = """
import os

from bench.measure.rows import new_row
from bench.pytest_plugin import recorder

WRONG = dict(each.split("=") for each in os.environ.get("WRONG", "").split(",") if each)


def said(planned):
    case = planned.case
    row = new_row(case, device=planned.device, device_name="A CPU", unit="machine", source="measured")
    row.status = WRONG.get(str(case.dims["m"]), "ok")
    if row.status == "ok":
        one = case.dims["m"] / 1024 * float(os.environ.get("SLOWER", "1"))
        row.samples_s, row.step_s, row.flops = [one, one * 1.25, one * 0.75], one, 8192.0
    else:
        row.reason = f"as was said of m={case.dims['m']}"
    return row


recorder.measure_once = said
"""


@dataclass(frozen=True)
class Done:
    """A pytest that has ended."""

    code: int
    out: str
    err: str
    folder: Path

    def saved(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


@pytest.fixture(scope="session")
def inner() -> Callable[..., Done]:
    """Return a function that runs pytest in a folder, with the plugins named: others take most of its time."""

    def run(*words: str, cwd: Path, plugins: tuple[str, ...] = PLUGINS, **env: str) -> Done:
        given = {key: value for key, value in os.environ.items() if key not in UNSET}
        given |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if plugins else {}
        named = [word for plugin in plugins for word in ("-p", plugin)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *named, *words], cwd=cwd, check=False,
            capture_output=True, text=True, timeout=300,
            env=given | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"} | env,
        )  # fmt: skip
        assert "INTERNALERROR" not in done.stdout + done.stderr, done.stdout
        return Done(done.returncode, done.stdout, done.stderr, cwd)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the workload `tiny`, whose cases are only said to be measured."""
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "tiny.toml").write_text(TINY)
    (tmp_path / "conftest.py").write_text(SAID)
    return tmp_path


@pytest.fixture
def suite(inner: Callable[..., Done], folder: Path) -> Callable[..., Done]:
    """Return a function that runs the suite `tiny` on this CPU, as far as anybody can tell."""
    return lambda *words, **keys: inner("--bench-suite", "tiny", "--bench-device", "cpu", *words, cwd=folder, **keys)
