"""Costs, worked out by hand: 8760 hours a year, 3600 seconds an hour."""

import pytest

from bench import project
from bench.results.cost import costs, energy
from bench.results.prices import Prices


def by_way(row, prices):
    return {cost.way: cost for cost in costs(row, prices)}


def test_a_rented_million_tokens_costs_the_rent_over_the_hours_in_use(decode, prices):
    # 3.6 / 0.5 = 7.2 an hour in use; 3.6 M tokens an hour: 2 USD.
    cost = by_way(decode(), prices())["rental"]
    assert cost.value == pytest.approx(2.0)
    assert cost.interval == pytest.approx((1.8, 2.4))
    assert (cost.tokens, cost.currency, cost.basis) == ("output", "USD", "energy is part of the rent")


def test_a_bought_million_tokens_costs_wear_hosting_and_energy(decode, prices):
    # 46720 a device, three quarters of it gone in 35040 h: 1.00 an hour; + 0.2 hosting, / 0.5: 2.40;
    # + 0.4 kW x 1.5 x 0.1 = 0.06: 2.46 an hour in use, 3.6 M tokens.
    cost = by_way(decode(), prices())["purchase"]
    assert cost.value == pytest.approx(2.46 / 3.6)
    assert cost.basis == "energy from measured power"


@pytest.mark.parametrize("basis", ["measured", "tdp", "left-out"])
def test_a_token_costs_the_same_per_package_of_two_dies_as_per_die(decode, prices, basis):
    package = decode(unit="package", devices=2, output_tokens_per_s=2000.0, power_w=800.0)
    die = decode(unit="die")
    whole, one = by_way(package, prices(basis)), by_way(die, prices(basis))
    for way in ("purchase", "rental"):
        assert whole[way].value == pytest.approx(one[way].value)
        assert whole[way].interval == pytest.approx(one[way].interval)
    # The formula is of the package: twice the tokens, and everything that is paid twice.
    assert [each.value for each in whole["rental"].inputs if each.id == "rate"] == [2000.0]
    assert whole["rental"].formula == "2 * rent_a / utilization / (3600 * rate) * 1000000"
    assert by_way(package, prices())["purchase"].value == pytest.approx(2.46 / 3.6)


def test_power_of_a_package_is_that_of_its_devices(decode, prices):
    package = decode(unit="package", devices=2, output_tokens_per_s=2000.0, power_w=800.0)
    assert (energy(package, prices()).watts, energy(package, prices()).value) == (800.0, 0.4)
    # 800 W a die, two of them, 2000 tokens a second
    assert (energy(package, prices("tdp")).watts, energy(package, prices("tdp")).value) == (1600.0, 0.8)


def test_the_tokens_of_a_prompt_are_another_kind(decode, prices):
    row = decode(phase="prefill", output_tokens_per_s=None, prompt_tokens_per_s=10_000.0)
    cost = by_way(row, prices())["rental"]
    assert (cost.tokens, cost.value) == ("input", pytest.approx(0.2))


def test_a_price_in_another_currency_is_converted_by_the_rate_given(decode, prices):
    # 14.4 CNY / 8 = 1.8 USD an hour.
    assert by_way(decode(device="b"), prices())["rental"].value == pytest.approx(1.0)


def test_energy_comes_from_measured_power_only(decode, prices):
    modelled = decode(source="modelled", tier="sheet", power_w=None)
    cost = by_way(modelled, prices())["purchase"]
    assert cost.value is None
    assert cost.reason == (
        'no measured power (a modelled row has no sensor): power_basis = "tdp" would take design power, and say so'
    )


def test_design_power_is_taken_where_the_file_says_so_and_labelled(decode, prices):
    cost = by_way(decode(source="modelled", tier="sheet", power_w=None), prices("tdp"))["purchase"]
    assert cost.value == pytest.approx((2.4 + 0.12) / 3.6)
    assert cost.basis == "energy from design power (TDP), not measured"
    assert cost.source == "modelled:sheet"
    assert [each.source for each in cost.inputs if each.id == "tdp_a"] == ["design power, not measured: sheet"]


def test_a_cost_without_energy_says_so(decode, prices):
    cost = by_way(decode(power_w=None), prices("left-out"))["purchase"]
    assert cost.value == pytest.approx(2.4 / 3.6)
    assert cost.basis == "without energy"


def test_a_missing_price_is_no_number_with_the_reason_and_never_zero(decode, prices):
    cost = by_way(decode(device="b"), prices())["purchase"]
    assert (cost.value, cost.interval) == (None, None)
    assert cost.reason == "the prices file has no price of b (add device.b.purchase)"


def test_every_gap_of_a_prices_file_is_named(decode):
    bare = project.parse_toml(b'currency = "USD"', Prices, "p")
    found = by_way(decode(), bare)
    assert found["rental"].reason == (
        "the prices file has no rent of a (add device.a.rental); no utilization in the prices file"
    )
    assert "no life_years in the prices file" in found["purchase"].reason
    assert "no hosting_per_hour in the prices file" in found["purchase"].reason


def test_rows_without_tokens_have_no_cost(decode, prices):
    assert costs(decode(phase="kernel"), prices()) == []
    assert costs(decode(status="oom"), prices()) == []
    assert by_way(decode(output_tokens_per_s=None), prices())["rental"].reason == "no output tokens a second"


def test_a_row_without_an_interval_has_a_cost_without_one(decode, prices):
    assert by_way(decode(interval=None), prices())["rental"].interval is None


def test_joules_per_token_are_of_measured_power_and_carry_its_interval(decode, prices):
    used = energy(decode(), prices())
    assert (used.value, used.basis) == (0.4, "measured")
    assert used.interval == pytest.approx((0.36, 0.48))


def test_joules_per_token_of_design_power_say_so(decode, prices):
    used = energy(decode(power_w=None), prices("tdp"))
    assert (used.value, used.basis) == (0.8, "tdp")
    missing = energy(decode(device="b"), prices("tdp"))
    assert (missing.value, missing.reason) == (
        None,
        "the prices file has no design power of b (add device.b.tdp_w)",
    )


def test_a_cost_at_a_target_goes_with_what_may_be_yielded_there(decode, prices):
    # 2 USD at 1,000 tok/s; 800 to 1,250 tok/s: 1.6 to 2.5.
    cost = by_way(decode(rate_interval=(800.0, 1250.0)), prices())["rental"]
    assert (cost.value, cost.interval) == (pytest.approx(2.0), pytest.approx((1.6, 2.5)))
    assert energy(decode(rate_interval=(800.0, 1250.0)), prices()).interval == pytest.approx((0.32, 0.5))


def test_a_cost_where_nothing_may_be_yielded_in_time_has_no_most(decode, prices):
    cost = by_way(decode(rate_interval=(0.0, 1250.0)), prices())["rental"]
    assert (cost.value, cost.interval) == (pytest.approx(2.0), None)
