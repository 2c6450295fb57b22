"""A folder that cannot be written and a disk that is full are one line, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., Any]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_folder_that_may_not_be_written_is_one_line_before_anything_runs(bench: Bench, tmp_path: Path) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root writes everywhere, and there is no setpriv to give that up")
        prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    done = bench("run", "rms-norm", "-d", "h100-sxm", "--out", "closed/runs", prefix=prefix)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith("error: closed/runs/")
    assert "cannot be written (permission denied)" in done.err
    assert "--out" in done.err


def test_a_file_where_the_folder_should_be_is_one_line(bench: Bench, define: Callable[[str, str], Path]) -> None:
    define("taken", "")
    done = bench("run", "rms-norm", "-d", "h100-sxm", "--out", "taken")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: taken/")
    assert done.err.count("\n") == 1


def test_a_full_disk_keeps_every_whole_row_and_resume_finishes_with_more_room(
    bench: Bench, small_disk: Path, tmp_path: Path
) -> None:
    done = bench("run", "gemm", "-d", "h100-sxm", "--out", str(small_disk))
    assert done.code == 2
    error = done.err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "cannot be written (no space left on device); free some space" in error
    (journal,) = small_disk.iterdir()
    lines = journal.read_bytes().split(b"\n")
    kept = [json.loads(line)["row"] for line in lines[1:-1]]
    assert 10 < len(kept) < 35
    assert lines[-1] == b""

    moved = shutil.copy(journal, tmp_path / journal.name)
    assert bench("run", "--resume", moved, "-q").code == 0
    rows = json.loads((tmp_path / journal.with_suffix(".json").name).read_text())["rows"]
    assert len(rows) == 35
    assert rows[: len(kept)] == kept
