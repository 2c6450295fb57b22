"""Round peaks, tables written by hand, and the command line in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.devices.emulated import profile
from bench.devices.emulated.form import Peaks

DATA = Path(__file__).parents[2] / "data"
# What a person's own shell may have set and would change what the command prints.
UNSET = ("BENCH_RESULTS", "CI", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING")


def forget() -> None:
    """Forget the profiles that were read: tests write profiles of their own."""
    for name in ("profiles", "_kept", "engine", "_engine", "choose", "_choose"):
        clear = getattr(getattr(profile, name, None), "cache_clear", None)
        if clear is not None:
            clear()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture
def round_peaks() -> Peaks:
    """1e15 FLOP/s, 1e12 B/s, a cache of 50 MB, links of 1e11 B/s among 8 devices, a network of 5e10 B/s."""
    return Peaks(1e15, 1e12, 50e6, 1e11, 8, 5e10)


@pytest.fixture(scope="session")
def kernels_csv() -> Path:
    """About 330 measured kernels: every kind, on every device that has public measurements."""
    return DATA / "kernels-sample.csv"


@pytest.fixture(scope="session")
def serving_csv() -> Path:
    """Thirty served configurations on H100 and H200."""
    return DATA / "serving-sample.csv"


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a table and returns its path."""

    def write(text: str, name: str = "mine.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Stand in an empty project folder; return a function that writes a file into it, and forgets what was read."""
    monkeypatch.chdir(tmp_path)

    def write(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        forget()
        return file

    return write


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def profiles(self) -> list[str]:
        """Files below the folder's `devices/calibrations/`, as DEVICE/FILE."""
        root = self.folder / "devices" / "calibrations"
        return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs a bench command in this test's own empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)

    def run(*words: str | Path) -> Done:
        # A command reads profiles anew, as a process of its own would.
        forget()
        capfd.readouterr()
        code = cli.run([str(word) for word in words])
        written = capfd.readouterr()
        return Done(code, written.out, written.err, tmp_path)

    return run
