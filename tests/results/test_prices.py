import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import project
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError
from bench.results.prices import Prices, bounds, check_devices, example_prices, load_prices

HEAD = 'currency = "USD"\n'
RENT = '[device.a.rental]\nvalue = {value}\ncurrency = "{currency}"\ndate = "2026-05"\nsource = "here"\n'


def read(text: str) -> Prices:
    return project.parse_toml(text.encode(), Prices, "prices.toml")


def test_the_shipped_example_is_marked_as_one_and_prices_known_devices():
    prices = load_prices(example_prices())
    assert prices.example
    check_devices(prices, list(known_sheets()), "example.toml")


def test_the_example_has_design_power_as_the_sheets_have_it():
    for name, device in load_prices(example_prices()).device.items():
        if device.tdp_w is not None:
            assert device.tdp_w.value == load_sheet(name).tdp_w.value


def test_every_price_of_the_example_says_where_and_when():
    for device in load_prices(example_prices()).device.values():
        for money in (device.purchase, device.rental):
            assert money is None or (money.source and money.date)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('currancy = "USD"', "prices.toml: unknown key 'currancy'; did you mean 'currency'?"),
        ('currency = "yuan"', "currency is 'yuan'; it must be three capitals, for example currency = \"CNY\" or \"USD\""),
        (HEAD + RENT.format(value=1, currency="rmb"), "currency is 'rmb'; it must be three capitals"),
        (HEAD + RENT.format(value=0, currency="USD"), "rental.value is 0.0; it must be above 0"),
        (HEAD + RENT.format(value=-1, currency="USD"), "value is -1.0; it must be at least 0"),
        (HEAD + RENT.format(value="nan", currency="USD"), "value is nan; it must be at least 0"),
        (HEAD + RENT.format(value="inf", currency="USD"), "value is inf; it must be at least 0"),
        (HEAD + RENT.format(value='"2"', currency="USD"), "Expected `float`, got `str`"),
        (HEAD + RENT.format(value=1, currency="USD").replace("2026-05", "May"),
         "date is 'May'; it must be a year, a month or a day, for example date = \"2026-05-31\" or \"2026-05\", or \"undated\""),
        (HEAD + RENT.format(value=1, currency="USD").replace("2026-05", "2026-13"), "date is '2026-13'"),
        (HEAD + RENT.format(value=1, currency="USD").replace("2026-05", "2026-02-30"), "date is '2026-02-30'"),
        (HEAD + 'pue = { value = 1.2, source = "x", date = "5/2026" }', "date is '5/2026'"),
        (HEAD + '[[exchange]]\nfrom = "yuan"\nto = "USD"\nrate = 7\ndate = "2026"\nsource = "x"', "from is 'yuan'"),
        (HEAD + '[utilization]\nvalue = 1.2\nsource = "x"', "utilization.value is 1.2; it must be above 0 and at most 1"),
        (HEAD + '[pue]\nvalue = 0.9\nsource = "x"', "pue.value is 0.9; it must be at least 1 and at most 10"),
        (HEAD + '[residual]\nvalue = nan\nsource = "x"', "residual.value is nan"),
        (HEAD + 'power_basis = "guess"', "power_basis"),
        (HEAD + RENT.format(value=1, currency="USD").replace('date = "2026-05"\n', ""), "missing required field `date`"),
    ],
)  # fmt: skip
def test_bad_prices_are_told_with_key_and_value(text, message):
    with pytest.raises(DefinitionError) as raised:
        read(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_currency_without_a_rate_is_refused_with_what_to_add():
    with pytest.raises(DefinitionError) as raised:
        read(HEAD + RENT.format(value=1, currency="CNY"))
    assert str(raised.value) == (
        "prices.toml: device.a.rental is in CNY, costs are in USD, and no rate between them is given; add [[exchange]] "
        'from = "CNY", to = "USD", rate, date and source'
    )


@pytest.mark.parametrize(("of", "to"), [("CNY", "USD"), ("USD", "CNY")])
def test_a_rate_serves_in_both_directions(of, to):
    rate = f'[[exchange]]\nfrom = "{of}"\nto = "{to}"\nrate = 2\ndate = "2026"\nsource = "x"\n'
    assert read(HEAD + rate + RENT.format(value=1, currency="CNY")).exchange_to("CNY").rate == 2


def test_a_rate_of_two_other_currencies_does_not_help():
    rate = '[[exchange]]\nfrom = "CNY"\nto = "EUR"\nrate = 2\ndate = "2026"\nsource = "x"\n'
    with pytest.raises(DefinitionError, match="no rate between them"):
        read(HEAD + rate + RENT.format(value=1, currency="CNY"))


def test_a_device_that_nobody_knows_is_told_with_the_nearest_name():
    prices = read(HEAD + RENT.format(value=1, currency="USD").replace("device.a.", "device.h100-sxn."))
    with pytest.raises(DefinitionError, match=r"p.toml: unknown device 'h100-sxn'; did you mean 'h100-sxm'\?"):
        check_devices(prices, ["h100-sxm", "cpu"], "p.toml")


@given(st.binary(max_size=200))
def test_no_file_ends_in_anything_but_prices_or_one_line(content):
    with pytest.raises(DefinitionError, match=r"^p\.toml: "):
        project.parse_toml(b"currency = 1\n" + content, Prices, "p.toml")


@pytest.mark.parametrize("date", ["2026", "2026-05", "2026-05-31", "undated"])
def test_a_date_is_a_year_a_month_or_a_day(date):
    assert read(HEAD + RENT.format(value=1, currency="USD").replace("2026-05", date)).device["a"].rental.date == date


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("pue.value", (1, False, 10)), ("residual.value", (0, False, 1)), ("utilization.value", (0, True, 1)),
        ("device.a.rental.value", (0, True, None)), ("exchange.rate", (0, True, None)),
        ("power_price_per_kwh.value", (0, False, None)),
    ],
)  # fmt: skip
def test_what_may_stand_in_a_field_is_what_may_stand_in_the_file(key, expected):
    assert bounds(key) == expected
