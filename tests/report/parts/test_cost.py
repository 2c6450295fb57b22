"""The cost section: every formula in it, worked out from the assumptions and cells it names, gives the cell's value."""

import pytest

from bench import project
from bench.report.document import Cell
from bench.report.parts.cost import cost
from bench.report.sides import Paper, Side
from bench.results.compare import Operand
from bench.results.formula import evaluate, names
from bench.results.prices import Prices


def tables(part):
    found = part.sections[0]
    return {table.id: table for table in [*found.tables, *(chart.table for chart in found.charts)]}


def cells_of(part):
    return [cell for table in tables(part).values() for line in table.rows for cell in line if isinstance(cell, Cell)]


def worked_out(part, **changed):
    """Return a function that works out a formula of the part, with assumptions replaced."""
    values = {each.id: each.value for each in part.assumptions} | changed
    by_id = {cell.id: cell for cell in cells_of(part) if cell.id}

    def value_of(name):
        if name in values:
            return values[name]
        cell = by_id[name]
        return work_out(cell.formula) if cell.formula else cell.value

    def work_out(formula):
        return evaluate(formula, {name: value_of(name) for name in names(formula)})

    return work_out


def recomputed(part, **changed):
    """Return each cell that has a formula, with what that gives."""
    work_out = worked_out(part, **changed)
    return [(cell, work_out(cell.formula)) for cell in cells_of(part) if cell.formula]


@pytest.mark.parametrize("basis", ["measured", "tdp", "left-out"])
def test_every_formula_gives_the_value_beside_it(part, basis):
    found = recomputed(part(basis))
    assert len(found) > 20
    for cell, value in found:
        assert value == pytest.approx(cell.value, rel=1e-6)


@pytest.mark.parametrize("basis", ["measured", "tdp", "left-out"])
def test_every_interval_follows_by_formulas_that_give_its_ends(part, basis):
    made = part(basis)
    work_out, found = worked_out(made), [cell for cell in cells_of(made) if cell.formula and cell.interval]
    assert len(found) > 15
    for cell in found:
        assert [work_out(end) for end in cell.ends] == pytest.approx(cell.interval, rel=1e-6)


def test_money_is_told_per_package_and_a_token_costs_what_it_costs_per_die(part):
    """b: 500 tok/s a die, two dies a package, 14.4 CNY = 1.8 USD an hour a die, nine hours of ten in use."""
    made = part()
    line = next(line for line in tables(made)["cost"].rows if line[1] == "b" and line[3] == "output")
    assert line[2] == "package"
    assert [cell.value for cell in line[4:6]] == [1000.0, 800.0]
    assert line[4].id == "rate_2"
    # 2 x 1.8 / 0.9 = 4 USD an hour in use, 3.6 M tokens; of a die 2 USD and 1.8 M.
    assert line[8].value == pytest.approx(4 / 3.6)
    assert line[8].formula.startswith("2 * rent_b * ") or line[8].formula.startswith("2 * rent_b / ")


def test_a_reading_of_the_whole_package_with_one_die_at_work_is_no_power_of_a_busy_package(part):
    line = next(line for line in tables(part(power_basis="package of 2 dies"))["cost"].rows if line[1] == "b")
    assert line[5].value is None
    assert "the sensor covers: package of 2 dies; one of its devices worked" in line[5].note
    # What is bought as one device is what the sensor covers.
    other = next(line for line in tables(part(power_basis="package of 2 dies"))["cost"].rows if line[1] == "a")
    assert other[5].value == 400.0


def test_a_device_that_is_bought_alone_stands_as_it_is(part):
    line = next(line for line in tables(part())["cost"].rows if line[1] == "a" and line[3] == "output")
    assert (line[2], line[4].value, line[5].value) == ("package", 1000.0, 400.0)
    assert "of that, one device" in [column.name for column in tables(part())["break-even"].columns]


def test_design_power_and_joules_follow_the_assumption(part):
    made = part("tdp")
    new = {cell.id: value for cell, value in recomputed(made, tdp_b=250.0) if cell.id}
    # two dies of 250 W
    assert new["watts_2"] == 500.0
    joules = [(cell, value) for cell, value in recomputed(made, tdp_b=250.0) if cell.unit == "J/token"]
    assert [value for cell, value in joules if "rate_2" in cell.formula] == [0.5]


def test_what_is_missing_is_told_once_with_its_keys(part):
    notes = part().sections[0].notes
    assert "What is missing is given in prices.toml: device.b.purchase." in notes


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
    assert (bought.value, bought.source) == (None, "missing")
    assert bought.note == "the prices file has no price of b (add device.b.purchase)"


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


def test_input_and_output_tokens_have_pictures_of_their_own(part):
    charts = part().sections[0].charts
    assert [chart.id for chart in charts] == [
        "cost-purchase-output", "cost-purchase-input", "cost-rental-output", "cost-rental-input",
    ]  # fmt: skip
    assert {row["row"] for chart in charts[::2] for row in chart.rows} == {"tiny-decode[b=1,ctx=1k,bf16]"}


def test_cases_that_have_no_cost_here_are_counted(part, monkeypatch):
    assert not any("without a cost here" in note for note in part().sections[0].notes)
    monkeypatch.setattr("bench.report.parts.priced.MOST_CASES", 1)
    assert "1 more case without a cost here: name fewer with --workload or --at." in part().sections[0].notes


def test_what_a_token_takes_without_an_interval_says_why_in_joules_as_in_money(part):
    made = part("tdp", rate_interval=(0.0, 1200.0))
    rows = [line for line in tables(made)["cost"].rows if line[1] == "a"]
    open_end = "no upper end: by its interval nothing may be yielded in time"
    for line in rows:
        joules, rented = line[6], line[8]
        assert (joules.unit, joules.interval, rented.unit, rented.interval) == ("J/token", None, "USD/Mtok", None)
        assert joules.note == f"energy from design power (TDP), not measured; {open_end}"
        assert rented.note.endswith(open_end)
    measured = next(line for line in tables(part(rate_interval=(0.0, 1200.0)))["cost"].rows if line[1] == "a")
    assert measured[6].note == open_end
