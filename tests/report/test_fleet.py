import pytest

from bench.report.document import Cell
from bench.report.fleet import fleet_table, pool_table
from bench.report.parts.fleets import fleets, hours
from bench.report.terminal import table_text
from bench.results.cost import Input
from bench.results.fleet import Amount, Capacity, Cheapest, Factor, Fleet, FleetCost, Fleets, Pool, Sized, Transfer
from bench.results.formula import evaluate


def pool(phase, source="modelled:sheet"):
    """A pool of 16: 10 at work at the peak, 5 on average, 2.5 for headroom, 3.5 for whole groups."""
    one = Capacity(phase=phase, device="a", device_name="A", source=source, dtype="fp8", case_ids=["c"], rate=200.0,
                   seconds=0.5, batch=12, step_s=0.04, group=4, limit="latency target", bound="memory", mbu=0.6,
                   target_share=0.7)  # fmt: skip
    factors = [Factor(name="day profile", share=0.5, text="t"), Factor(name="headroom", share=0.8, text="t"),
               Factor(name="whole groups", share=0.78125, text="t"), Factor(name="service target", share=0.7, text="t")]  # fmt: skip
    ends = (
        Sized(seconds=0.4, devices=12, busy=1 / 3, peak_busy=2 / 3),
        Sized(seconds=0.6, devices=16, busy=0.375, peak_busy=0.75),
    )
    return Pool(capacity=one, devices=16, busy=0.3125, peak_busy=0.625, ends=ends, factors=factors)


@pytest.fixture
def found():
    amounts = {
        "per_day": Amount(formula="24 * (16 * rent_a + 16 * rent_a)", value=768.0, interval=(576.0, 768.0),
                          ends=("24 * (12 * rent_a + 12 * rent_a)", "24 * (16 * rent_a + 16 * rent_a)")),
        "idle_per_day": Amount(formula="24 * (11 * rent_a + 11 * rent_a)", value=528.0),
        "per_million_output": Amount(formula="24 * 32 * rent_a / 768", value=1.0),
    }  # fmt: skip
    cost = FleetCost(
        way="rental", currency="USD", basis="energy is part of the rent", **amounts,
        inputs=[Input(id="rent_a", label="rent", value=1.0, unit="USD/h", source="x", key="k")],
    )  # fmt: skip
    none = FleetCost(way="purchase", currency="USD", basis="b", reason="no device.a.purchase in the prices file")
    good = Fleet(label="a", pools=[pool("prefill"), pool("decode")], costs=[none, cost], energy_reason="no sensor",
                 transfer=Transfer(request_bytes=131e6, seconds=0.005, link_use=0.01))  # fmt: skip
    return Fleets(
        demand="d", summary="a day", day=[20.0] * 12 + [0.0] * 12, mean_input=1000, mean_output=100, mean_context=1050,
        ttft_s=1.0, tpot_s=0.05, headroom=0.2, link_bytes_per_s=25e9, example_prices=True,
        fleets=[good, Fleet(label="<b>[red]", reason="decode on b: too slow")],
        cheapest=[Cheapest(way="rental", label=None, reading="only a has a cost")],
    )  # fmt: skip


def test_where_the_devices_are_over_the_day_adds_up_to_all_of_them(found):
    parts = hours(found.fleets[0])
    assert parts == {
        "at work": 10.0,
        "idle off the peak": 10.0,
        "headroom": pytest.approx(5.0),
        "whole groups": pytest.approx(7.0),
    }
    assert sum(parts.values()) == pytest.approx(32)


def test_the_terminal_shows_devices_use_and_cost_with_their_marks(found):
    text = table_text(fleet_table(found), 200)
    line = next(line for line in text.splitlines() if line.startswith("a  "))
    for part in (
        "~32",
        "~1.00/s (0.833 - 1.25)",
        "~16 (12 - 16)",
        "~31%",
        "~62%",
        "131 MB",
        "5.00 ms",
        "~768 USD (576 - 768)",
        "- | 69%",
    ):
        assert part in line
    assert "10.0 requests a second on average and 20.0 in the busiest" in text
    assert "<b>[red]: decode on b: too slow" in text
    assert "missing: no device.a.purchase in the prices file" in text
    assert "missing: no sensor" in text
    assert "cheapest rented: only a has a cost" in text
    assert "EXAMPLE PRICES" in text


def test_measured_fleets_have_no_mark(found):
    measured = Fleet(label="m", pools=[pool("prefill", "measured"), pool("decode", "measured")])
    line = next(
        line
        for line in table_text(
            fleet_table(
                Fleets(
                    **{f: getattr(found, f) for f in found.__struct_fields__} | {"fleets": [measured], "cheapest": []}
                )
            ),
            200,
        ).splitlines()
        if line.startswith("m ")
    )
    assert "~" not in line


def test_the_terminal_shows_where_the_use_of_each_pool_goes(found):
    text = table_text(pool_table(found), 200)
    line = next(line for line in text.splitlines() if line.startswith("decode a fp8"))
    for part in (
        "~16",
        "12",
        "~40.0 ms",
        "~31%",
        "50%",
        "80%",
        "78%",
        "~70%",
        "~60%",
        "~19%",
        "latency target",
        "memory",
    ):
        assert part in line


def test_the_section_has_every_fleet_and_what_could_not_be_built(found):
    (section,) = fleets(found).sections
    assert [line[0] for line in section.tables[0].rows] == ["a", "<b>[red]"]
    assert "<b>[red]: decode on b: too slow" in section.notes
    assert any("EXAMPLE PRICES" in text for text in section.text)
    assert [chart.marks for chart in section.charts] == [24, 4]
    for table in section.tables:
        assert {len(line) for line in table.rows} == {len(table.columns)}


def test_a_fleets_cost_is_a_formula_over_the_assumptions(found):
    (section,) = fleets(found).sections
    money = next(table for table in section.tables if table.id == "fleet-costs")
    # What has no number is told once, with its reason, and is no row of dashes.
    assert [line[:2] for line in money.rows] == [["a", "rented"]]
    assert money.notes == [
        "No cost: no device.a.purchase in the prices file: a, bought.",
        "No cost: decode on b: too slow: <b>[red], bought; <b>[red], rented.",
    ]
    live = [c for c in money.rows[0] if isinstance(c, Cell) and c.formula]
    assert [evaluate(c.formula, {"rent_a": 1.0}) for c in live] == [c.value for c in live] == [768, 528, 1]


def test_no_number_of_a_fleet_is_shown_as_measured(found):
    (section,) = fleets(found).sections
    sources = {c.source for table in section.tables for line in table.rows for c in line if isinstance(c, Cell)}
    assert "measured" not in sources
    assert all(c.note for c in section.tables[0].rows[1] if isinstance(c, Cell))


def test_what_its_formulas_rest_on_is_an_assumption_unless_another_part_has_it(found):
    (rent,) = fleets(found, "prices.toml").assumptions
    assert (rent.id, rent.value, rent.file, rent.example) == ("rent_a", 1.0, "prices.toml", True)
    assert fleets(found, "prices.toml", {"rent_a"}).assumptions == []
