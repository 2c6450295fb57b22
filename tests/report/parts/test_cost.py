"""The cost section: every formula in it, worked out from the assumptions and cells it names, gives the cell's value."""

import pytest

from bench import project
from bench.report.document import Cell
from bench.report.parts.cost import cost
from bench.report.sides import Paper, Side
from bench.results.compare import Operand
from bench.results.formula import evaluate, names
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
    """Return a function that makes the part of two devices: a yields 1000 tok/s, b 500, both within 10 %."""

    def make(basis="measured", **changes):
        def side(device, rate, devices=1):
            rows = [
                row(device=device, device_name=device, batch=8, step_s=0.02, interval=(0.018, 0.022), power_w=400.0,
                    output_tokens_per_s=rate, **changes),
                row(device=device, device_name=device, phase="prefill", case_id="p", step_s=0.1, interval=(0.1, 0.1),
                    prompt_tokens_per_s=rate * 10, power_w=600.0, **changes),
            ]  # fmt: skip
            return Side(Operand(device, rows), device, Paper(devices_per_package=devices))

        prices = project.parse_toml(PRICES.format(basis=basis).encode(), Prices, "p")
        return cost([side("a", 1000.0), side("b", 500.0, 2)], prices, "prices.toml")

    return make


def tables(part):
    found = part.sections[0]
    return {table.id: table for table in [*found.tables, *(chart.table for chart in found.charts)]}


def cells_of(part):
    return [cell for table in tables(part).values() for line in table.rows for cell in line if isinstance(cell, Cell)]


def recomputed(part, **changed):
    """Return what each cell's formula gives, with assumptions replaced."""
    values = {each.id: each.value for each in part.assumptions} | changed
    by_id = {cell.id: cell for cell in cells_of(part) if cell.id}

    def value_of(name):
        if name in values:
            return values[name]
        cell = by_id[name]
        return work_out(cell) if cell.formula else cell.value

    def work_out(cell):
        return evaluate(cell.formula, {name: value_of(name) for name in names(cell.formula)})

    return [(cell, work_out(cell)) for cell in cells_of(part) if cell.formula]


@pytest.mark.parametrize("basis", ["measured", "tdp", "left-out"])
def test_every_formula_gives_the_value_beside_it(part, basis):
    found = recomputed(part(basis))
    assert len(found) > 20
    for cell, value in found:
        assert value == pytest.approx(cell.value, rel=1e-6)


def test_an_edited_assumption_reaches_every_number_that_rests_on_it(part):
    made = part()
    before, after = recomputed(made), recomputed(made, rent_a=7.2)
    rented = next(cell.id for cell, _ in before if cell.id == "cost_rental_1")
    new = {cell.id: value for cell, value in after if cell.id}
    old = {cell.id: value for cell, value in before if cell.id}
    assert new[rented] == pytest.approx(2 * old[rented])
    assert new["even_rental_2_1"] == pytest.approx(2 * old["even_rental_2_1"])
    assert new["cost_purchase_1"] == pytest.approx(old["cost_purchase_1"])


def test_ids_are_unique(part):
    made = part()
    ids = [each.id for each in made.assumptions] + [cell.id for cell in cells_of(made) if cell.id]
    assert len(ids) == len(set(ids))


def test_costs_are_assumed_and_say_what_their_throughput_is(part):
    made = part("tdp", source="modelled", tier="sheet")
    lines = tables(made)["cost"].rows
    assert {line[-1] for line in lines} == {"modelled:sheet"}
    assert {cell.source for line in lines for cell in line if isinstance(cell, Cell) and "Mtok" in cell.unit} == {
        "assumed", "missing",
    }  # fmt: skip
    assert {cell.note for line in lines for cell in line if isinstance(cell, Cell) and cell.unit == "J/token"} == {
        "energy from design power (TDP), not measured"
    }


def test_a_missing_price_is_a_cell_without_a_value_and_with_the_reason(part):
    line = next(line for line in tables(part())["cost"].rows if line[1] == "b")
    bought = line[-3]
    assert (bought.value, bought.source, bought.note) == (None, "missing", "no device.b.purchase in the prices file")


def test_break_even_needs_no_price_and_is_told_for_what_is_bought_as_one(part):
    lines = [line for line in tables(part())["break-even"].rows if line[3] == "rented"]
    of_a, of_b = lines[0], lines[1]
    # Half the tokens: half the rent. Two devices are bought together.
    assert of_b[1:3] == ["b", "a"]
    assert (of_b[4].value, of_b[5].value) == (pytest.approx(1.8), pytest.approx(3.6))
    # 14.4 CNY are 1.8 USD: twice the tokens may cost twice that.
    assert of_a[1:3] == ["a", "b"]
    assert of_a[4].value == pytest.approx(3.6)


def test_a_side_without_a_price_is_told_what_it_may_cost(part):
    lines = [line for line in tables(part())["break-even"].rows if line[3] == "bought"]
    sought = {(line[1], line[2]): line[4] for line in lines[:2]}
    # b has no purchase price: its break-even price is known, that of a to equal b is not.
    assert sought["b", "a"].value > 0
    assert sought["a", "b"].note == "no device.b.purchase in the prices file"


def test_verdicts_on_price_are_estimates_and_lower_is_better(part):
    found = [verdict for verdict in part().verdicts if "rented" in verdict.metric]
    # 3.6 for 1000 tok/s, 1.8 for 500: the same, within 10 % each.
    assert found[0].ratio == pytest.approx(1.0)
    assert found[0].reading == "estimated: cannot tell apart"
    assert found[0].better == "lower"
    assert found[1].reading == "estimated: equal within 2%"


def test_without_any_common_price_the_verdict_says_what_is_missing(row):
    prices = project.parse_toml(b'currency = "USD"', Prices, "p")
    rows = [row(batch=8, step_s=0.02, output_tokens_per_s=10.0)]
    sides = [Side(Operand(name, rows), name, Paper()) for name in ("a", "b")]
    made = cost(sides, prices, "p")
    assert [verdict.ratio for verdict in made.verdicts] == [None]
    assert made.verdicts[0].why.startswith("no device.cpu.purchase in the prices file")
    assert made.sections[0].charts == []


def test_a_verdict_that_lacks_a_price_names_the_price_that_would_make_both_equal(row):
    text = PRICES.format(basis="measured").replace("[device.b]\nrental", "[device.c]\nrental")
    prices = project.parse_toml(text.encode(), Prices, "p")
    sides = [
        Side(
            Operand(name, [row(device=name, step_s=0.02, interval=(0.02, 0.02), output_tokens_per_s=rate)]),
            name,
            Paper(),
        )
        for name, rate in (("b", 500.0), ("a", 1000.0))
    ]
    (verdict,) = cost(sides, prices, "p").verdicts
    assert verdict.ratio is None
    assert verdict.why.startswith("no device.b.purchase in the prices file")
    assert (
        "; b rented at *1.80 USD/h (1.80 USD/h to 1.80 USD/h) a machine would cost the same as a for tiny-decode"
        in verdict.why
    )


def test_no_rows_make_a_section_that_says_so():
    prices = project.parse_toml(b'currency = "USD"', Prices, "p")
    made = cost([Side(Operand("a", []), "a", Paper())], prices, "p")
    assert made.sections[0].text == ["No side has a throughput to put a price on."]


def test_example_prices_are_marked_everywhere_they_are_shown(part):
    made = part()
    assert made.sections[0].text[0].startswith("EXAMPLE PRICES")
    assert all(each.example for each in made.assumptions)
    assert all("EXAMPLE PRICES" in chart.caption for chart in made.sections[0].charts)


def test_assumptions_have_their_range_and_their_place_in_the_file(part):
    power = next(each for each in part().assumptions if each.id == "power_price")
    assert (power.low, power.high, power.file, power.key) == (0.05, 0.2, "prices.toml", "power_price_per_kwh.value")


def test_charts_count_their_marks(part):
    for chart in part().sections[0].charts:
        assert (
            chart.marks
            == len(chart.rows)
            == sum(cell.value is not None for line in chart.table.rows for cell in line if isinstance(cell, Cell))
        )
