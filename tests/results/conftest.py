"""Rows, environments and runs to test with: small, valid, and changed where a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench import project
from bench.results.prices import Prices
from bench.results.record import Environment, Row, Run


@pytest.fixture
def run(environment: Callable[..., Environment]) -> Callable[..., Run]:
    """Return a function that makes a run without rows, not yet complete."""
    return lambda run_id="2026-11-21T12-00-00_cpu_beef": Run(id=run_id, environment=environment(), complete=False)


PRICES = """
currency = "USD"
power_basis = "{basis}"
power_price_per_kwh = {{ value = 0.1, currency = "USD", date = "2026", source = "grid" }}
pue = {{ value = 1.5, source = "hall" }}
life_years = {{ value = 4, source = "books" }}
residual = {{ value = 0.25, source = "books" }}
utilization = {{ value = 0.5, source = "log" }}
hosting_per_hour = {{ value = 0.2, currency = "USD", date = "2026", source = "offer" }}

[[exchange]]
from = "USD"
to = "CNY"
rate = 8
date = "2026"
source = "bank"

[device.a]
purchase = {{ value = 373760, currency = "USD", date = "2026-05", source = "list", devices = 8 }}
rental = {{ value = 3.6, currency = "USD", date = "2026-05", source = "list", low = 3.0, high = 5.0 }}
tdp_w = {{ value = 800, source = "sheet" }}

[device.b]
rental = {{ value = 14.4, currency = "CNY", date = "2026-05", source = "list" }}
"""


@pytest.fixture
def prices_text() -> Callable[..., str]:
    """Return a function that gives the prices above as a file's text, with a power basis."""
    return lambda basis="measured": PRICES.format(basis=basis)


@pytest.fixture
def prices() -> Callable[..., Prices]:
    """Return a function that reads the prices above, with a power basis."""
    return lambda basis="measured": project.parse_toml(PRICES.format(basis=basis).encode(), Prices, "prices.toml")


@pytest.fixture
def decode(row: Callable[..., Row]) -> Callable[..., Row]:
    """Return a function that makes a decode row of 1000 output tokens a second on one device, drawing 400 W."""

    def make(**changes: Any) -> Row:
        given: dict[str, Any] = {
            "device": "a", "batch": 20, "step_s": 0.02, "interval": (0.018, 0.024), "output_tokens_per_s": 1000.0,
            "power_w": 400.0, "power_basis": "board", "joules_per_token": 0.4,
        }  # fmt: skip
        return row(**(given | changes))

    return make
