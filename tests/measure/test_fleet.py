"""Fleets worked out by hand: 10 requests a second on average, 20 in the busiest hours."""

import msgspec
import pytest

from bench import project
from bench.measure import fleet as module
from bench.measure.capacity import Supply
from bench.measure.fleet import fleets, pool
from bench.results.fleet import Capacity
from bench.results.formula import evaluate
from bench.results.prices import Prices
from bench.workloads.demand import Demand

TEXT = """
summary = "a test"
prefill = "llama-3.1-8b-prefill"
decode = "llama-3.1-8b-decode"
requests_per_s = [20, 20, 20, 20, 20, 20, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 0, 0, 0, 0, 0, 0]
input = 1000
output = 100
ttft_s = 1.0
tpot_s = 0.05
headroom = 0.2
link_gb_per_s = 25
"""
PRICES = """
currency = "USD"
power_basis = "measured"
power_price_per_kwh = { value = 0.1, currency = "USD", date = "2026", source = "grid" }
pue = { value = 1.5, source = "hall" }
life_years = { value = 1, source = "books" }
residual = { value = 0, source = "books" }
hosting_per_hour = { value = 1, currency = "USD", date = "2026", source = "offer" }
[device.a]
purchase = { value = 8760, currency = "USD", date = "2026", source = "list" }
rental = { value = 3, currency = "USD", date = "2026", source = "list" }
[device.b]
rental = { value = 1, currency = "USD", date = "2026", source = "list" }
"""


@pytest.fixture
def demand():
    return project.parse_toml(TEXT.encode(), Demand, "d")


@pytest.fixture
def prices():
    return project.parse_toml(PRICES.encode(), Prices, "p")


def capacity(device="a", phase="decode", **changes):
    given = {
        "phase": phase, "device": device, "device_name": device, "source": "measured", "dtype": "bf16", "case_ids": [],
        "rate": 200.0, "seconds": 0.5, "interval": (0.4, 0.6), "group": 4, "watts": 400.0, "watts_basis": "measured",
    }  # fmt: skip
    return Capacity(**(given | changes))


@pytest.fixture
def solved(monkeypatch):
    """Return a function that replaces the solving: (phase, device) -> capacity, or the reason why there is none."""

    def use(found):
        def answer(phase, demand, supply, prices):
            return found.get((phase, supply.device), f"{phase} on {supply.label}: not there")

        monkeypatch.setattr(module, "_capacity_or_reason", answer)

    return use


def test_a_pool_is_large_enough_for_the_busiest_hour_and_its_headroom_in_whole_groups(demand):
    # 20/s x 0.5 s = 10 devices at work, 12.5 with headroom, 16 in groups of four.
    found = pool(demand, capacity())
    assert (found.devices, found.peak_busy, found.busy) == (16, 0.625, 0.3125)
    # 8 / 0.8 = 10 and 12 / 0.8 = 15 devices: 12 and 16.
    assert found.interval == (12, 16)


def test_a_load_met_exactly_takes_no_further_group(demand):
    assert pool(demand, capacity(seconds=0.64, group=4)).devices == 16


def test_the_least_pool_is_one_group(demand):
    assert pool(demand, capacity(seconds=1e-6, group=8)).devices == 8


def test_where_the_use_of_a_pool_goes_multiplies_to_its_average(demand):
    found = pool(demand, capacity())
    shares = {each.name: each.share for each in found.factors}
    assert shares == {"day profile": 0.5, "headroom": 0.8, "whole groups": pytest.approx(0.78125)}
    assert found.busy == 0.5 * 0.8 * 0.78125


def test_the_target_and_the_step_are_told_beside_it(demand):
    found = pool(demand, capacity(target_share=0.7, batch=12, limit="latency target", bound="memory", mbu=0.6, mfu=0.1))
    texts = {each.name: each.text for each in found.factors}
    assert texts["service target"].endswith("its batch of 12 is set by: latency target")
    assert texts["of peak memory bandwidth"].endswith("the step is bound by memory")


def test_each_device_alone_and_each_pair_is_tried(demand, solved):
    solved({(phase, device): capacity(device, phase) for phase in ("prefill", "decode") for device in "ab"})
    found = fleets(demand, [Supply("a", "a"), Supply("b", "b")])
    assert [each.label for each in found.fleets] == ["a", "b", "prefill a, decode b", "prefill b, decode a"]
    assert (found.mean_per_s, found.peak_per_s) == (10, 20)
    assert found.cheapest == []


def test_a_fleet_that_cannot_serve_says_why_and_the_others_stand(demand, solved):
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "b"): capacity("b")})
    found = {each.label: each for each in fleets(demand, [Supply("a", "a"), Supply("b", "b")]).fleets}
    assert found["a"].reason == "decode on a: not there"
    assert found["prefill b, decode a"].reason == "prefill on b: not there; decode on a: not there"
    assert found["prefill a, decode b"].devices == 32


def test_use_and_energy_of_a_fleet_are_those_of_its_pools(demand, solved):
    solved(
        {("prefill", "a"): capacity("a", "prefill", seconds=0.16, watts=500.0, group=1), ("decode", "a"): capacity()}
    )
    (found,) = fleets(demand, [Supply("a", "a")]).fleets
    # 3.2 / 0.8 = 4 devices, 1.6 of them at work on average, and 5 of 16.
    assert found.devices == 20
    assert found.busy == pytest.approx(6.6 / 20)
    assert found.joules_per_request == pytest.approx(0.16 * 500 + 0.5 * 400)
    assert found.energy_basis == "energy from measured power"


def test_a_fleet_is_counted_in_what_is_bought(demand, solved):
    dies = {"devices_per_package": 2}
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "b"): capacity("b", **dies)})
    found = {each.label: each for each in fleets(demand, [Supply("a", "a"), Supply("b", "b")]).fleets}
    fleet = found["prefill a, decode b"]
    # 16 devices of each; those of b are two in a package.
    assert (fleet.devices, fleet.packages) == (32, 24)
    assert [pool.package_interval for pool in fleet.pools] == [(12, 16), (6, 8)]
    # 0.5 s of a package for prefill, 0.25 s of one for decode.
    assert fleet.goodput == pytest.approx(1 / 0.75)


def test_a_pool_without_measured_power_leaves_no_energy_and_says_why(demand, solved):
    solved(
        {("prefill", "a"): capacity("a", "prefill", watts=None, watts_reason="no sensor"), ("decode", "a"): capacity()}
    )
    (found,) = fleets(demand, [Supply("a", "a")]).fleets
    assert (found.joules_per_request, found.energy_reason) == (None, "no sensor")


def test_the_transfer_is_told_in_bytes_time_and_use_of_the_link(demand, solved):
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "a"): capacity()})
    (found,) = fleets(demand, [Supply("a", "a")]).fleets
    assert found.transfer.request_bytes == 131_072_000
    assert found.transfer.seconds == pytest.approx(131_072_000 / 25e9)
    assert found.transfer.link_use == pytest.approx(20 * 131_072_000 / 25e9 / 16)


def test_a_bought_fleet_costs_its_wear_hosting_and_energy(demand, prices, solved):
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "a"): capacity()})
    (found,) = fleets(demand, [Supply("a", "a")], prices).fleets
    cost = {each.way: each for each in found.costs}["purchase"]
    # 32 devices at 1 + 1 an hour: 1536 a day. 400 J x 864,000 requests: 96 kWh, x 1.5 x 0.1 = 14.4.
    amounts = (cost.per_day, cost.idle_per_day, cost.per_million_output)
    assert [each.value for each in amounts] == pytest.approx([1550.4, 1536 * (1 - 0.3125), 1550.4 / 86.4])
    assert cost.basis == "energy from measured power"
    values = {each.id: each.value for each in cost.inputs}
    assert [evaluate(each.formula, values) for each in amounts] == pytest.approx([1550.4, 1056.0, 1550.4 / 86.4])


def test_every_number_of_a_fleet_is_solved_at_both_ends_of_what_a_request_takes(demand, prices, solved):
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "a"): capacity()})
    (found,) = fleets(demand, [Supply("a", "a")], prices).fleets
    # 0.4 s: 12 devices a pool, a third busy; 0.6 s: 16, 37.5 % busy; 0.5 s: 16, 31.25 %.
    assert found.goodput_interval == pytest.approx((1 / 1.2, 1 / 0.8))
    assert found.busy_interval == pytest.approx((0.3125, 0.375))
    assert found.peak_busy_interval == pytest.approx((0.625, 0.75))
    assert found.joules_interval == pytest.approx((320, 480))
    cost = {each.way: each for each in found.costs}["purchase"]
    # 24 devices and 320 J: 1152 + 11.52 a day; 32 and 480 J: 1536 + 17.28.
    assert cost.per_day.interval == pytest.approx((1163.52, 1553.28))
    assert cost.per_million_output.interval == pytest.approx((1163.52 / 86.4, 1553.28 / 86.4))
    # Idle: 24 x 2/3, 32 x 0.625, and as it is sized 32 x 0.6875 devices, which is the most of the three.
    assert cost.idle_per_day.interval == pytest.approx((768, 1056))
    values = {each.id: each.value for each in cost.inputs}
    for each in (cost.per_day, cost.idle_per_day, cost.per_million_output):
        assert [evaluate(end, values) for end in each.ends] == pytest.approx(each.interval)


def test_a_fleet_with_one_pool_without_an_interval_has_none(demand, prices, solved):
    solved({("prefill", "a"): capacity("a", "prefill", interval=None), ("decode", "a"): capacity()})
    (found,) = fleets(demand, [Supply("a", "a")], prices).fleets
    assert (found.goodput_interval, found.busy_interval, found.joules_interval) == (None, None, None)
    assert [each.per_day.interval for each in found.costs] == [None, None]


def test_design_power_of_a_fleet_is_an_assumption_that_its_costs_and_joules_follow(demand, solved):
    text = PRICES.replace('"measured"', '"tdp"') + '\n[device.a.tdp_w]\nvalue = 400\nsource = "sheet"\n'
    prices = project.parse_toml(text.encode(), Prices, "p")
    tdp = {"watts_basis": "tdp"}
    solved({("prefill", "a"): capacity("a", "prefill", **tdp), ("decode", "a"): capacity(**tdp)})
    (found,) = fleets(demand, [Supply("a", "a")], prices).fleets
    cost = {each.way: each for each in found.costs}["purchase"]
    assert cost.per_day.value == pytest.approx(1550.4)
    values = {each.id: each.value for each in cost.inputs}
    assert values["tdp_a"] == 400
    # Twice the power: 14.4 more a day, and 800 J a request.
    assert evaluate(cost.per_day.formula, values | {"tdp_a": 800}) == pytest.approx(1564.8)
    assert evaluate(found.joules_formula, values | {"tdp_a": 800}) == pytest.approx(800)
    assert [evaluate(end, values) for end in found.joules_ends] == pytest.approx(found.joules_interval)
    assert found.joules_per_request == pytest.approx(400)


def test_measured_power_of_a_fleet_is_a_result_and_no_assumption(demand, prices, solved):
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "a"): capacity()})
    (found,) = fleets(demand, [Supply("a", "a")], prices).fleets
    assert found.joules_formula == ""
    assert "tdp_a" not in {each.id for cost in found.costs for each in cost.inputs}


def test_a_rented_fleet_costs_its_rent_used_or_not(demand, prices, solved):
    solved({("prefill", "a"): capacity("a", "prefill"), ("decode", "b"): capacity("b")})
    found = {each.label: each for each in fleets(demand, [Supply("a", "a"), Supply("b", "b")], prices).fleets}
    cost = {each.way: each for each in found["prefill a, decode b"].costs}["rental"]
    assert cost.per_day.value == pytest.approx(24 * (16 * 3 + 16 * 1))


def test_a_missing_price_leaves_no_cost_with_the_reason(demand, prices, solved):
    solved({("prefill", "b"): capacity("b", "prefill"), ("decode", "b"): capacity("b")})
    found = fleets(demand, [Supply("b", "b")], prices)
    cost = {each.way: each for each in found.fleets[0].costs}["purchase"]
    assert (cost.per_day, cost.reason) == (None, "the prices file has no price of b (add device.b.purchase)")
    reading = {each.way: each.reading for each in found.cheapest}
    assert reading["purchase"] == "no fleet has a cost: the prices file has no price of b (add device.b.purchase)"
    assert reading["rental"] == "only b has a cost, 768 USD a day"


def test_the_cheapest_fleet_is_named_with_those_that_cannot_be_told_from_it(demand, prices, solved):
    solved({(phase, device): capacity(device, phase) for phase in ("prefill", "decode") for device in "ab"})
    found = fleets(demand, [Supply("a", "a"), Supply("b", "b")], prices)
    rental = {each.way: each for each in found.cheapest}["rental"]
    # b: 768 (576 to 768); mixed 1536, at least 1152; a 2304.
    assert (rental.label, rental.reading) == ("b", "b, 768 USD a day")
    wide = {(p, d): capacity(d, p, interval=(0.1, 1.5)) for p in ("prefill", "decode") for d in "ab"}
    solved(
        {
            key: Capacity(**{f: getattr(c, f) for f in c.__struct_fields__} | {"source": "modelled:sheet"})
            for key, c in wide.items()
        }
    )
    again = {each.way: each.reading for each in fleets(demand, [Supply("a", "a"), Supply("b", "b")], prices).cheapest}
    assert again["rental"] == (
        "estimated: b, 768 USD a day; cannot be told apart from: a | prefill a, decode b | prefill b, decode a"
    )


def test_the_cheapest_fleet_that_may_be_late_is_told_apart_from_no_other(demand, prices, solved):
    late = msgspec.structs.replace(capacity("b", "prefill"), open="a prompt may not be in time", interval=None)
    solved({
        ("prefill", "a"): capacity("a", "prefill"), ("decode", "a"): capacity("a"),
        ("prefill", "b"): late, ("decode", "b"): capacity("b"),
    })  # fmt: skip
    found = fleets(demand, [Supply("a", "a"), Supply("b", "b")], prices)
    assert {each.way: each.reading for each in found.cheapest}["rental"] == (
        "b, 768 USD a day; cannot be told apart from any other: by its interval it may be late, however many there are"
    )


@pytest.mark.parametrize(("group", "told"), [(26, True), (24, False)])
def test_a_fleet_whose_size_is_that_of_its_smallest_deployment_is_told(demand, prices, solved, group, told):
    """20/s x 0.5 s / 0.8 = 12.5 devices: less than half of a group of 26, more than half of one of 24."""
    solved({
        ("prefill", "a"): capacity("a", "prefill"), ("decode", "a"): capacity("a"),
        ("prefill", "b"): capacity("b", "prefill"), ("decode", "b"): capacity("b", group=group),
    })  # fmt: skip
    found = fleets(demand, [Supply("a", "a"), Supply("b", "b")], prices)
    rental = {each.way: each.reading for each in found.cheapest}["rental"]
    words = "; sizes set by the smallest deployment and not by the load: b | prefill a, decode b"
    assert rental.endswith(words) is told


def test_modelled_fleets_of_the_shipped_demand_serve_it(prices):
    from bench.workloads.demand import find_demand, load_demand

    shipped = load_demand(find_demand("chat-day"))
    found = fleets(shipped, [Supply("ascend-910c", "ascend-910c"), Supply("h100-sxm", "h100-sxm")])
    assert len(found.fleets) == 4
    for each in found.fleets:
        assert not each.reason
        for one in each.pools:
            assert one.devices % one.capacity.group == 0
            assert one.peak_busy <= 1 - shipped.headroom + 1e-9
            if one.capacity.open:
                assert (one.interval, each.open) == (None, one.capacity.open)
                continue
            assert one.interval[0] <= one.devices <= one.interval[1]
