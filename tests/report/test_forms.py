"""Markdown, CSV and JSON: everything is there, and nothing in it is run."""

import csv
import io
import json

import msgspec
import pytest

from bench.report.document import Assumption, NotRun, every_table
from bench.report.forms import CSV_COLUMNS, MOST_NOT_RUN, as_csv, as_json, as_markdown, escaped, guarded
from bench.report.page.html import page


def lines(report):
    return list(csv.DictReader(io.StringIO(as_csv(report))))


def test_every_cell_is_a_line_with_its_number_unit_and_source(reported):
    found = lines(reported)
    assert list(found[0]) == list(CSV_COLUMNS)
    assert len(found) == sum(len(row) for _, table in every_table(reported) for row in table.rows)
    rate = next(each for each in found if each["table"] == "frontier-1-data" and each["column"] == "output tokens")
    assert (float(rate["value"]), rate["unit"], rate["source"]) == (200.0, "tok/s", "measured")
    assert float(rate["low"]) == pytest.approx(200.0 / 1.01)


def test_a_missing_number_is_empty_and_not_zero(reported):
    gaps = [each for each in lines(reported) if each["source"] == "missing"]
    assert gaps
    assert {each["value"] for each in gaps} == {""}


@pytest.mark.parametrize("text", ["=cmd|calc", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run_is_text(text):
    assert guarded(text).startswith("'")
    assert "\r" not in guarded(text)


def test_hostile_names_are_cells_and_nothing_else(two, rebuild):
    two[0].rows[0].workload = '=HYPERLINK("http://x")'
    two[0].rows[0].case_id = "=1+1\r\n|x|<script>[b=1]"
    report = rebuild(two)
    for each in lines(report):
        assert not each["text"].startswith(("=", "+", "-=", "@"))
    markdown = as_markdown(report)
    assert "<script>" not in markdown


@pytest.fixture
def rebuild():
    from bench.report.build import build

    return lambda sides: build(sides, targets=[], command="c", created="now")


def test_markdown_has_every_section_verdict_and_table(reported):
    markdown = as_markdown(reported)
    for section in reported.sections:
        assert f"## {section.title}" in markdown
    assert "- **throughput: estimated: a better by 2.00x**" in markdown
    for _, table in every_table(reported):
        assert escaped(table.title).replace("\\", "") in markdown.replace("\\", "")


def test_json_is_the_document(reported):
    assert json.loads(as_json(reported))["id"] == reported.id


def test_markdown_lists_every_case_without_a_number_under_its_reason(reported):
    held = msgspec.structs.replace(
        reported, not_run=[NotRun(system="a", reason="too [big]", cases=["c[b=1]", "c[b=2]"])]
    )
    text = as_markdown(held)
    assert "- a, 2 cases: too \\[big\\]\n  - c\\[b=1\\]\n  - c\\[b=2\\]\n" in text
    many = [NotRun(system="a", reason="big", cases=[f"c{n}" for n in range(MOST_NOT_RUN + 2)])]
    assert "\n  - and 2 more, in the JSON\n" in as_markdown(msgspec.structs.replace(reported, not_run=many))
    nothing = as_markdown(msgspec.structs.replace(reported, not_run=[]))
    assert "## Not run, or without a number\n\nEverything that was asked for has a number.\n" in nothing


def test_the_answers_stand_above_all_else_and_name_example_prices_only_where_one_is_behind_them(reported):
    told = as_markdown(reported)
    answer = "- **tiny-decode, bf16, at the same batch per device**: a better by 2.00x"
    assert told.index(answer) < told.index("## Verdicts")
    # How many packages a node holds is an example too, and no price.
    assert any(each.example for each in reported.assumptions)
    assert "Prices are examples" not in told + page(reported)
    (one,) = reported.answers
    reported.answers = [msgspec.structs.replace(one, price="b is worth renting up to about 2.00 USD/h a package")]
    rent = Assumption(id="rent_a", label="rent of a", value=1.5, unit="USD/h", source="quote", file="own.toml")
    reported.assumptions = [rent, *reported.assumptions]
    assert "Prices are examples" not in as_markdown(reported) + page(reported)
    reported.assumptions[0] = msgspec.structs.replace(rent, example=True, file="example.toml")
    assert "Prices are examples" in as_markdown(reported)
    assert "Prices are examples" in page(reported)


def test_of_one_system_markdown_says_that_there_is_nothing_to_compare_it_with(two, rebuild):
    assert "One system: there is nothing to compare it with." in as_markdown(rebuild(two[:1]))


def test_a_fact_that_one_system_alone_has_is_not_known_of_the_other(reported):
    first, second = reported.systems
    first.facts, second.facts = {"dense peak fp8": "1.98 PFLOP/s"}, {}
    assert "| dense peak fp8 | 1.98 PFLOP/s | not known |" in as_markdown(reported)
    assert "<td>1.98 PFLOP/s</td><td>not known</td>" in page(reported)
