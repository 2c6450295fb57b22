"""Printing: nothing is cut, whole columns go and are named, Markdown and streams are safe."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, markdown, table_text, width_of


def people() -> Table:
    return Table(
        [Column("case"), Column("time", right=True), Column("MFU", right=True, keep=5), Column("bound", keep=4)],
        [["gemm[n=8192]", "1.23 ms", "61%", "compute"], ["copy", "12.5 ms", "3.0%", "memory"]],
    )


WHOLE = """\
case             time   MFU  bound
------------  -------  ----  -------
gemm[n=8192]  1.23 ms   61%  compute
copy          12.5 ms  3.0%  memory"""

NARROW = """\
case             time   MFU
------------  -------  ----
gemm[n=8192]  1.23 ms   61%
copy          12.5 ms  3.0%
(left out, the window is narrow: bound; --format md or csv has all)"""

NARROWER = """\
case             time
------------  -------
gemm[n=8192]  1.23 ms
copy          12.5 ms
(left out, the window is narrow: bound, MFU; --format md or csv has all)"""

BLOCKS = """\
case   gemm[n=8192]
time   1.23 ms
MFU    61%
bound  compute

case   copy
time   12.5 ms
MFU    3.0%
bound  memory"""


@pytest.mark.parametrize(
    ("width", "text"), [(36, WHOLE), (35, NARROW), (27, NARROW), (26, NARROWER), (21, NARROWER), (20, BLOCKS)]
)
def test_columns_go_by_priority_until_the_table_fits(width, text):
    assert table_text(people(), width) == text


def test_a_title_stands_above_and_notes_below():
    table = Table([Column("a")], [["1"]], ["* a note"], "Title")
    assert table_text(table, 80) == "Title\n\na\n-\n1\n\n* a note"


def test_a_title_stands_above_the_blocks_too():
    table = Table([Column("name"), Column("value")], [["long name", "long value"]], ["a note"], "Title")
    assert table_text(table, 10) == "Title\nname   long name\nvalue  long value\n\na note"


def test_a_block_leaves_out_what_is_missing():
    table = Table([Column("a"), Column("b")], [["x" * 20, "-"], ["y" * 20, "z"]])
    assert table_text(table, 10) == f"a  {'x' * 20}\n\na  {'y' * 20}\nb  z"


def test_words_go_on_below_and_numbers_do_not():
    table = Table(
        [Column("reading", wrap=True), Column("n", right=True)], [["estimated: the left one is better by far", "12"]]
    )
    assert table_text(table, 36).splitlines()[2:] == [
        "estimated: the left one is        12",
        "better by far",
    ]


def test_a_word_longer_than_its_column_is_not_cut():
    word = "w" * 50
    table = Table([Column("reading", wrap=True), Column("n")], [[f"an {word} word", "1"]])
    assert word in table_text(table, 40)


def test_bold_is_in_the_heading_only_and_changes_no_text():
    bold, plain = table_text(people(), 80, bold=True), table_text(people(), 80)
    assert bold.startswith("\033[1mcase")
    assert bold.replace("\033[1m", "").replace("\033[0m", "") == plain


def test_a_line_break_in_a_cell_does_not_break_the_row():
    text = table_text(Table([Column("a"), Column("b")], [["x\ny", "1"]]), 80)
    assert text.splitlines()[2:] == ["x y  1"]


def test_a_table_without_rows_is_its_heading():
    assert table_text(Table([Column("case"), Column("n")]), 80) == "case  n\n----  -"


CELLS = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=12)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=4),
    keeps=st.tuples(*[st.integers(1, 9)] * 4),
    width=st.integers(20, 80),
)
def test_no_line_is_wider_than_the_window_and_no_cell_is_cut(rows, keeps, width):
    table = Table([Column(f"column{i}", keep=keep) for i, keep in enumerate(keeps)], [list(row) for row in rows])
    lines = table_text(table, width).splitlines()
    if lines[1].strip("- "):
        return  # one block a row: every cell has a line of its own
    shown = lines[0].split()
    assert max(len(line) for line in lines[: 2 + len(rows)]) <= width
    for line, row in zip(lines[2:], rows, strict=False):
        assert line.split() == [cell for cell, column in zip(row, table.columns, strict=True) if column.name in shown]


# -- Markdown ----------------------------------------------------------------------------------------------------------


def test_markdown_has_all_columns_with_numbers_to_the_right():
    assert markdown(people()) == (
        "| case | time | MFU | bound |\n"
        "|---|---:|---:|---|\n"
        "| gemm[n=8192] | 1.23 ms | 61% | compute |\n"
        "| copy | 12.5 ms | 3.0% | memory |"
    )


def test_markdown_pipes_and_html_are_escaped():
    table = Table([Column("a|b")], [["die | package"], ["<script>alert(1)</script>"]], ["see <b>|"], "<T>")
    assert markdown(table) == (
        "**&lt;T>**\n\n| a\\|b |\n|---|\n| die \\| package |\n| &lt;script>alert(1)&lt;/script> |\n\n- see &lt;b>\\|"
    )


def test_a_backslash_before_a_pipe_does_not_free_the_pipe():
    assert markdown(Table([Column("a")], [["x\\|y"]])).splitlines()[2] == "| x\\\\\\|y |"


def test_a_line_break_does_not_end_a_markdown_row():
    assert markdown(Table([Column("a")], [["x\ny"]])).splitlines()[2:] == ["| x y |"]


def test_a_note_that_begins_with_a_star_keeps_it():
    assert markdown(Table([Column("a")], [["1"]], ["* of the best"])).endswith("\n- \\* of the best")


# -- streams -------------------------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    for name in ("COLUMNS", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


def printed(text: str, encoding: str) -> bytes:
    """What arrives where a stream of this encoding ends."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    emit(text, stream)
    return stream.buffer.getvalue()


def test_text_that_an_ascii_stream_cannot_hold_is_replaced():
    assert printed("昇腾 910C ± 3 µs", "ascii") == b"?? 910C ? 3 ?s\n"


def test_text_that_a_stream_can_hold_is_left_alone():
    assert printed("昇腾 ±", "utf-8").decode() == "昇腾 ±\n"


def test_a_lone_surrogate_does_not_crash():
    assert printed("r\udce9sultats", "utf-8") == b"r?sultats\n"


def test_a_stream_without_an_encoding_takes_everything():
    stream = io.StringIO()
    emit("±", stream)
    assert stream.getvalue() == "±\n"


def test_text_goes_to_stdout_at_once(capsys):
    emit("x")
    assert capsys.readouterr().out == "x\n"


def test_a_pipe_is_as_wide_as_a_page():
    assert width_of(io.StringIO()) == 160


def test_columns_decides_the_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "97")
    assert width_of(Screen()) == width_of(io.StringIO()) == 97


def test_a_width_too_small_for_anything_becomes_20(monkeypatch):
    monkeypatch.setenv("COLUMNS", "3")
    assert width_of(io.StringIO()) == 20


@pytest.mark.parametrize("value", ["", "wide", "-5"])
def test_columns_that_is_no_number_is_passed_over(value, monkeypatch):
    monkeypatch.setenv("COLUMNS", value)
    assert width_of(io.StringIO()) == 160


def test_a_terminal_that_does_not_tell_its_size_is_80_wide():
    assert width_of(Screen()) == 80


def test_styles_are_for_terminals_only():
    assert colored(Screen())
    assert not colored(io.StringIO())


def test_no_color_is_obeyed_as_flag_and_variable(monkeypatch):
    assert not colored(Screen(), no_color=True)
    monkeypatch.setenv("NO_COLOR", "")
    assert not colored(Screen())


def test_a_dumb_terminal_gets_no_styles(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert not colored(Screen())
