"""Traces to route by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.workloads.routing import Routing


@pytest.fixture
def trace(tmp_path: Path) -> Callable[..., Routing]:
    """Return a function that writes a trace file and gives the routing by it."""

    def write(text: str, name: str = "trace.txt") -> Routing:
        path = tmp_path / name
        path.write_text(text)
        return Routing(kind="trace", file=str(path))

    return write
