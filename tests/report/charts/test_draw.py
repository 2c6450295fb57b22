"""Drawings: a mark a row, hollow where nothing was measured, one colour a system, names that stay names."""

import re

import pytest

from bench.report.charts.draw import KINDS, draw, order
from bench.report.charts.render import file_png, file_svg, page_svg
from bench.report.charts.style import PAPER, SCREEN, SHAPES, shape
from bench.report.document import Chart, Table

EMPTY = Table(id="t", title="t", columns=[])
COMMON = {"series": "a", "source": "measured", "label": "a: 1"}
ROWS = {
    "curve": [{"x": 1.0, "y": 2.0, "low": 1.0, "high": 3.0, "text": "1"}, {"x": 2.0, "y": 3.0, "low": None, "high": None, "text": "2"}],
    "roofline": [{"x": 1.0, "y": 2.0, "low": None, "high": None}],
    "forest": [{"row": "r", "ratio": 1.2, "low": 1.1, "high": 1.3, "reading": "a"}, {"row": "s", "ratio": 0.01, "low": None, "high": None, "reading": "b"}],
    "dots": [{"row": "r", "value": 0.5, "low": 0.4, "high": 0.6}],
    "stack": [{"part": "p", "value": 1.0}, {"part": "q", "value": 0.0}],
    "bars": [{"part": "p", "value": 1.0}],
}  # fmt: skip
OPTIONS = {
    "x_title": "x, s", "y_title": "y", "x_log": True, "y_log": True, "text": True,
    "rules": [{"x": 1.5, "text": "here"}], "roofs": [{"text": "bf16", "points": [[0.1, 0.5], [10.0, 5.0]]}],
}  # fmt: skip


def chart(kind, **changes):
    rows = [COMMON | row | changes for row in ROWS[kind]]
    return Chart(id="c", title="c", kind=kind, alt="", rows=rows, marks=len(rows), table=EMPTY, options=OPTIONS)


def marks(svg):
    return re.search(r'role-mark data_marks".*?</g>', svg, re.S)[0].count("<path")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_one_mark_a_row(kind):
    drawn = chart(kind)
    assert marks(page_svg(drawn, ["a"])) == drawn.marks


@pytest.mark.parametrize("kind", ["curve", "roofline", "forest", "dots"])
def test_what_was_not_measured_is_hollow(kind):
    filled = draw(chart(kind), PAPER, ["a"])
    hollow = draw(chart(kind, source="modelled:sheet"), PAPER, ["a"])
    fills = [{row["fill"] for rows in spec["datasets"].values() for row in rows if "fill" in row}
             for spec in (with_data(filled), with_data(hollow))]  # fmt: skip
    assert fills == [{PAPER.colour(0)}, {PAPER.paper}]


def with_data(spec):
    rows = {}
    for number, layer in enumerate(spec["layer"]):
        rows[str(number)] = layer.get("data", {}).get("values", [])
    return {"datasets": rows}


def test_a_system_has_one_colour_on_all_charts_and_a_phase_has_none_of_theirs():
    assert order(chart("curve"), ["b", "a"]) == ["b", "a"]
    assert order(chart("roofline", series="decode"), ["b", "a"]) == ["b", "a", "decode"]
    assert order(chart("stack"), ["b", "a"]) == ["b", "a", "p", "q"]


def test_on_the_page_colours_are_its_style_sheet_s_and_in_a_file_they_are_fixed():
    assert "var(--series-1)" in page_svg(chart("curve"), ["a"])
    svg = file_svg(chart("curve"), ["a"]).decode()
    assert "var(" not in svg
    assert PAPER.colour(0) in svg


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "]]></svg>", "a[b=1]", "=cmd", "datum.x", "\u202e&amp;"])
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_stay_text(kind, name):
    svg = page_svg(chart(kind, series=name, label=name, row=name, part=name), [])
    assert "<script" not in svg
    assert svg.count("</svg>") == 1


def test_more_series_than_colours_start_again():
    assert shape(len(SHAPES)) == shape(0)
    assert SCREEN.colour(8) == SCREEN.colour(0)


def test_a_logarithm_of_zero_is_not_drawn():
    drawn = chart("curve")
    drawn.rows[0]["y"] = 0.0
    assert marks(page_svg(drawn, ["a"])) == 2


def test_an_interval_from_zero_is_drawn_from_the_edge_of_its_axis_and_told():
    drawn = chart("forest")
    drawn.rows[0]["low"] = 0.0
    data = [row for rows in with_data(draw(drawn, PAPER, ["a"]))["datasets"].values() for row in rows]
    # The ratio of 0.01 in the second row is the least that is drawn.
    assert 0.0097 in [pytest.approx(row["low"]) for row in data if "low" in row]
    assert "1.20x (0.00x to 1.30x)" in page_svg(drawn, ["a"])


def test_beside_a_ratio_stand_its_numbers_source_and_reading():
    drawn = page_svg(chart("forest", source="modelled:sheet"), ["a"])
    for words in ("ratio, interval", "~1.20x (1.10x to 1.30x)", "~0.01x<", "modelled:sheet", "reading"):
        assert words in drawn


def test_a_reading_too_long_for_its_column_ends_before_its_reason():
    drawn = chart("forest", source="modelled:sheet")
    drawn.rows[0]["reading"] = "estimated: cannot tell: cited, no interval published"
    drawn.rows[1]["reading"] = "estimated: a with a long name better by 1.20x"
    svg = page_svg(drawn, ["a"])
    assert ">estimated: cannot tell<" in svg
    assert ">estimated: a with a long name better by 1.20x<" in svg


def test_both_sides_of_1x_say_who_is_better():
    drawn = chart("forest")
    drawn.options = {"better": ["b better", "a better"]}
    svg = page_svg(drawn, ["a"])
    left, one, right = (
        float(re.search(rf"translate\(([\d.]+),[^>]*>{word}<", svg)[1]) for word in ("b better", "1x", "a better")
    )
    assert left < one < right


def test_targets_close_to_each_other_have_their_words_at_different_heights():
    drawn = chart("curve")
    drawn.options = OPTIONS | {"rules": [{"x": 1.5, "text": "near"}, {"x": 1.51, "text": "nearer"}]}
    rules = [layer["mark"] for layer in draw(drawn, PAPER, ["a"])["layer"] if layer["mark"].get("baseline") == "bottom"]
    assert len({mark["y"] for mark in rules}) == 2


@pytest.mark.parametrize("kind", ["stack", "bars"])
def test_a_bar_that_was_not_measured_is_pale(kind):
    assert 'fill-opacity="0.4"' in page_svg(chart(kind, source="modelled:sheet"), ["a"])
    assert 'fill-opacity="0.4"' not in page_svg(chart(kind), ["a"])


def test_labels_of_an_axis_of_counts_have_no_suffix_at_zero():
    drawn = chart("bars", value=1500.0)
    drawn.options = {"x_title": "devices"}
    svg = page_svg(drawn, ["a"])
    assert ">0<" in svg
    assert ">1k<" in svg


def test_a_picture_that_stands_alone_has_its_title_and_tells_its_series():
    drawn = chart("curve", source="modelled:sheet", series="a device")
    drawn.title = "Time over batch"
    alone, on_page = file_svg(drawn, ["another", "a device"]).decode(), page_svg(drawn, ["another", "a device"])
    for words in (">Time over batch<", ">a device<", ">hollow: not measured<"):
        assert words in alone
        assert words not in on_page
    assert ">another<" not in alone
    assert marks(alone) == drawn.marks


def test_many_series_are_listed_on_several_lines():
    drawn = chart("bars")
    drawn.rows = [drawn.rows[0] | {"series": f"a device with a name, number {n}"} for n in range(5)]
    heights = {
        re.search(rf"translate\([\d.]+,([\d.]+)[^>]*>[^<]*number {n}<", file_svg(drawn, []).decode())[1]
        for n in range(5)
    }
    assert len(heights) > 1


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "]]></svg>"])
def test_hostile_titles_stay_text(name):
    drawn = chart("dots", series=name)
    drawn.title = name
    assert file_svg(drawn, []).decode().count("</svg>") == 1
    assert "<script" not in file_svg(drawn, []).decode()


def test_a_png_is_a_png():
    assert file_png(chart("forest"), ["a"]).startswith(b"\x89PNG\r\n")
