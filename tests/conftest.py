"""Rows and environments to test with: small, valid, and changed where a test says so."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from bench.results.record import Environment, Row


def pytest_collection_finish() -> None:
    """Take what was imported for good out of the collector's sight: thousands of tests need not look through it."""
    gc.collect()
    gc.freeze()


ROW: dict[str, Any] = {
    "case_id": "tiny-decode[b=1,ctx=1k,bf16]",
    "workload": "tiny-decode",
    "phase": "decode",
    "dtype": "bf16",
    "definition_hash": "0123456789abcdef",
    "definition": {"workload": "tiny-decode"},
    "batch": 1,
    "context": 1024,
    "device": "cpu",
    "device_name": "A CPU",
    "unit": "machine",
    "source": "measured",
    "status": "ok",
}

ENVIRONMENT: dict[str, Any] = {
    "bench_version": "0.1.0",
    "created": "2026-11-21T12:00:00+00:00",
    "command": "bench run tiny",
    "host": "here",
    "fingerprint": "abcdef012345",
    "python": "3.11.7",
    "os": "Linux 6.1",
    "cpu": "A CPU",
    "cores": 2,
}


@pytest.fixture
def row() -> Callable[..., Row]:
    """Return a function that makes a measured row, with fields changed as named."""
    return lambda **changes: Row(**{**ROW, **changes})


@pytest.fixture
def environment() -> Callable[..., Environment]:
    """Return a function that makes an environment, with fields changed as named."""
    return lambda **changes: Environment(**{**ENVIRONMENT, **changes})
