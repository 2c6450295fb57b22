"""A table before it is printed."""

from __future__ import annotations

import pytest

from bench.report.layout import Column, Table


@pytest.fixture
def table() -> Table:
    return Table(
        [Column("a"), Column("b", keep=3), Column("c", right=True, keep=5)],
        [["1", "", "-"], ["2", "x", ""]],
        ["n"],
        "T",
    )


def test_without_a_column_cells_stay_below_their_headings(table):
    less = table.without(1)
    assert [column.name for column in less.columns] == ["a", "c"]
    assert less.rows == [["1", "-"], ["2", ""]]


def test_without_a_column_notes_and_title_stay(table):
    assert (table.without(0).notes, table.without(0).title) == (["n"], "T")


def test_without_a_column_the_table_itself_is_unchanged(table):
    table.without(0)
    assert len(table.columns) == len(table.rows[0]) == 3


def test_columns_with_nothing_to_say_go(table):
    assert [column.name for column in table.without_empty().columns] == ["a", "b"]


def test_a_column_that_must_be_kept_stays_even_when_empty():
    table = Table([Column("a"), Column("b", keep=9)], [["1", "-"]])
    assert len(table.without_empty().columns) == 2


def test_a_table_without_rows_keeps_its_headings():
    assert len(Table([Column("a", keep=1)]).without_empty().columns) == 1


def test_line_breaks_and_cursor_codes_become_spaces():
    table = Table([Column("a")], [["x\ny\x1b[2Jz\r"]], ["one\ntwo"]).one_line_each()
    assert table.rows == [["x y [2Jz "]]
    assert table.notes == ["one two"]


def test_letters_of_any_script_stay():
    assert Table([Column("a")], [["昇腾 910C ± µs"]]).one_line_each().rows == [["昇腾 910C ± µs"]]
