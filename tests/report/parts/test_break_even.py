"""Prices at which tokens cost the same, worked out by hand, and what a buyer is told of them."""

import pytest

from bench import project
from bench.report.parts.cost import cost
from bench.report.parts.glance import sentence
from bench.report.sides import Paper, Side
from bench.results.axes import every_verdict
from bench.results.compare import Operand
from bench.results.prices import Prices
from bench.results.verdict import summary


def even(part):
    """Return the break-even table."""
    return next(table for table in part.sections[0].tables if table.id == "break-even")


def test_break_even_needs_no_price_and_is_told_for_what_is_bought_as_one(part):
    lines = [line for line in even(part()).rows if line[3] == "rented"]
    of_a, of_b = lines[0], lines[1]
    # Half the tokens: half the rent. Two devices are bought together.
    assert of_b[1:3] == ["b", "a"]
    assert of_b[4] == "package"
    assert (of_b[5].value, of_b[6].value) == (pytest.approx(3.6), pytest.approx(1.8))
    # 14.4 CNY are 1.8 USD: twice the tokens may cost twice that.
    assert of_a[1:3] == ["a", "b"]
    assert of_a[5].value == pytest.approx(3.6)
    assert (of_a[6].value, of_a[6].note) == (None, "is one device")


def test_a_side_without_a_price_is_told_what_it_may_cost_and_the_other_why_not(part):
    table = even(part())
    bought = [(line[1], line[2]) for line in table.rows if line[3] == "bought"]
    # b has no purchase price: its break-even price is known, that of a to equal b is not.
    assert set(bought) == {("b", "a")}
    (why,) = [note for note in table.notes if note.startswith("Not worked out: the price of a, bought")]
    assert why.endswith("to cost the same as b: the prices file has no price of b (add device.b.purchase).")


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
    assert made.verdicts[0].why == "no price of a or b is given; the section on cost says what is missing"
    assert made.sections[0].charts == []


def test_prompts_without_a_target_are_priced_in_what_each_side_runs_in_8_bit_as_their_throughput_is_read(
    row, prices_text
):
    prices = project.parse_toml(prices_text.encode(), Prices, "p")

    def side(name, **rates):
        rows = [
            row(device=name, device_name=name, workload="w", phase="prefill", case_id=f"w[b=1,in=4k,{dtype}]",
                dtype=dtype, definition_hash=f"w {dtype}", step_s=0.1, interval=(0.1, 0.1), prompt_tokens_per_s=rate)
            for dtype, rate in rates.items()
        ]  # fmt: skip
        return Side(Operand(name, rows), name, Paper())

    a, b = side("a", int8=600.0, fp8=400.0), side("b", int8=300.0)
    found = every_verdict(a.operand, b.operand, None, cost([a, b], prices, "p").verdicts)
    (mine,) = [verdict for verdict in found if verdict.axis == "price/performance" and verdict.counted]
    # 3.6 USD for the 400 that a runs in fp8, 1.8 USD for the 300 of b in int8: 1.5 times the price of a token.
    assert (mine.metric, mine.precision, mine.note) == ("cost of input tokens, rented", "8-bit", "fp8 | int8")
    assert mine.ratio == pytest.approx(1.5)
    (beside,) = [verdict for verdict in found if verdict.axis == "price/performance" and not verdict.counted]
    assert (beside.precision, beside.ratio) == ("int8", pytest.approx(1.0))


def test_a_side_that_yields_nothing_in_time_is_named_in_place_of_a_call_for_prices(row, prices_text):
    prices = project.parse_toml(prices_text.encode(), Prices, "p")

    def side(name, **given):
        return Side(Operand(name, []), name, Paper(), at_targets=[row(device=name, case_id="d[tpot<=50ms]", **given)])

    late = side("b", status="skipped", reason="even a batch of 1 takes 90.0 ms", step_s=None)
    in_time = side("a", step_s=0.02, output_tokens_per_s=500.0)
    made = cost([in_time, late], prices, "p")
    (verdict,) = made.verdicts
    why = "of b, no tokens in time to put a price on; the list of what was not run says why"
    assert (verdict.axis, verdict.metric, verdict.ratio, verdict.why) == ("price/performance", "", None, why)
    assert [note for note in made.sections[0].notes if note.startswith("b is not here: no tokens in time to put")]
    assert every_verdict(in_time.operand, late.operand, None, made.verdicts)[-1].why == why
    neither = cost([side("c", status="skipped", step_s=None), late], prices, "p").verdicts
    assert [each.why for each in neither] == [
        "of c and b, no tokens in time to put a price on; the list of what was not run says why"
    ]


def test_without_a_price_on_either_side_no_empty_table_is_shown_and_why_stays(row):
    prices = project.parse_toml(b'currency = "USD"', Prices, "p")
    rows = [row(batch=8, step_s=0.02, output_tokens_per_s=10.0)]
    section = cost([Side(Operand(name, rows), name, Paper()) for name in ("a", "b")], prices, "p").sections[0]
    assert [table.id for table in section.tables] == ["cost", "cost-formulas"]
    assert len([note for note in section.notes if note.startswith("Not worked out: the price of a, rented")]) == 1


@pytest.fixture
def without(row, prices_text):
    """Return a function that makes the verdicts of b, of which no price is known, against a, at two targets."""

    def make(**changes):
        text = prices_text.replace("[device.b]\nrental", "[device.c]\nrental")
        prices = project.parse_toml(text.encode(), Prices, "p")

        def side(name, *rates):
            rows = [
                row(device=name, case_id=f"d[{at}]", step_s=0.02, interval=(0.02, 0.02), output_tokens_per_s=rate)
                for at, rate in zip(("slow", "fast"), rates, strict=True)
            ]
            return Side(Operand(name, rows), name, Paper())

        return cost([side("b", 500.0, 250.0), side("a", 1000.0, 1000.0)], prices, "p").verdicts

    return make


def test_a_side_without_a_price_has_a_line_for_each_target_with_the_price_that_makes_both_equal(without):
    found = without()
    assert [verdict.ratio for verdict in found] == [None, None]
    # Half the tokens: half the rent of 3.6; a quarter: a quarter.
    assert [verdict.equal.value for verdict in found] == pytest.approx([1.8, 0.9])
    assert {(v.equal.of, v.equal.way, v.equal.unit, v.equal.per, v.why) for v in found} == {
        ("b", "rented", "USD/h", "machine", "no price of b is given")
    }
    assert sentence(found[0], {}) == (
        "estimated: equal if b is rented at 1.80 USD/h a machine (1.80 USD/h): cost of output tokens, rented, d[slow]"
    )


def test_the_front_says_in_a_sentence_what_a_side_without_a_price_may_cost(without):
    assert summary("price/performance", without()) == (
        "no price of b is given; estimated: its tokens cost the same as on a if it is rented at 0.9 to 1.80 USD/h "
        "a machine, by case or target"
    )


def test_one_price_is_told_without_a_range(without):
    assert summary("price/performance", without()[:1]).endswith("if it is rented at 1.80 USD/h a machine")
