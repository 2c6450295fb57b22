"""Recorded outputs of vendors' tools, and executables that behave badly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "telemetry"


@pytest.fixture
def recorded() -> Callable[[str], str]:
    """Return a function that gives a recorded output, for example recorded("npu_smi/a2.txt")."""
    return lambda name: (DATA / name).read_text("utf-8")


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[[str, str], Path]:
    """Return a function that puts a shell script of a tool's name on a PATH of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def script(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return script
