"""A workbook, read back with another library: numbers, sources, live formulas, charts, and text that stays text."""

from __future__ import annotations

import io
import re
import zipfile

import msgspec
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ResultError
from bench.report.document import Assumption, Cell, Chart, Column, Report, Section, System, Table
from bench.report.xlsx.book import workbook
from bench.report.xlsx.pen import number_format
from bench.report.xlsx.place import letters, sheet_name
from bench.results.formula import evaluate
from bench.results.verdict import Verdict

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(\"http://x\")", "<script>alert(1)</script>", "[red]", "http://x.y",
           "1e5", "a\x00\x1f\x7fb", "\ud800", "'", "x" * 40_000, "{=1}", "\t=1"]  # fmt: skip


def table(cells, columns=None, table_id="t"):
    columns = columns or [
        Column(name="case"),
        *(Column(name=f"n{index}", number=True) for index in range(len(cells[0]) - 1)),
    ]
    return Table(id=table_id, title="A table", columns=columns, rows=cells, notes=["a note"])


def report(sections, assumptions=(), **more):
    given = {
        "id": "abc", "title": "a against b", "question": "Which?", "created": "2026-11-22T10:00:00+00:00",
        "bench_version": "0.3.0", "command": "bench report a b", "sections": sections, "assumptions": list(assumptions),
        "systems": [System(label="a", device="a", name="A", unit="package", sources=["measured"])],
    }  # fmt: skip
    return Report(**(given | more))


def read(made, *, values=False):
    return openpyxl.load_workbook(io.BytesIO(workbook(made)), data_only=values)


PRICE = Assumption(id="price_a", label="price of a", value=100.0, unit="USD", source="list", date="2026", example=True,
                   file="example.toml")  # fmt: skip


@pytest.fixture
def costed():
    """A report whose sheet "Cost" rests on a price: 100 x 2 = 200, and twice that."""
    first = Cell(value=200.0, unit="USD", source="assumed", interval=(150.0, 250.0), id="cost_1", formula="price_a * 2")
    second = Cell(value=400.0, unit="USD", source="assumed", formula="cost_1 * 2e0")
    rate = Cell(value=0.25, unit="share", source="modelled:sheet", interval=(0.2, 0.3), note="why")
    missing = Cell(value=None, unit="USD", note="no price")
    rows = [["one", second, rate], ["two", first, missing]]
    return report([Section(id="cost", title="Cost", text=["words"], tables=[table(rows)])], [PRICE])


def test_numbers_are_numbers_with_their_interval_and_source_beside_them(costed):
    sheet = read(costed, values=True)["Cost"]
    head = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "case")
    assert head[1:10] == (
        "n0 [USD]",
        "low of it",
        "high of it",
        "source",
        "n1",
        "low of it",
        "high of it",
        "source",
        "note",
    )
    lines = {row[0]: row for row in sheet.iter_rows(values_only=True) if row[0] in ("one", "two")}
    assert lines["two"][1:5] == (200, 150, 250, "assumed")
    assert lines["one"][5:10] == (0.25, 0.2, 0.3, "modelled:sheet", "why")


def test_a_missing_number_is_an_empty_cell_with_its_reason(costed):
    line = next(row for row in read(costed)["Cost"].iter_rows(values_only=True) if row[0] == "two")
    assert line[5:10] == (None, None, None, "missing", "no price")


def test_what_rests_on_an_assumption_is_a_live_formula_with_its_value_beside(costed):
    book = read(costed)
    assert book["Assumptions"]["B5"].value == 100
    formulas = {c.coordinate: c.value for row in book["Cost"].iter_rows() for c in row if c.data_type == "f"}
    assert "='Assumptions'!$B$5 * 2" in formulas.values()
    # A cell further down, and an exponent that is no name.
    assert "='Cost'!$B$7 * 2e0" in formulas.values()
    cached = read(costed, values=True)["Cost"]
    assert [cached[where].value for where in formulas if where.startswith("B")] == [400, 200]


def test_an_interval_of_an_edited_number_is_empty(costed):
    formulas = [
        c.value for row in read(costed)["Cost"].iter_rows() for c in row if c.data_type == "f" and c.column == 3
    ]
    assert formulas == ['=IF(ABS(B7-(200.0))<=ABS(200.0)*0.000001,150.0,"")']


@pytest.fixture
def judged():
    """A report whose verdict is 200 over 400, both from a price of 100, within 10 %."""
    cells = [
        Cell(value=200.0, unit="USD", source="assumed", id="cost_1", formula="price_a * 2"),
        Cell(value=400.0, unit="USD", source="assumed", id="cost_2", formula="price_a * 4"),
        Cell(value=0.5, unit="x", source="assumed", interval=(0.45, 0.55), id="cost_1_over_cost_2",
             formula="cost_1 / cost_2", ends=("cost_1 / cost_2 * 0.9", "cost_1 / cost_2 * 1.1")),
        'estimated: "a" better by 2.00x',
    ]  # fmt: skip
    columns = [Column(name="case"), *(Column(name=name, number=True) for name in "abr"), Column(name="reading")]
    verdict = Verdict(axis="price/performance", metric="cost", a='"a"', b="b", reading='estimated: "a" better by 2.00x',
                      a_value=200.0, b_value=400.0, a_id="cost_1", b_id="cost_2", ratio=0.5, interval=(0.45, 0.55),
                      unit="USD", source="assumed")  # fmt: skip
    section = Section(id="ratios", title="Ratios", tables=[table([["one", *cells]], columns)])
    return report([section], [PRICE], verdicts=[verdict])


def test_ends_of_an_interval_that_follow_are_formulas(judged):
    live = [c.value for row in read(judged)["Ratios"].iter_rows() for c in row if c.data_type == "f"]
    assert "=MAX(0,'Ratios'!$B$5 / 'Ratios'!$D$5 * 0.9)" in live
    cached = [c for row in read(judged, values=True)["Ratios"].iter_rows(values_only=True) for c in row]
    assert {0.5, 0.45, 0.55} <= set(cached)


def test_the_verdict_on_the_front_refers_to_the_cells_it_follows_from(judged):
    line = next(row for row in read(judged)["Report"].iter_rows(values_only=True) if row[0] == "price/performance")
    assert line[5:7] == ("='Ratios'!$B$5", "='Ratios'!$D$5")
    assert line[8:11] == ("='Ratios'!$F$5", "='Ratios'!$G$5", "='Ratios'!$H$5")
    told = next(row for row in read(judged, values=True)["Report"].iter_rows(values_only=True) if row[5] == 200)
    assert told[8:12] == (0.5, 0.45, 0.55, 'estimated: "a" better by 2.00x')


def test_the_words_of_a_verdict_hold_until_its_ratio_is_changed(judged):
    words = [
        c.value for sheet in read(judged) for row in sheet.iter_rows() for c in row if "changed: read" in str(c.value)
    ]
    assert (
        words
        == [
            '=IF(ABS(\'Ratios\'!$F$5-(0.5))<=ABS(0.5)*0.000001,"estimated: ""a"" better by 2.00x",'
            '"changed: read the ratio and its interval")'
        ]
        * 2
    )


def test_every_formula_of_a_whole_workbook_gives_its_cached_value(costed):
    live, cached = read(costed), read(costed, values=True)
    checked = 0
    for sheet in live:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f" and not cell.value.startswith("=IF("):
                    assert worked_out(live, cell.value) == pytest.approx(cached[sheet.title][cell.coordinate].value)
                    checked += 1
    assert checked == 2


def worked_out(book, formula):
    """What a formula gives, its references followed."""
    values = {}

    def named(match):
        name = f"v{len(values)}"
        value = book[match[1]][match[2] + match[3]].value
        values[name] = worked_out(book, value) if isinstance(value, str) else float(value)
        return name

    return evaluate(re.sub(r"'([^']+)'!\$([A-Z]+)\$(\d+)", named, formula.removeprefix("=")), values)


def test_a_name_that_stands_for_nothing_is_told_before_anything_is_written():
    bad = report(
        [Section(id="s", title="S", tables=[table([["x", Cell(value=1.0, unit="1", formula="nothing * 2")]])])]
    )
    with pytest.raises(ResultError, match="names 'nothing', which is no assumption and no cell"):
        workbook(bad)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_wherever_it_stands(text):
    cell = Cell(value=1.0, unit=text, source="measured", note=text)
    chart = Chart(id="c", title=text, kind="dots", alt=text, marks=1, table=table([[text, cell]], table_id="c"),
                  rows=[{"row": text, "series": text, "value": 1.0, "source": "measured", "label": text}],
                  options={"x_title": text})  # fmt: skip
    made = report(
        [Section(id="s", title=text, text=[text], notes=[text], charts=[chart], tables=[table([[text, cell]])])],
        [Assumption(id="a", label=text, value=1.0, unit=text, source=text)], title=text, question=text,
        systems=[System(label=text, device=text, name=text, unit=text, sources=[text], facts={text: text})],
        verdicts=[Verdict(axis="energy", metric=text, a=text, b=text, reading=text, why=text)], rules=[text],
    )  # fmt: skip
    for sheet in read(made):
        for row in sheet.iter_rows():
            for each in row:
                assert each.data_type != "f" or each.value.startswith("='")
                assert each.hyperlink is None
                assert each.data_type != "n" or not isinstance(each.value, str)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_title_gives_a_sheet_that_opens(title):
    name = sheet_name(title, set())
    assert 0 < len(name) <= 31
    assert not set(name) & set("[]:*?/\\'")
    read(report([Section(id="s", title=title, tables=[table([["x", Cell(value=1.0, unit="1", source="measured")]])])]))


def test_sheets_of_one_title_are_told_apart():
    taken = {"cost"}
    assert [sheet_name("Cost", taken), sheet_name("COST", taken), sheet_name("x" * 40, taken), sheet_name("x" * 41, taken)] == [
        "Cost 2", "COST 3", "x" * 31, "x" * 29 + " 2",
    ]  # fmt: skip
    assert sheet_name("History", set()) == "History 2"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_missing(value):
    cell = Cell(value=value, unit="1", source="measured", interval=(value, 1.0))
    sheet = read(report([Section(id="s", title="S", tables=[table([["x", cell]])])]))["S"]
    line = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "x")
    assert (line[1], line[2], line[4]) == (None, None, "missing")


KINDS = {
    "curve": ({"x": 1.0, "y": 2.0, "low": None, "high": None}, {"x_log": True}, "scatterChart"),
    "roofline": ({"x": 1.0, "y": 2.0}, {"roofs": [{"text": "bf16", "points": [[1, 1], [9, 3]]}]}, "scatterChart"),
    "dots": ({"row": "r", "value": 2.0, "low": None, "high": None}, {"percent": True}, "barChart"),
    "forest": ({"row": "r", "ratio": 2.0, "low": None, "high": None}, {}, "barChart"),
    "stack": ({"part": "p", "value": 2.0}, {}, "barChart"),
    "bars": ({"part": "p", "value": 2.0}, {}, "barChart"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_chart_is_a_native_one_whose_numbers_follow_the_table(kind):
    fields, options, element = KINDS[kind]
    key = "y" if "y" in fields else "ratio" if "ratio" in fields else "value"
    cell = Cell(value=fields[key], unit="1", source="modelled:sheet")
    row = {"series": "a", "source": "modelled:sheet", "label": "l"} | fields
    chart = Chart(id="c", title="T", kind=kind, alt="words for who cannot see it", rows=[row], marks=1,
                  table=table([["x", cell]]), options=options)  # fmt: skip
    made = report([Section(id="s", title="S", charts=[chart])])
    archive = zipfile.ZipFile(io.BytesIO(workbook(made)))
    drawn = archive.read("xl/charts/chart1.xml").decode()
    assert f"<c:{element}>" in drawn
    assert "'Chart data'!" in drawn
    assert "words for who cannot see it" in archive.read("xl/drawings/drawing1.xml").decode()
    data = read(made)["Chart data"]
    # Below the picture: a title, 21 rows for it and an empty one, the table's title and its heading.
    assert "='S'!$B$26" in [each.value for line in data.iter_rows() for each in line]


def drawn(kind, *rows, options=None):
    fields, given, _ = KINDS[kind]
    rows = [{"series": "a", "source": "measured", "label": "l"} | fields | row for row in rows or ({},)]
    chart = Chart(id="c", title="T", kind=kind, alt="", rows=rows, marks=len(rows), table=table([["x"]]),
                  options=given if options is None else options)  # fmt: skip
    made = workbook(report([Section(id="s", title="S", charts=[chart])]))
    return zipfile.ZipFile(io.BytesIO(made)).read("xl/charts/chart1.xml").decode()


@pytest.mark.parametrize("kind", ["dots", "forest", "stack", "bars"])
def test_the_first_bar_is_at_the_top_and_values_grow_to_the_right(kind):
    names, values = re.findall(r"<c:(?:cat|val)Ax>.*?</c:(?:cat|val)Ax>", drawn(kind))
    assert names.startswith("<c:catAx>")
    assert '<c:orientation val="maxMin"/>' in names
    assert '<c:orientation val="minMax"/>' in values
    # At the bottom, where the names end.
    assert '<c:crosses val="max"/>' in values


def test_bars_of_ratios_start_at_1_on_a_logarithmic_axis():
    names, values = re.findall(r"<c:(?:cat|val)Ax>.*?</c:(?:cat|val)Ax>", drawn("forest"))
    assert '<c:logBase val="2"/>' in values
    assert '<c:crossesAt val="1"/>' in names


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_measured_or_is_in_doubt_is_pale(kind):
    """Of the first colour, 0b5fa5, a third is left: (0x0b + 2 x 255) // 3 = 173, ..."""
    assert "ADC9E1" not in drawn(kind)
    assert "ADC9E1" in drawn(kind, {"source": "modelled:sheet"})
    assert "ADC9E1" in drawn(kind, {"doubt": "disturbed"})


def test_a_logarithmic_axis_is_as_long_as_its_decades():
    made = drawn("curve", {"x": 30.0}, {"x": 700.0}, options={"x_log": True})
    assert re.search(r'<c:max val="1000(\.0)?"/><c:min val="10(\.0)?"/>', made)


def test_a_long_table_has_a_sheet_of_its_own_whose_heading_stays(costed):
    lines = [[f"case {n}", Cell(value=float(n), unit="s", source="measured")] for n in range(41)]
    costed.sections[0].tables.append(
        Table(id="all", title="Every: case", columns=costed.sections[0].tables[0].columns[:2], rows=lines)
    )
    book = read(costed)
    assert book.sheetnames == ["Report", "Assumptions", "Cost", "Every case"]
    sheet = book["Every case"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B3", "A2:C43")
    assert (sheet["A2"].value, sheet["A3"].value, sheet["B43"].value) == ("case", "case 0", 40)


def test_each_fact_of_the_systems_has_a_line(costed):
    costed.systems = [System(label=name, device=name, name=name.upper(), unit="package", sources=["measured"],
                             facts={"memory": f"{name} GB"} if name == "a" else {}) for name in "ab"]  # fmt: skip
    lines = [row[:3] for row in read(costed)["Report"].iter_rows(values_only=True)]
    assert ("system", "a", "b") in lines
    assert ("device", "A", "B") in lines
    assert ("memory", "a GB", "not known") in lines


def test_charts_without_rows_are_left_out():
    chart = Chart(
        id="c",
        title="T",
        kind="curve",
        alt="",
        rows=[],
        marks=0,
        table=table([["x", "y"]], [Column(name="a"), Column(name="b")]),
    )
    archive = zipfile.ZipFile(io.BytesIO(workbook(report([Section(id="s", title="S", charts=[chart])]))))
    assert [name for name in archive.namelist() if "chart" in name] == []


def test_the_front_page_has_verdicts_with_ratio_reading_and_source():
    verdict = Verdict(axis="throughput", metric="decode", a="a", b="b", ratio=0.5, interval=(0.4, 0.6), source="measured",
                      reading="b better by 2.00x", a_value=1.0, b_value=2.0, unit="tok/s")  # fmt: skip
    rows = list(read(report([], verdicts=[verdict]))["Report"].iter_rows(values_only=True))
    line = next(row for row in rows if row[0] == "throughput")
    assert line[5:13] == (1, 2, "tok/s", 0.5, 0.4, 0.6, "b better by 2.00x", "measured")


def test_example_prices_are_marked_on_the_sheet_of_assumptions(costed):
    sheet = read(costed)["Assumptions"]
    assert sheet["A3"].value.startswith("EXAMPLE")
    assert [cell.value for cell in sheet[5]][-1] == "example"


def test_a_report_without_anything_is_a_workbook_all_the_same():
    assert read(report([])).sheetnames == ["Report"]


def test_the_same_report_is_the_same_file(costed):
    assert workbook(costed) == workbook(costed)


def test_columns_are_lettered_as_spreadsheets_do():
    assert [letters(n) for n in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


@pytest.mark.parametrize(
    ("value", "unit", "form"),
    [(0.5, "share", "0.0%"), (12345.0, "tok/s", "#,##0"), (3.0, "1", "#,##0"), (3.5, "1", "0.00"), (1e12, "B/s", "0.00E+00"),
     (2e-6, "s", "0.00E+00"), (0.02, "s", "0.0000"), (0.0, "W", "0.0000")],
)  # fmt: skip
def test_numbers_are_shown_as_large_as_they_are(value, unit, form):
    assert number_format(value, unit) == form


def test_only_examples_of_a_prices_file_make_its_assumptions_examples(costed):
    def told(*given):
        costed.assumptions = list(given)
        return read(costed)["Assumptions"]["A3"].value or ""

    node = Assumption(id="packages_per_node", label="packages in a node", value=8, unit="1", source="s", example=True)
    assert told(node, PRICE).startswith("EXAMPLE")
    assert told(node, msgspec.structs.replace(PRICE, example=False)) == ""
