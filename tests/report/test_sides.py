"""A measured device has the price of the sheet it matched, unless the prices file names the device itself."""

from bench.report.parts.cost import cost
from bench.report.sides import Paper, Side
from bench.results.compare import Operand
from bench.results.prices import DevicePrice, Money, Prices, Share


def rent(value):
    return DevicePrice(rental=Money(value=value, currency="USD", date="2026", source="list"))


def measured(row, sheet):
    rows = [row(device="cuda:0", output_tokens_per_s=1000.0), row(device="cpu", case_id="other")]
    return Side(Operand("run", rows), "cuda:0", Paper(sheet=sheet), at_targets=[row(device="cuda:0", case_id="t")])


def test_the_name_of_the_sheet_stands_for_the_device_s(row):
    side = measured(row, "h200-sxm").priced({"h200-sxm"})
    assert (side.device, side.label) == ("h200-sxm", "run")
    assert [each.device for each in (*side.rows, *side.at_targets)] == ["h200-sxm", "cpu", "h200-sxm"]


def test_a_price_of_the_device_itself_comes_first(row):
    side = measured(row, "h200-sxm")
    assert side.priced({"h200-sxm", "cuda:0"}) is side


def test_a_device_that_matched_no_sheet_keeps_its_name(row):
    side = measured(row, "")
    assert side.priced({"h200-sxm"}) is side


def test_a_million_tokens_of_a_measured_device_cost_what_its_sheet_s_rent_says(row):
    """3.60 USD an hour at 1,000 tokens a second and every hour used: 1 USD a million."""
    prices = Prices(currency="USD", utilization=Share(value=1, source="log"), device={"h200-sxm": rent(3.6)})
    side = Side(Operand("run", [row(device="cuda:0", output_tokens_per_s=1000.0)]), "cuda:0", Paper(sheet="h200-sxm"))
    part = cost([side.priced(prices.device)], prices, "prices.toml")
    (table,) = [table for table in part.sections[0].tables if table.id == "cost"]
    assert [cell.value for cell in table.rows[0][7:9]] == [None, 1.0]
    assert [each.key for each in part.assumptions if each.id == "rent_h200_sxm"] == ["device.h200-sxm.rental.value"]
