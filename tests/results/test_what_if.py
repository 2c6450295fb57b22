"""What-ifs on the prices of conftest.py, worked out by hand."""

import math

import pytest

from bench import project
from bench.results.cost import costs
from bench.results.formula import evaluate
from bench.results.prices import Prices
from bench.results.what_if import break_even, sensitivity


def by_way(row, prices):
    return {cost.way: cost for cost in costs(row, prices)}


def test_sensitivity_moves_one_input_at_a_time(decode, prices):
    found = {each.input.id: each for each in sensitivity(by_way(decode(), prices())["rental"])}
    assert found["rent_a"].at == pytest.approx((2.88, 4.32))
    assert found["rent_a"].cost == pytest.approx((1.6, 2.4))
    assert found["utilization"].cost == pytest.approx((2.5, 2 / 1.2))
    assert found["rate"].cost == pytest.approx((2.5, 2 / 1.2))


def test_sensitivity_stays_within_what_is_possible(decode, prices_text):
    text = prices_text().replace("utilization = { value = 0.5", "utilization = { value = 0.9")
    text = text.replace("pue = { value = 1.5", "pue = { value = 1.1")
    generous = project.parse_toml(text.encode(), Prices, "p")
    found = {each.input.id: each for each in sensitivity(by_way(decode(), generous)["purchase"])}
    assert found["utilization"].at == pytest.approx((0.72, 1.0))
    assert found["pue"].at == pytest.approx((1.0, 1.32))


def test_sensitivity_of_no_number_is_empty(decode, prices):
    assert sensitivity(by_way(decode(device="b"), prices())["purchase"]) == []


def test_break_even_is_the_price_that_makes_both_cost_the_same(decode, prices):
    # Twice the tokens: 2 USD a million are 14.4 an hour in use, at half use a rent of 7.2.
    against = by_way(decode(), prices())["rental"]
    other = decode(device="c", step_s=0.01, interval=(0.01, 0.01), output_tokens_per_s=2000.0)
    found = break_even(against, other, prices())
    assert found.value == pytest.approx(7.2)
    # Only the first one is unsure: its cost may be 10 % lower or 20 % higher.
    assert found.interval == pytest.approx((6.48, 8.64))


def test_what_may_yield_nothing_in_time_may_be_worth_nothing(decode, prices):
    against = by_way(decode(interval=(0.02, 0.02)), prices())["rental"]
    other = decode(device="c", output_tokens_per_s=2000.0, rate_interval=(0.0, 3000.0))
    found = break_even(against, other, prices())
    # At most 3,000 tok/s: 7.2 x 1.5.
    assert found.interval == pytest.approx((0.0, 10.8))
    values = {each.id: each.value for each in found.inputs}
    assert [evaluate(end, values) for end in found.ends] == pytest.approx(found.interval)


@pytest.mark.parametrize("basis", ["measured", "tdp", "left-out"])
@pytest.mark.parametrize("way", ["purchase", "rental"])
def test_a_package_of_two_dies_may_cost_twice_what_a_die_may(decode, prices, basis, way):
    against = by_way(decode(), prices(basis))[way]
    die = decode(unit="die", output_tokens_per_s=1500.0)
    package = decode(unit="package", devices=2, output_tokens_per_s=3000.0, power_w=800.0)
    one, whole = (break_even(against, each, prices(basis)) for each in (die, package))
    assert whole.value == pytest.approx(2 * one.value)
    assert whole.interval == pytest.approx((2 * one.interval[0], 2 * one.interval[1]))
    assert (whole.unit, one.unit) == ("package", "die")


def test_the_ends_of_a_break_even_price_are_what_their_formulas_give(decode, prices):
    against = by_way(decode(), prices())["purchase"]
    found = break_even(against, decode(device="c", output_tokens_per_s=1500.0), prices())
    values = {each.id: each.value for each in found.inputs}
    assert [evaluate(end, values) for end in found.ends] == pytest.approx(found.interval)


def test_errors_of_both_sides_of_a_break_even_add_up_in_squares(decode, prices):
    against = by_way(decode(interval=(0.02 / 1.1, 0.022)), prices())["rental"]
    other = decode(device="c", interval=(0.02 / 1.1, 0.022))
    factor = math.exp(math.sqrt(2) * math.log(1.1))
    assert break_even(against, other, prices()).interval == pytest.approx((3.6 / factor, 3.6 * factor))


def test_the_break_even_purchase_price_put_in_costs_the_same(decode, prices, prices_text):
    against = by_way(decode(), prices())["purchase"]
    other = decode(device="c", output_tokens_per_s=1500.0, power_w=600.0)
    price = break_even(against, other, prices()).value
    text = prices_text() + (
        f'[device.c]\npurchase = {{ value = {price}, currency = "USD", date = "2026", source = "x" }}'
    )
    again = by_way(other, project.parse_toml(text.encode(), Prices, "p"))["purchase"]
    assert again.value == pytest.approx(against.value)


def test_no_price_makes_a_device_equal_whose_energy_alone_costs_more(decode, prices):
    against = by_way(decode(), prices())["purchase"]
    found = break_even(against, decode(device="c", output_tokens_per_s=10.0), prices())
    assert (found.value, found.reason) == (None, "its energy and hosting alone cost more: no price makes it equal")


def test_input_tokens_are_not_set_against_output_tokens(decode, prices):
    against = by_way(decode(), prices())["rental"]
    other = decode(phase="prefill", prompt_tokens_per_s=5.0)
    assert break_even(against, other, prices()).reason == "output tokens are not input tokens"
