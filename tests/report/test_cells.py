"""Cells as people read them."""

import pytest

from bench.report.cells import LEGEND, interval_text, number, shared_unit, text
from bench.report.document import Cell, Column, Table


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Cell(value=437.2, unit="tok/s", source="modelled:sheet"), "~437 tok/s"),
        (Cell(value=0.0123, unit="s", source="measured"), "12.3 ms"),
        (Cell(value=0.47, unit="share", source="published"), "^47%"),
        (Cell(value=1.5, unit="x", source="interpolated"), "≈1.50x"),
        (Cell(value=2.0, unit="USD/h", source="assumed"), "*2.00 USD/h"),
        (Cell(value=16.0, unit="1", source="measured"), "16"),
        (Cell(value=3e14, unit="FLOP/s", source="measured"), "300 TFLOP/s"),
        (Cell(value=None, unit="s", note="not run"), "-"),
        (Cell(value=158.49, unit="x", source="measured", doubt="disturbed"), "?158.49x"),
        (Cell(value=0.0123, unit="s", source="interpolated", doubt="busy"), "≈?12.3 ms"),
    ],
)
def test_a_number_carries_its_mark_and_unit(cell, words):
    assert text(cell) == words


def test_an_interval_is_written_in_its_unit():
    assert interval_text((0.001, 0.002), "s") == "1.00 ms to 2.00 ms"
    assert interval_text((38400.2, 38400.4), "USD") == "38,400 USD"
    assert interval_text(None, "s") == "-"


def test_zero_is_zero_and_not_missing():
    assert number(0.0, "tok/s") == "0 tok/s"


@pytest.mark.parametrize(
    ("units", "shared"), [(("tok/s", "tok/s"), "tok/s"), (("tok/s", "W"), ""), (("s", "s"), ""), (("x", "x"), "")]
)
def test_a_unit_that_all_cells_share_stands_in_the_heading(units, shared):
    cells = [[Cell(value=1.0, unit=unit, source="measured")] for unit in units]
    table = Table(id="t", title="t", columns=[Column(name="n", number=True)], rows=cells)
    assert shared_unit(table, 0) == shared


def test_what_was_worked_out_of_assumptions_is_not_called_one():
    """A fleet's size is no field that a reader can edit."""
    assert LEGEND["assumed"].startswith("* rests on assumptions (prices, a demand), whatever else went into it")
