"""The page as text: one file, nothing from elsewhere, everything escaped, notes by letter, long tables in pieces."""

import base64
import hashlib
import re

import msgspec
import pytest

from bench.report.build import build
from bench.report.document import Assumption, Cell, Column, Section, Table, every_table
from bench.report.page.html import CHUNK, page

HOSTILE = "<script>alert(1)</script>'\"</style>{{ 7 * 7 }}"


@pytest.fixture
def shown(reported):
    return page(reported)


def added(report, *tables, **changes):
    report.sections.append(Section(id="more", title="More", tables=list(tables), **changes))
    return page(report)


def table(*cells):
    return Table(id="own", title="Own", columns=[Column(name="n", number=True)], rows=[[cell] for cell in cells])


def test_nothing_on_the_page_is_loaded_from_anywhere(shown):
    outside = re.findall(r'(?:src|href|url|@import)\s*[=(]\s*["\']?(?!#|data:)[a-z]+:', shown)
    assert outside == []
    assert "default-src 'none'" in shown


def test_only_the_page_s_own_script_may_run(shown):
    (script,) = re.findall(r"<script>(.*?)</script>", shown, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in shown


def test_hostile_text_is_text_wherever_it_comes_from(two):
    first = two[0].rows[0]
    first.device_name = first.workload = HOSTILE
    first.case_id = f"{HOSTILE}[b=1]"
    two[0].rows[1].status, two[0].rows[1].reason = "error", HOSTILE
    two[0].operand.environment.host = two[0].operand.environment.command = HOSTILE
    report = build(two, targets=[], command=HOSTILE, created=HOSTILE, title=HOSTILE)
    report.assumptions = [Assumption(id="a", label=HOSTILE, value=1.0, unit=HOSTILE, source=HOSTILE)]
    report.citations = [HOSTILE]
    shown = page(report)
    assert shown.count("<script") == shown.count("</style>") == 1
    assert "alert(1)" in shown
    assert "49" not in re.findall(r"<title>(.*?)</title>", shown, re.S)[0]


def test_a_missing_number_refers_to_its_reason_once(reported):
    cells = [Cell(value=None, unit="s", note="no power"), Cell(value=None, unit="s", note="no power")]
    shown = added(reported, table(*cells))
    assert shown.count("-<sup>a</sup>") >= 2
    assert shown.count("<li><sup>a</sup> no power</li>") == 1


def test_a_shared_unit_stands_in_the_heading_and_an_interval_below_the_number(reported):
    shown = added(reported, table(Cell(value=10.0, unit="tok/s", source="modelled:sheet", interval=(9.0, 11.0))))
    assert "<small>tok/s</small>" in shown
    assert re.search(r'<td class="n">~10.0 <small>9.00 to 11.0</small></td>', shown)


def test_a_long_table_is_cut_and_each_piece_has_its_heading(reported):
    shown = added(reported, table(*(Cell(value=1.0, unit="s", source="measured") for _ in range(2 * CHUNK + 1))))
    assert [f'id="table-{name}"' in shown for name in ("own", "own-2", "own-3", "own-4")] == [True, True, True, False]
    assert f"Own, rows {2 * CHUNK + 1} to {2 * CHUNK + 1}" in shown


def test_a_name_stands_once_for_its_rows_and_again_after_eight(reported):
    rows = [["one", Cell(value=1.0, unit="1", source="measured")]] * 10 + [["two", Cell(value=2.0, unit="1")]]
    own = Table(id="own", title="Own", columns=[Column(name="case"), Column(name="n", number=True)], rows=rows)
    body = added(reported, own).partition('id="table-own"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="(\w+)"(?: rowspan="(\d)")? class="s">(\w+)</th>', body) == [
        ("rowgroup", "8", "one"), ("rowgroup", "2", "one"), ("row", "", "two")
    ]  # fmt: skip
    assert body.count('<td class="n"') == len(rows)


def test_a_case_breaks_at_its_brackets_and_commas_and_is_escaped(reported):
    own = Table(id="own", title="Own", columns=[Column(name="case")], rows=[["a-b[c=<i>,d]"]])
    assert "a-b<wbr>[c=&lt;i&gt;,<wbr>d]" in added(reported, own)


def test_the_note_of_a_column_stands_below_the_table(reported):
    own = Table(id="own", title="Own", columns=[Column(name="n", number=True, note="of which")])
    shown = added(reported, own)
    assert '<th scope="col" class="n">n<sup>a</sup></th>' in shown
    assert "<li><sup>a</sup> of which</li>" in shown


def test_the_list_of_series_says_what_hollow_means_where_something_was_not_measured(reported):
    figure = page(reported).partition('id="chart-mbu-decode"')[2].partition("</ul>")[0]
    assert "hollow: not measured" in figure
    for side in reported.sections:
        for chart in side.charts:
            for row in chart.rows:
                row["source"] = "measured"
    assert "hollow: not measured" not in page(reported)


def test_the_list_of_series_says_that_hollow_is_in_doubt_too(reported):
    for section in reported.sections:
        for chart in section.charts:
            chart.rows[0]["doubt"] = "disturbed"
    assert "hollow: not measured or in doubt" in page(reported)


def test_a_table_without_rows_still_has_its_heading(reported):
    assert '<table class="data" id="table-own">' in added(reported, table())


def test_a_citation_is_linked(reported):
    reported.citations = ["somebody, somewhere"]
    shown = added(reported, table(Cell(value=1.0, unit="s", source="published", cite=1)))
    assert '<a href="#cite-1">[1]</a>' in shown
    assert '<li id="cite-1">somebody, somewhere</li>' in shown


def test_one_side_alone_has_a_page(two):
    shown = page(build(two[:1], targets=[], command="c", created="now"))
    assert "One system: there is nothing to compare it with." in shown


def test_every_chart_has_its_words_and_its_numbers(reported, shown):
    for section in reported.sections:
        for chart in section.charts:
            assert f'id="chart-{chart.id}"' in shown
            assert f'id="table-{chart.table.id}"' in shown
    assert shown.count('role="graphics-document"') == sum(len(section.charts) for section in reported.sections)


def test_multiplicity_and_left_out_cases_are_on_the_front(two, row):
    two[0].operand.rows.append(row(case_id="big", status="oom", reason="no room", device="a", unit="package"))
    shown = page(build(two, targets=[], command="c", created="now"))
    assert "3 readings on 5 axes were looked at" in shown
    assert "a 1 case, b 1 case" in shown


def test_rows_beyond_what_a_page_holds_are_counted_and_where_all_of_them_are_is_said(reported, monkeypatch):
    monkeypatch.setattr("bench.report.page.html.MOST_ROWS", 2)
    shown = page(reported)
    assert "4 more rows are not on this page; all are in the CSV, JSON, markdown and workbook of this report" in shown
    (table,) = [each for _, each in every_table(reported) if each.id == "cases"]
    assert len(table.rows) == 6


def test_how_it_is_worked_out_is_folded_and_what_a_section_begins_with_is_not(reported):
    section = reported.sections[1]
    first = section.tables[0]
    first.rows, first.aside = first.rows[:1] * 40, False
    section.tables = [
        first,
        table_of(first, 9, aside=False),
        table_of(first, 8, aside=False),
        table_of(first, 1, aside=True),
    ]
    folded = re.findall(r"<details><summary>Every case: ([\d,]+) rows?</summary>", page(reported))
    assert folded == ["9", "1"]


def table_of(table, count, **changes):
    return msgspec.structs.replace(table, id=f"{table.id}-{count}", rows=table.rows[:1] * count, **changes)
