"""Rows, environments and runs to test with: small, valid, and changed where a test says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.results.record import Environment, Run


@pytest.fixture
def run(environment: Callable[..., Environment]) -> Callable[..., Run]:
    """Return a function that makes a run without rows, not yet complete."""
    return lambda run_id="2026-11-21T12-00-00_cpu_beef": Run(id=run_id, environment=environment(), complete=False)
