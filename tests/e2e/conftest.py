"""The real command, in a process of its own and a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

# What a person's own shell may have set and would change what the command prints.
UNSET = ("BENCH_RESULTS", "CI", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING")

# Products so small that a case takes about half a second, nearly all of it for starting and checking.
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


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def run_files(self) -> list[Path]:
        return sorted((self.folder / "results" / "runs").glob("*.json"))


@dataclass
class Going:
    """A command that goes on: its process, and the folder it writes to."""

    process: subprocess.Popen[bytes]
    folder: Path
    children: list[psutil.Process] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        return self.folder / "results" / "runs"

    def rows(self) -> int:
        """Count the rows in the journal; -1 where there is none yet. A line counts when it is whole."""
        journals = list(self.runs.glob("*.jsonl"))
        return journals[0].read_bytes().count(b"\n") - 1 if journals else -1

    def workers(self) -> int:
        """Count the processes that a worker needs: the tracker, the server, and the worker itself make three."""
        self.children = psutil.Process(self.process.pid).children(recursive=True)
        return len(self.children)

    def alive(self) -> list[psutil.Process]:
        """Return the children seen last that are still there."""
        return [c for c in self.children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]

    def end(self, number: signal.Signals, *, group: bool = False) -> Done:
        """Send a signal to the process, or to its whole group as a terminal does, and return what it wrote."""
        self.workers()
        (os.killpg if group else os.kill)(self.process.pid, number)
        return self.wait()

    def wait(self) -> Done:
        code = self.process.wait(60)
        return Done(code, (self.folder / "out").read_text(), (self.folder / "err").read_text(), self.folder)


def _environment(changes: dict[str, str]) -> dict[str, str]:
    # One thread: two that wait for each other on a busy machine take many times as long.
    return {key: value for key, value in os.environ.items() if key not in UNSET} | {"OMP_NUM_THREADS": "1"} | changes


@pytest.fixture(scope="session")
def call() -> Callable[..., Done]:
    """Return a function that runs a bench command to its end."""

    def run(*words: str, cwd: Path, prefix: tuple[str, ...] = (), timeout_s: float = 120, **env: str) -> Done:
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "bench", *words],
            cwd=cwd, env=_environment(env), capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode(), cwd)

    return run


@pytest.fixture
def bench(call: Callable[..., Done], tmp_path: Path) -> Callable[..., Done]:
    """Return a function that runs a bench command in this test's own empty folder."""
    return lambda *words, **keys: call(*words, **{"cwd": tmp_path, **keys})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Going]]:
    """Return a function that starts a bench command in a session of its own; what is left at the end is killed."""
    started: list[Going] = []

    def begin(*words: str, cwd: Path = tmp_path) -> Going:
        with (cwd / "out").open("wb") as out, (cwd / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench", *words],
                cwd=cwd, env=_environment({}), stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        started.append(Going(process, cwd))
        return started[-1]

    yield begin
    for going in started:
        if going.process.poll() is None:
            going.process.kill()
            going.process.wait()


@pytest.fixture
def until() -> Callable[..., None]:
    """Return a function that waits for something to become true, and fails when it does not in time."""

    def wait(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for: {what}"
            time.sleep(0.02)

    return wait


@pytest.fixture
def define(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a definition into this test's own folder."""

    def write(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


@pytest.fixture
def tiny(define: Callable[[str, str], Path]) -> str:
    """Define the workload `tiny` in this test's own folder: four cases of half a second."""
    define("workloads/tiny.toml", TINY)
    return "tiny"


@pytest.fixture(scope="session")
def measured(call: Callable[..., Done], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A small model's decode step and tiny products, measured on this CPU; JSON on stdout."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "workloads").mkdir()
    (folder / "workloads" / "tiny.toml").write_text(TINY)
    return call(
        "run", "mini-dense-decode", "tiny", "--batch", "1", "--context", "1k", "--time", "0.2", "--format", "json",
        cwd=folder, FORCE_COLOR="1",
    )  # fmt: skip


@pytest.fixture(scope="session")
def sessions(call: Callable[..., Done], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Three sessions of tiny products, measured on this CPU; JSON on stdout."""
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "workloads").mkdir()
    (folder / "workloads" / "tiny.toml").write_text(TINY)
    return call("run", "tiny", "--sessions", "3", "--time", "0.05", "--format", "json", cwd=folder)


@pytest.fixture(scope="session")
def modelled(call: Callable[..., Done], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The kernel rms-norm, modelled on an H100; JSON on stdout."""
    return call("run", "rms-norm", "-d", "h100-sxm", "--format", "json", cwd=tmp_path_factory.mktemp("modelled"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser; where there is none the tests that open a page skip."""
    from bench.report.pdf import BROWSERS, QUIET, browser

    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install '.[dev]')")
    if browser() is None:
        pytest.skip(f"no browser to open a page with ({', '.join(BROWSERS[:3])})")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=browser(), args=[*QUIET[1:], "--no-sandbox"])
        yield found
        found.close()
