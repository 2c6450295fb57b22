"""docs/cost-and-fleet.md names every key there is, and its formulas are those that are worked out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import project
from bench.results import cost, fleet
from bench.results.cost import costs
from bench.results.prices import DevicePrice, Exchange, Money, Prices, Share
from bench.results.record import Row
from bench.workloads.demand import PROFILES, SLOTS, Demand, Length

PAGE = (Path(__file__).parents[2] / "docs" / "cost-and-fleet.md").read_text("utf-8")


def section(heading: str) -> str:
    found = re.search(rf"^### {heading}.*?\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def keys(text: str) -> set[str]:
    return set(re.findall(r"`\[*([a-z_0-9]+)[.\]`]", text)) | set(re.findall(r"`([a-z_0-9]+)`", text))


@pytest.mark.parametrize("record", [Prices, DevicePrice, Money, Share, Exchange])
def test_every_key_of_a_prices_file_is_described(record: type) -> None:
    assert set(record.__struct_encode_fields__) <= keys(section("Keys of a prices file"))


def test_every_key_of_a_demand_is_described() -> None:
    text = section("Keys of a demand file")
    assert set(Demand.__struct_fields__) <= keys(text)
    assert all(name in text for name in (*Length.__struct_fields__, *PROFILES, *map(str, SLOTS)))


def test_the_formulas_of_the_page_are_those_that_are_worked_out(row: type[Row]) -> None:
    prices = project.parse_toml(
        b"""
        currency = "USD"
        power_price_per_kwh = { value = 0.11, currency = "USD", date = "2026", source = "s" }
        hosting_per_hour = { value = 0.13, currency = "USD", date = "2026", source = "s" }
        pue = { value = 1.7, source = "s" }
        life_years = { value = 3, source = "s" }
        residual = { value = 0.19, source = "s" }
        utilization = { value = 0.23, source = "s" }
        [device.cpu]
        purchase = { value = 2900, currency = "USD", date = "2026", source = "s" }
        rental = { value = 3.1, currency = "USD", date = "2026", source = "s" }
        """,
        Prices, "p",
    )  # fmt: skip
    bought, rented = costs(row(output_tokens_per_s=370.0, power_w=410.0), prices)
    values = {
        "price": 2900, "residual": 0.19, "life_years": 3, "hosting_per_hour": 0.13, "watts": 410, "pue": 1.7,
        "power_price_per_kwh": 0.11, "utilization": 0.23, "rate": 370.0, "rent": 3.1,
    }  # fmt: skip
    values["holding"] = of_page("holding, bought, an hour", values)
    values["energy"] = of_page("energy, bought, an hour in use", values)
    assert of_page("a million tokens, bought", values) == pytest.approx(bought.value)
    assert of_page("a million tokens, rented", values) == pytest.approx(rented.value)


@pytest.mark.parametrize("formulas", [cost.FORMULAS, fleet.FORMULAS])
def test_reports_print_the_formulas_of_the_page(formulas: dict[str, str]) -> None:
    for quantity, formula in formulas.items():
        assert f"| {quantity} | {formula} |" in PAGE


def of_page(quantity: str, values: dict[str, float]) -> float:
    """Work out a formula as the page has it."""
    from bench.results.formula import evaluate

    (text,) = re.findall(rf"^\| {quantity} \| (.*) \|$", PAGE, flags=re.MULTILINE)
    for words, name in ((" x ", " * "), ("tokens a second", "rate"), ("rent an hour", "rent"), (",", "")):
        text = text.replace(words, name)
    return evaluate(text, values)
