"""A priced report of two systems."""

import pytest

from bench import project
from bench.report.parts.cost import cost
from bench.report.sides import Paper, Side
from bench.results.compare import Operand
from bench.results.prices import Prices

PRICES = """
currency = "USD"
example = true
power_basis = "{basis}"
power_price_per_kwh = {{ value = 0.1, currency = "USD", date = "2026", source = "grid", low = 0.05, high = 0.2 }}
pue = {{ value = 1.5, source = "hall" }}
life_years = {{ value = 4, source = "books" }}
residual = {{ value = 0.25, source = "books" }}
utilization = {{ value = 0.9, source = "log" }}
hosting_per_hour = {{ value = 0.2, currency = "USD", date = "2026", source = "offer" }}
[[exchange]]
from = "USD"
to = "CNY"
rate = 8
date = "2026"
source = "bank"
[device.a]
purchase = {{ value = 46720, currency = "USD", date = "2026-05", source = "list" }}
rental = {{ value = 3.6, currency = "USD", date = "2026-05", source = "list" }}
tdp_w = {{ value = 800, source = "sheet" }}
[device.b]
rental = {{ value = 14.4, currency = "CNY", date = "2026-05", source = "list" }}
tdp_w = {{ value = 500, source = "sheet" }}
"""


@pytest.fixture
def part(row):
    """Return a function that makes the part of two devices, both within 10 %.

    a yields 1000 tok/s; b 500, and two of it are in a package.
    """

    def make(basis="measured", **changes):
        def side(device, rate, devices=1):
            own = {"device": device, "device_name": device, "unit": "die" if devices > 1 else "package"} | changes
            rows = [
                row(batch=8, step_s=0.02, interval=(0.018, 0.022), power_w=400.0,
                    output_tokens_per_s=rate, **own),
                row(phase="prefill", case_id="p", step_s=0.1, interval=(0.1, 0.1),
                    prompt_tokens_per_s=rate * 10, power_w=600.0, **own),
            ]  # fmt: skip
            return Side(Operand(device, rows), device, Paper(devices_per_package=devices))

        prices = project.parse_toml(PRICES.format(basis=basis).encode(), Prices, "p")
        return cost([side("a", 1000.0), side("b", 500.0, 2)], prices, "prices.toml")

    return make


@pytest.fixture
def prices_text():
    """Return the prices above as a file's text, with energy from measured power."""
    return PRICES.format(basis="measured")
