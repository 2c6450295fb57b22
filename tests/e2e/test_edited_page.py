"""A page whose reader changes a price says what a report made with that price says; what cannot follow says so."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bench.report import cells
from bench.report.page.live import live
from bench.report.parts.glance import sentence
from bench.report.pdf import BROWSERS, browser
from bench.results.answer import worth
from bench.results.prices import example_prices
from bench.results.reading import Basis, reading
from bench.results.verdict import EqualPrice, Verdict, summary

pytestmark = pytest.mark.slow

if browser() is None:
    pytest.skip(f"no browser to open a page with ({', '.join(BROWSERS[:3])})", allow_module_level=True)

WORDS = files("bench.report.page").joinpath("words.js").read_text(encoding="utf-8")
OWN = """
[device.ascend-910c]
tdp_w = { value = 310, source = "made up" }
purchase = { value = 30000, devices = 2, currency = "USD", date = "2026", source = "made up" }
rental = { value = 2.0, devices = 2, currency = "USD", date = "2026", source = "made up" }
"""
AT = "tpot=30ms,50ms,ttft=2s"


@pytest.fixture(scope="module")
def script(chromium: Any) -> Iterator[Any]:
    """A page that has the words and nothing else."""
    page = chromium.new_page()
    page.evaluate(f"window.words = (() => {{ {WORDS}; return words; }})()")
    yield page
    page.close()


def random_verdict(rng: random.Random, *, equal: bool) -> Verdict:
    ratio = rng.choice([rng.uniform(0.3, 3), rng.uniform(0.97, 1.03), rng.uniform(500, 5000)])
    wide = rng.choice([0.001, 0.01, 0.1, 0.5])
    ends = rng.choice([None, (ratio * (1 - wide), ratio * (1 + wide)), (ratio * (1 - wide), ratio * (1 + wide))])
    unstable, doubt = rng.random() < 0.2, rng.choice(["", "", "", "disturbed"])
    verdict = Verdict(
        axis="price/performance", metric="cost of input tokens, rented", a="A", b="B", target="d[x]", better="lower",
        ratio=ratio, interval=ends, source="assumed", reading="", unstable=unstable, a_doubt=doubt, a_id="a", b_id="b",
    )  # fmt: skip
    if equal:
        value = 10 ** rng.uniform(-4, 6)
        verdict.equal = EqualPrice(
            of="A", way=rng.choice(["rented", "bought"]), per="package", unit="USD/h", value=value, id="even",
            interval=rng.choice([None, (value * 0.7, value * 1.4)]),
        )  # fmt: skip
        verdict.ratio, verdict.interval, verdict.a_doubt, verdict.why = None, None, "", "no price of A is known"
        return verdict
    late = frozenset(rng.choice([(), (), (), (0,), (1,), (0, 1)]))
    verdict.late = ["AB"[side] for side in sorted(late)]
    basis = Basis(estimated=True, unstable=unstable, doubt=doubt, late=late)
    verdict.reading = reading(ratio, ends, ("A", "B"), higher=False, basis=basis)
    return verdict


def as_the_page_has_it(verdicts: list[Verdict]) -> Any:
    """What the page's script works with: what Python left in the page, and the numbers that it works out there."""
    found = json.loads(live(verdicts, {"d[x]": "d[x]"}))
    for verdict, each in zip(verdicts, found["verdicts"], strict=True):
        if verdict.equal is not None:
            each["equal"] |= {"value": verdict.equal.value, "ends": verdict.equal.interval}
        else:
            each |= {"ratio": verdict.ratio, "ends": verdict.interval}
    return found


@pytest.mark.parametrize("equal", [False, True])
def test_the_words_of_the_page_are_those_of_python_on_many_verdicts(script: Any, equal: bool) -> None:
    rng = random.Random(7)
    axes = [[random_verdict(rng, equal=equal) for _ in range(rng.choice([1, 1, 2, 5]))] for _ in range(400)]
    told = script.evaluate(
        "all => all.map(axis => [axis.verdicts.map(words.sentence), words.summary(axis.verdicts, axis.leftOut),"
        " words.worth(axis.verdicts)])",
        [as_the_page_has_it(axis) for axis in axes],
    )
    for axis, (sentences, whole, price) in zip(axes, told, strict=True):
        assert price == worth(axis)
        assert sentences == [sentence(verdict, {}) for verdict in axis]
        # Where every reading is in doubt no price changes the sentence, and the script leaves it.
        assert whole in (summary("price/performance", axis), None)
        assert whole is not None or all(verdict.doubt for verdict in axis)
    # All kinds of words were met.
    every = " ".join(each for sentences, whole, _ in told for each in [*sentences, whole or ""])
    kinds = (
        ("if it is rented at", " or bought at")
        if equal
        else ("better by", "apart", "equal within", "no interval", "depends", "reaches across the target")
    )
    assert all(kind in every for kind in kinds)


def test_the_numbers_of_the_page_are_written_as_python_writes_them(script: Any) -> None:
    rng = random.Random(11)
    values = [10 ** rng.uniform(-6, 9) for _ in range(2000)] + [0.0, 1.0, 9.996, 99.96, 999.6, 1000.0, 0.000999]
    units = ["USD/h", "x", "1", "share", "W", "tok/s"]
    asked = [(value, unit) for value in values for unit in units if not (unit == "share" and value > 1e6)]
    told = script.evaluate("all => all.map(([value, unit]) => words.number(value, unit))", asked)
    assert [
        (value, unit, text)
        for (value, unit), text in zip(asked, told, strict=True)
        if text != cells.number(value, unit)
    ] == []


@pytest.fixture(scope="module")
def pages(call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reports that differ in one price, and one of the example's prices, which know none of the 910C."""
    folder = tmp_path_factory.mktemp("edited")
    text = example_prices().read_text() + OWN
    dear = re.sub(r"(\[device\.h100-sxm\.rental\]\nvalue = )2\.95", r"\g<1>6", text)
    assert dear != text
    (folder / "built.toml").write_text(text)
    (folder / "dear.toml").write_text(dear)
    for name, prices in (("built", "built.toml"), ("dear", "dear.toml"), ("example", "example")):
        demand = ["--demand", "chat-day"] if name != "example" else []
        done = call("report", "ascend-910c", "h100-sxm", "--at", AT, "--prices", prices, *demand, "-o", f"{name}.html",
                    cwd=folder)  # fmt: skip
        assert done.code == 0, done.err
    return folder


SHOWN = """() => [...document.querySelectorAll(
    'td[data-live], td[data-formula], [id^="table-ratios"] tbody td, .answers li, p[data-follows]')]
    .map(each => each.textContent.replace(/\\s+/g, ' ').trim())"""


def open_page(chromium: Any, file: Path) -> Any:
    page = chromium.new_page()
    page.goto(file.as_uri())
    return page


def test_a_page_with_a_changed_price_says_what_a_report_made_with_it_says(chromium: Any, pages: Path) -> None:
    edited, dear = (open_page(chromium, pages / f"{name}.html") for name in ("built", "dear"))
    built = edited.evaluate(SHOWN)
    edited.locator("td[data-id='rent_h100_sxm'] input").fill("6")
    shown, expected = edited.evaluate(SHOWN), dear.evaluate(SHOWN)
    assert sum(a != b for a, b in zip(built, expected, strict=True)) > 30
    assert shown == expected
    cheapest = "all => all.map(each => each.textContent)"
    assert edited.eval_on_selector_all("p[data-follows]", cheapest)[1].startswith("Cheapest rented: estimated: ")
    edited.locator("#as-built").click()
    assert edited.evaluate(SHOWN) == built
    edited.close()
    dear.close()


def test_pictures_and_sentences_that_do_not_follow_say_so_until_all_is_as_built(chromium: Any, pages: Path) -> None:
    page = open_page(chromium, pages / "built.html")
    assert page.locator(".stale:visible, #edited:visible").count() == 0
    page.locator("td[data-id='rent_h100_sxm'] input").fill("6")
    marked = page.eval_on_selector_all("figure:has(> .stale:not([hidden]))", "all => all.map(figure => figure.id)")
    assert marked == ["chart-forest-1", "chart-cost-rental-input", "chart-cost-rental-output"]
    assert "of the original ones" in page.locator("#cost > .stale").inner_text()
    assert page.locator("#fleets > .stale").count() == 0
    assert "pictures show the values as built" in page.locator("#edited").inner_text()
    assert page.locator("#edited").inner_text().startswith("Changed on this page: rent an hour of h100-sxm.")
    page.locator("#as-built").click()
    assert page.locator(".stale:visible, #edited:visible, td.changed").count() == 0
    page.close()


def test_without_a_price_the_prices_that_make_both_equal_follow(chromium: Any, pages: Path) -> None:
    page = open_page(chromium, pages / "example.html")
    words = page.locator("td[data-live] strong").inner_text()
    low, high = re.findall(r"rented at ([\d.]+) to ([\d.]+) USD/h a package", words)[0]
    page.locator("td[data-id='rent_h100_sxm'] input").fill(str(2 * 2.95))
    after = page.locator("td[data-live] strong").inner_text()
    found = re.findall(r"rented at ([\d.]+) to ([\d.]+) USD/h a package", after)[0]
    # Twice the rent of one side may be asked of the other.
    assert [float(each) for each in found] == pytest.approx([2 * float(low), 2 * float(high)], rel=0.01)
    page.close()


def test_what_cannot_be_a_value_gives_no_number_and_no_verdict(chromium: Any, pages: Path) -> None:
    page = open_page(chromium, pages / "built.html")
    page.locator("td[data-id='utilization'] input").fill("1.2")
    assert "a number is missing" in page.locator("td[data-live] strong").inner_text()
    costs = page.eval_on_selector_all(
        "td[data-id^='cost_']", "all => all.map(cell => cell.firstChild.textContent.trim())"
    )
    assert set(costs) == {"-"}
    page.close()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pue", "0.9", "must be at least 1 and at most 10"), ("utilization", "0", "must be above 0 and at most 1"),
        ("rent_h100_sxm", "-2", "must be above 0"), ("power_price", "", "must be at least 0"),
    ],
)  # fmt: skip
def test_a_field_that_holds_what_no_prices_file_may_is_marked_with_the_reason(
    chromium: Any, pages: Path, name: str, value: str, words: str
) -> None:
    page = open_page(chromium, pages / "built.html")
    field = page.locator(f"td[data-id='{name}'] input")
    field.fill(value)
    assert field.get_attribute("aria-invalid") == "true"
    assert page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text() == words
    page.locator("#as-built").click()
    assert field.get_attribute("aria-invalid") is None
    assert page.locator(".wrong:visible").count() == 0
    page.close()


def test_what_an_answer_says_of_price_follows(chromium: Any, pages: Path) -> None:
    page = open_page(chromium, pages / "example.html")
    answer = page.locator(".answers li", has_text="at 50 ms per token")
    (before,) = re.findall(r"worth renting up to about ([\d.]+) USD/h a package", answer.inner_text())
    page.locator("td[data-id='rent_h100_sxm'] input").fill(str(2 * 2.95))
    (after,) = re.findall(r"worth renting up to about ([\d.]+) USD/h a package", answer.inner_text())
    assert float(after) == pytest.approx(2 * float(before), rel=0.01)
    page.close()
