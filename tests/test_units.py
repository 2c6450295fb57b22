"""Scaling for people, and reading what people type."""

from __future__ import annotations

import pytest

from bench.errors import DefinitionError
from bench.units import (
    as_given,
    counted,
    data_size,
    parse_count,
    parse_counts,
    percent,
    plus_or_ends,
    scaled,
    seconds,
    short_count,
    three_digits,
    times,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.0123"),
        (0.001, "0.001"),
        (0.00012345, "1.23e-04"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.0, "1,234"),
        (1234567.0, "1,234,567"),
        (-12.34, "-12.3"),
    ],
)
def test_a_number_is_shown_with_three_digits(value, text):
    assert three_digits(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (9.894e14, "FLOP/s", "989 TFLOP/s"),
        (3.35e12, "B/s", "3.35 TB/s"),
        (1.5e15, "FLOP/s", "1.50 PFLOP/s"),
        (2e9, "B", "2.00 GB"),
        (999, "B", "999 B"),
        (1500, "tok/s", "1.50 ktok/s"),
        (0.5, "W", "0.5 W"),
        (0, "B", "0 B"),
        (-2e9, "B", "-2.00 GB"),
        (None, "B", "-"),
    ],
)
def test_a_quantity_gets_the_prefix_that_fits(value, unit, text):
    assert scaled(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5e-9, "2.50 ns"),
        (12.34e-6, "12.3 us"),
        (4.56e-3, "4.56 ms"),
        (7.89, "7.89 s"),
        (99.9, "99.9 s"),
        (200.0, "3 min 20 s"),
        (120.0, "2 min 0 s"),
        (None, "-"),
    ],
)
def test_a_time_is_shown_as_people_read_it(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(80e9, "80.0 GB"), (1.5e6, "1.50 MB"), (None, "-")])
def test_memory_is_shown_in_decimal_units(value, text):
    assert data_size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "50%"), (0.0123, "1.2%"), (0, "0.0%"), (1.5, "150%"), (None, "-")]
)  # fmt: skip
def test_a_share_is_shown_in_percent_and_not_clipped(value, text):
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1000, "1000"),
        (1024, "1k"),
        (4096, "4k"),
        (4097, "4097"),
        (1024**2, "1M"),
        (3 * 2**20, "3M"),
        (2**30, "1024M"),
    ],
)
def test_a_size_is_written_short_in_a_name(value, text):
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("spread", "text"), [("1.0%", "+- 1.0%"), ("-7% to +31%", "-7% to +31%"), ("0.962x to 3.22x", "0.962x to 3.22x")]
)
def test_what_has_two_ends_needs_no_plus_minus(spread, text):
    assert plus_or_ends(spread) == text


@pytest.mark.parametrize(
    ("text", "value"), [("8", 8), ("4k", 4096), ("4K", 4096), ("1m", 1_048_576), ("2M", 2_097_152), (" 8 ", 8)]
)
def test_a_count_is_read(text, value):
    assert parse_count(text, "--batch") == value


@pytest.mark.parametrize(
    "text", ["", " ", "0", "0k", "-1", "1.5", "k", "8g", "1e3", "four", "8k8", "1_000", "+8", "8\n9"]
)
def test_what_is_no_count_is_refused(text):
    with pytest.raises(DefinitionError) as caught:
        parse_count(text, "--batch")
    assert str(caught.value) == f"--batch: {text!r} is not a positive whole number such as 8, 512 or 4k"


def test_a_count_written_by_short_count_is_read_back():
    for value in (1, 1000, 1024, 4097, 2**20, 3 * 2**20):
        assert parse_count(short_count(value), "x") == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,8,32", [1, 8, 32]),
        ("8", [8]),
        ("1k:32k:x2", [1024, 2048, 4096, 8192, 16384, 32768]),
        ("1:100:x3", [1, 3, 9, 27, 81]),
        ("64:256:+64", [64, 128, 192, 256]),
        ("64:255:+64", [64, 128, 192]),
        ("4:4:x2", [4]),
        ("1,2:8:x2,16", [1, 2, 4, 8, 16]),
        ("1k:2k:+512", [1024, 1536, 2048]),
        ("8,8,1", [8, 1]),
        ("8,2:8:x2", [8, 2, 4]),
        (" 1 , 2 ", [1, 2]),
    ],
)
def test_lists_and_ranges_are_read_in_order_without_repeats(text, values):
    assert parse_counts(text, "--batch") == values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a positive whole number"),
        ("1,", "'' is not a positive whole number"),
        ("1,,2", "'' is not a positive whole number"),
        ("1:8", "'1:8' is not a range; write FIRST:LAST:xFACTOR or FIRST:LAST:+STEP"),
        ("1:8:x2:3", "'1:8:x2:3' is not a range"),
        ("8:1:x2", "range '8:1:x2' ends below its start"),
        ("1:8:x1", "step 'x1' in '1:8:x1' is neither x2 or more nor +1 or more"),
        ("1:8:2", "is not a positive whole number"),
        ("1:8:12", "step '12' in '1:8:12' is neither"),
        ("1:8:+0", "'0' is not a positive whole number"),
        ("1:8:x", "'' is not a positive whole number"),
        ("1:8:", "'' is not a positive whole number"),
        ("0:8:+1", "'0' is not a positive whole number"),
        ("a:8:+1", "'a' is not a positive whole number"),
    ],
)
def test_what_is_no_range_is_refused_with_the_part_that_is_wrong(text, problem):
    with pytest.raises(DefinitionError) as caught:
        parse_counts(text, "--batch")
    assert str(caught.value).startswith("--batch: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_count_of_thousands_of_digits_is_refused():
    with pytest.raises(DefinitionError):
        parse_count("9" * 5000, "--batch")


def test_a_range_of_more_values_than_can_be_run_is_refused():
    with pytest.raises(DefinitionError):
        parse_counts("1:20000:+1", "--batch")


@pytest.mark.parametrize(("value", "text"), [(9.999, "10.0"), (99.96, "100"), (0.9996, "1.00"), (999.6, "1,000")])
def test_a_number_is_rounded_before_its_digits_are_chosen(value, text):
    assert three_digits(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.9999, "1.00 s"), (9.996e-4, "1.00 ms"), (float("inf"), "inf s")])
def test_a_time_is_rounded_before_its_unit_is_chosen(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.03, "30 ms"), (2.0, "2 s"), (1.5, "1.5 s"), (1.234, "1.234 s"), (1 / 30, "33.3 ms"), (0.00025, "0.25 ms"),
        (0.99999, "1 s"), (120.0, "120 s"), (3600.0, "3600 s"),
    ],
)  # fmt: skip
def test_a_limit_is_written_as_it_was_given(value, text):
    assert as_given(value) == text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0, "reading"), "0 readings"), ((1, "reading"), "1 reading"), ((1204, "reading"), "1,204 readings"),
        ((1, "series", "series"), "1 series"), ((2, "match", "matches"), "2 matches"),
    ],
)  # fmt: skip
def test_one_of_a_thing_is_no_plural(words, text):
    assert counted(*words) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.674, "1.67x"),
        (0.6, "0.60x"),
        (0.1, "0.10x"),
        (0.0372, "0.0372x"),
        (0.00266, "0.00266x"),
        (1234.5, "1,234.50x"),
    ],
)
def test_a_small_ratio_keeps_its_digits(ratio, text):
    assert times(ratio) == text
