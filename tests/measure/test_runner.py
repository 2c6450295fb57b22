"""Whole runs of the real command with a vendor's package that breaks in every way: each way becomes a row.

The package is a folder on PYTHONPATH with an entry point in the group `bench.adapters`, as a vendor would install it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slow

# Index of a device -> what it does when its first step is timed.
WAYS = (
    "fine", "segfault", "hang", "memory error", "out of memory", "not implemented", "exit", "greedy", "killed",
    "value error", "nan", "bad row", "chatty", "system exit", "abort", "backwards", "stopped", "silent",
)  # fmt: skip

PACKAGE = '''
"""A vendor's adapter that breaks in as many ways as it has devices."""

import ctypes
import os
import signal
import sys
import time

from bench.devices.adapter import Launch
from bench.devices.telemetry.reading import Reading

WAYS = {ways!r}


class BrokenAdapter:
    unit = "package"

    def __init__(self, index):
        self.name, self.way, self.held = f"broken:{{index}}", WAYS[index], []

    @classmethod
    def available(cls):
        return [f"broken:{{index}}" for index in range(len(WAYS))]

    def facts(self):
        return {{"name": f"Broken, {{self.way}}"}}

    def sheet(self):
        return None

    def operators(self, step, dtype, copies, layers):
        import torch
        from bench.operators.torch_operators import TorchOperators

        return TorchOperators(step, dtype, torch.device("cpu"), copies, layers)

    def time(self, step, repeats):
        way = self.way
        if way == "segfault":
            ctypes.string_at(0)
        elif way == "hang":
            while True:
                time.sleep(0.01)
        elif way == "memory error":
            raise MemoryError
        elif way == "out of memory":
            raise RuntimeError("Broken out of memory. Tried to allocate 2.00 GiB")
        elif way == "not implemented":
            raise NotImplementedError("broken::copy")
        elif way == "exit":
            os._exit(3)
        elif way == "greedy":
            for _ in range(256):
                self.held.append(b"x" * 2**24)
            raise RuntimeError("4 GiB were taken and nobody minded")
        elif way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "value error":
            raise ValueError("a shape is wrong")
        elif way == "nan":
            return [float("nan")] * repeats
        elif way in ("backwards", "stopped"):
            return [-1e-3 if way == "backwards" else 0.0] * repeats
        elif way == "silent":
            return []
        elif way == "chatty":
            print("driver: hello")
            os.write(1, b"driver: hello from C\\n")
        elif way == "system exit":
            sys.exit("gone")
        elif way == "abort":
            os.abort()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        return seconds

    def cache_bytes(self):
        return 1

    def memory_room(self):
        return 10**10

    def memory_peak(self):
        return "a lot" if self.way == "bad row" else None

    def capture(self, step):
        return Launch(step)

    def read(self):
        return Reading()
'''

WORKLOAD = """
summary = "A small copy"
phase = "kernel"
kernel = "memory_copy"
dtype = "fp32"
points = [{ n = 1024 }]
time_s = 0.05
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project folder with one tiny workload, and the vendor's package below `site`."""
    root = tmp_path_factory.mktemp("project")
    (root / "workloads").mkdir()
    (root / "workloads" / "tiny.toml").write_text(WORKLOAD)
    info = root / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.adapters]\nbroken = broken_adapter:BrokenAdapter\n")
    (root / "site" / "broken_adapter.py").write_text(PACKAGE.format(ways=WAYS))
    return root


def command(folder: Path, *words: str) -> dict[str, Any]:
    """Arguments of subprocess for `bench` in the project folder, with the vendor's package installed."""
    path = os.pathsep.join([str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        "args": [sys.executable, "-m", "bench", *words],
        "cwd": folder,
        "env": {**os.environ, "PYTHONPATH": path},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def devices(*ways: str) -> list[str]:
    return [word for way in ways for word in ("-d", f"broken:{WAYS.index(way)}")]


def workers(parent: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a run: children of the server that forks them."""
    return [process for server in parent.children() for process in server.children()]


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    """Wait until another process has done something; nothing here measures."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    """Return a run of the one case on every device, the good one last."""
    order = [*WAYS[1:], "fine"]
    words = ["run", "tiny", *devices(*order), "--limit", "10", "--memory", "1", "--out", "runs", "--format", "json"]
    return subprocess.run(**command(folder, *words), timeout=240, check=False)


@pytest.fixture(scope="module")
def rows(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Return way -> the row it became."""
    return {WAYS[int(row["device"].partition(":")[2])]: row for row in json.loads(done.stdout)["rows"]}


def test_a_vendors_package_is_found_through_its_entry_point(rows):
    assert rows["fine"]["device_name"] == "Broken, fine"


def test_every_way_to_break_is_a_row_and_the_run_goes_on(rows):
    assert set(rows) == set(WAYS)


@pytest.mark.parametrize(
    ("way", "status", "reason"),
    [
        ("segfault", "error", "the worker was ended by SIGSEGV"),
        ("hang", "timeout", "no result after 10 s; raise it with --limit"),
        ("memory error", "oom", "the machine gave no more memory"),
        ("out of memory", "oom", "Broken out of memory. Tried to allocate 2.00 GiB"),
        ("not implemented", "unsupported", "an operator is missing here: broken::copy"),
        ("exit", "error", "the worker ended without a result (exit code 3)"),
        ("killed", "error", "the worker was ended by SIGKILL; the system may be out of memory"),
        ("abort", "error", "the worker was ended by SIGABRT"),
    ],
)
def test_a_way_to_break_has_its_status_and_reason(way, status, reason, rows):
    assert (rows[way]["status"], rows[way]["reason"]) == (status, reason)
    assert rows[way]["step_s"] is None


def test_a_case_that_takes_more_memory_than_it_may_is_ended(rows):
    assert rows["greedy"]["status"] == "oom"
    assert rows["greedy"]["reason"].startswith("used ")
    assert rows["greedy"]["reason"].endswith("more than its limit of 1.50 GB")  # 1 GB and the worker's own


def test_an_exception_names_its_kind_and_place(rows):
    assert rows["value error"]["status"] == "error"
    assert rows["value error"]["reason"].startswith("ValueError: a shape is wrong (broken_adapter.py:")


@pytest.mark.parametrize(
    ("way", "told"),
    [("nan", "nan s for a step"), ("backwards", "-0.001 s for a step"), ("stopped", "0.0 s for a step"), ("silent", "0 times")],
)  # fmt: skip
def test_a_clock_that_cannot_be_believed_is_named(way, told, rows):
    assert (rows[way]["status"], rows[way]["step_s"], rows[way]["samples_s"]) == ("error", None, None)
    assert rows[way]["reason"].startswith(f"the clock of broken:{WAYS.index(way)} gave {told}")


def test_a_row_that_cannot_be_read_back_does_not_end_the_run(rows):
    assert rows["bad row"]["status"] == "error"
    assert "memory_peak_bytes" in rows["bad row"]["reason"]


def test_an_adapter_that_asks_to_exit_ends_its_worker_only(rows):
    assert (rows["system exit"]["status"], rows["system exit"]["step_s"]) == ("error", None)


def test_what_a_driver_prints_is_not_among_the_results(done, rows):
    assert rows["chatty"]["status"] == "ok"
    assert "driver: hello" not in done.stdout
    assert "driver: hello from C" in done.stderr


def test_the_good_case_after_all_the_others_is_measured(rows):
    assert rows["fine"]["status"] == "ok"
    assert rows["fine"]["correct"] is True
    assert 0 < rows["fine"]["step_s"] < 1


def test_every_row_says_how_long_its_case_took(rows):
    assert all(row["wall_s"] > 0 for row in rows.values())
    assert rows["hang"]["wall_s"] >= 10


def test_a_run_with_broken_cases_exits_with_4(done):
    assert done.returncode == 4


def test_nothing_is_a_traceback_of_ours(done):
    # Of the worker that was asked to exit Python says why; nothing else may look like a crash of bench.
    assert "Traceback" not in done.stdout
    assert "bench/measure/runner.py" not in done.stderr


def test_all_rows_are_in_one_complete_file(folder, done, rows):
    (path,) = (folder / "runs").iterdir()
    saved = json.loads(path.read_text())
    assert path.suffix == ".json"
    assert saved["complete"] is True
    assert len(saved["rows"]) == len(WAYS)


def test_ctrl_c_saves_what_is_finished_and_resume_goes_on(folder):
    words = ["run", "tiny", *devices("fine", "hang"), "--out", "stopped"]
    process = subprocess.Popen(**command(folder, *words))
    run = psutil.Process(process.pid)
    out = folder / "stopped"
    wait_for(lambda: out.is_dir() and any(p.read_bytes().count(b"\n") == 2 for p in out.iterdir()) and workers(run))
    (worker,) = workers(run)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in told
    wait_for(lambda: not worker.is_running())
    (journal,) = out.iterdir()
    before = journal.read_text().splitlines()
    assert journal.suffix == ".jsonl"
    assert len(before) == 2

    words = ["run", "--resume", "--out", "stopped", "--limit", "1", "--format", "json"]
    resumed = subprocess.run(**command(folder, *words), timeout=60, check=False)
    first, second = json.loads(resumed.stdout)["rows"]
    assert resumed.returncode == 4
    assert first == json.loads(before[1])["row"]
    assert (second["status"], second["reason"]) == ("timeout", "no result after 1 s; raise it with --limit")
    assert [path.name for path in out.iterdir()] == [journal.with_suffix(".json").name]


def test_a_run_that_is_killed_leaves_its_rows_and_no_worker(folder):
    process = subprocess.Popen(**command(folder, "run", "tiny", *devices("fine", "hang"), "--out", "killed"))
    run = psutil.Process(process.pid)
    out = folder / "killed"
    wait_for(lambda: out.is_dir() and any(p.read_bytes().count(b"\n") == 2 for p in out.iterdir()) and workers(run))
    (worker,) = workers(run)
    process.kill()
    process.communicate(timeout=30)
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    (journal,) = out.iterdir()
    assert len(journal.read_text().splitlines()) == 2


def test_a_package_that_cannot_be_loaded_is_named_and_the_cpu_measured_all_the_same(folder, tmp_path):
    info = tmp_path / "site" / "torn-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.adapters]\ntorn = torn_adapter:TornAdapter\n")
    (tmp_path / "site" / "torn_adapter.py").write_text(
        "raise OSError('libtorn.so.2: cannot open shared object file')\n"
    )
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "tiny.toml").write_text(WORKLOAD)
    failed = subprocess.run(**command(tmp_path, "run", "tiny", "-d", "torn:0"), timeout=60, check=False)
    assert (failed.returncode, failed.stdout) == (3, "")
    assert failed.stderr == (
        "error: device 'torn:0' is not on this machine; here: cpu. adapter 'torn' (torn_adapter:TornAdapter) cannot be"
        " loaded: libtorn.so.2: cannot open shared object file; uninstall or repair its package\n"
    )
    measured = subprocess.run(**command(tmp_path, "run", "tiny", "-d", "cpu"), timeout=60, check=False)
    assert measured.returncode == 0
