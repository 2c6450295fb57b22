"""Workers as the run sees them: each in a process of its own, and from a server of its own where that is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from bench.errors import BenchError
from bench.measure import processes
from bench.measure.processes import in_worker, new_server, started

pytestmark = pytest.mark.slow

# What workers are asked to do, in a module that they can import as well.
ASKED = """
import os, time

def tell(argument, report):
    report("on it")
    return f"{os.getpid()} {os.getppid()} {argument}".encode()

def fail(argument, report):
    raise ValueError(argument)

def leave(argument, report):
    os._exit(3)

def hang(connection):
    connection.send(("phase", "hanging"))
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "asked_of_workers.py").write_text(ASKED)
    monkeypatch.syspath_prepend(str(tmp_path))
    new_server()  # the one of an earlier test does not know this folder
    yield
    new_server()


def numbers(argument: str = "") -> list[int]:
    """Return the process ids of a new worker and of its server."""
    told = in_worker("asked_of_workers", "tell", argument, lambda _: None)
    return [int(word) for word in told.split()[:2]]


def test_a_worker_gets_its_argument_and_its_reports_come_back():
    reports: list[str] = []
    assert in_worker("asked_of_workers", "tell", "hello", reports.append).endswith(b" hello")
    assert reports == ["on it"]


def test_workers_differ_and_share_a_server_until_a_new_one_is_asked_for():
    (first, server), (second, same) = numbers(), numbers()
    new_server()
    third, other = numbers()
    assert len({first, second, third, os.getpid()}) == 4
    assert server == same != other
    assert not psutil.pid_exists(server)


def test_a_new_server_before_any_and_twice_is_no_matter():
    new_server()
    new_server()
    assert numbers()[0] != os.getpid()


def test_a_worker_that_hangs_ends_with_the_block_and_at_its_limit():
    from asked_of_workers import hang

    with started(hang) as worker:
        assert list(worker.messages(0.5, 1e12)) == [
            ("phase", "hanging"), ("timeout", "no result after 0 s; raise it with --limit"),
        ]  # fmt: skip
        assert worker.process.is_alive()
    assert not worker.process.is_alive()


def test_a_new_server_does_not_wait_for_a_worker_that_hangs():
    from asked_of_workers import hang

    with started(hang) as worker:
        assert worker.told.recv() == ("phase", "hanging")
        new_server()
        assert worker.process.pid is not None
        hanging = psutil.Process(worker.process.pid)
        assert numbers()[1] != hanging.pid
        hanging.kill()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("fail", r"asked_of_workers: ValueError: no good \(asked_of_workers.py:9\)"),
        ("leave", r"asked_of_workers: the worker ended without a result \(exit code 3\)"),
        ("missing", r"asked_of_workers: AttributeError: module 'asked_of_workers' has no attribute 'missing'"),
    ],
)
def test_a_worker_that_fails_is_one_line(function, reason):
    with pytest.raises(BenchError, match=f"^{reason}"):
        in_worker("asked_of_workers", function, "no good", lambda _: None)


def test_without_a_way_to_end_the_server_every_worker_starts_afresh(monkeypatch):
    monkeypatch.setattr(processes, "_server", lambda: None)
    new_server()
    worker, parent = numbers()
    assert parent == os.getpid() != worker
