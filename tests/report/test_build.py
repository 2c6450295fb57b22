"""The document: verdicts on every axis, numbers counted by source, what is missing said, the same id for the same."""

import msgspec
import pytest

from bench.report import cells
from bench.report.build import MOST_POINTS, build, thinned
from bench.report.document import Chart, Report, Table, every_cell, every_table
from bench.report.forms import as_markdown
from bench.report.page.html import page
from bench.report.sides import Part, Side
from bench.results.compare import Operand
from bench.results.verdict import AXES, Verdict


def rebuilt(sides, **changes):
    return build(sides, **({"targets": [], "command": "c", "created": "now"} | changes))


def test_every_axis_has_a_verdict_or_its_reason(reported):
    assert list(dict.fromkeys(verdict.axis for verdict in reported.verdicts)) == list(AXES)
    assert all(verdict.ratio is not None or verdict.why for verdict in reported.verdicts)


def test_the_first_side_is_twice_as_fast_and_one_was_modelled(reported):
    rate = reported.verdicts[0]
    assert (rate.ratio, rate.reading) == (pytest.approx(2.0), "estimated: a better by 2.00x")
    assert (rate.a_source, rate.b_source, rate.source) == ("measured", "modelled:sheet", "modelled:sheet")


def test_each_number_is_counted_by_its_source(reported):
    every = every_cell(reported)
    assert sum(reported.counts.values()) == len(every)
    assert reported.counts["missing"] == sum(cell.value is None for cell in every)
    assert reported.counts["measured"] > 0
    assert reported.counts["modelled"] > 0


def test_every_number_has_a_source_and_every_missing_one_says_nothing_else(reported):
    for cell in every_cell(reported):
        assert (cell.value is None) == (cell.source == "missing"), cell


def test_every_chart_has_its_table_and_a_source_on_every_mark(reported):
    charts = [chart for section in reported.sections for chart in section.charts]
    assert {"forest-1", "frontier-1", "roofline-1", "mbu-decode", "decode-batch"} <= {chart.id for chart in charts}
    for chart in charts:
        assert chart.marks == len(chart.rows)
        assert chart.table.rows
        assert all(row["source"] and row["label"] for row in chart.rows)


def test_ids_of_tables_and_charts_are_unique(reported):
    ids = [table.id for section in reported.sections for table in section.tables]
    ids += [each for section in reported.sections for chart in section.charts for each in (chart.id, chart.table.id)]
    assert len(ids) == len(set(ids))


def test_the_same_numbers_have_the_same_id_whenever_they_are_put_on_a_page(two):
    assert rebuilt(two).id == rebuilt(two, created="later").id
    two[0].rows[0].output_tokens_per_s = 1.0
    assert rebuilt(two).id != rebuilt(two[::-1]).id


def test_what_has_no_number_is_listed_with_its_reason(two, row):
    two[1].operand.rows.append(row(case_id="big", status="oom", reason="no more memory", device="b", unit="package"))
    found = rebuilt(two).not_run
    assert [(each.system, each.reason, each.cases) for each in found] == [
        ("a", "not run on this side", ["big"]), ("b", "oom: no more memory", ["big"]),
    ]  # fmt: skip


def test_one_side_alone_is_a_report_without_verdicts(two):
    report = rebuilt(two[:1])
    assert report.verdicts == []
    assert report.title == "a"
    (best,) = report.sections[0].tables[0].rows
    assert (best[2], best[4].value) == ("tiny-decode[b=32,ctx=1k,bf16]", 3200.0)


def test_rows_without_any_number_make_a_report_too(two):
    for side in two:
        for each in side.rows:
            each.step_s = each.tpot_s = each.output_tokens_per_s = each.mbu = None
    report = rebuilt(two)
    assert {verdict.reading for verdict in report.verdicts} == {"no verdict"}
    assert "measured" not in report.counts or report.counts["missing"] > 0


def test_a_side_without_rows_makes_a_report_too(two):
    two[1].operand.rows.clear()
    two[1].sweep = []
    assert all("no case in common" in v.why for v in rebuilt(two).verdicts if v.axis != "price/performance")


def test_a_part_adds_its_verdicts_before_its_axis_is_given_up(two):
    verdict = Verdict(axis="price/performance", metric="$", a="a", b="b", ratio=2.0, reading="b better by 2.00x")
    report = rebuilt(two, extra=[Part(verdicts=[verdict])])
    assert [each.reading for each in report.verdicts if each.axis == "price/performance"] == ["b better by 2.00x"]


def test_three_sides_are_read_as_two_pairs(two):
    third = msgspec.structs.replace
    again = type(two[1])(type(two[1].operand)("c", [third(r, device="c") for r in two[1].rows]), "c", two[1].paper)
    pairs = dict.fromkeys((verdict.a, verdict.b) for verdict in rebuilt([*two, again]).verdicts)
    assert list(pairs) == [("a", "b"), ("a", "c")]


def test_a_title_names_no_more_systems_than_can_be_read(two):
    labels = [f"side {n}" for n in range(7)]
    sides = [Side(Operand(label, two[1].rows), label, two[1].paper) for label in labels]
    six, seven = rebuilt(sides[:5]), rebuilt(sides)
    assert six.title == "side 0 against side 1, side 2, side 3 and side 4"
    assert seven.title == "side 0 against 6 others"
    assert seven.question.startswith("Which of 7 systems for ")


def test_where_nothing_keeps_a_target_there_is_no_table_of_targets(reported):
    (section,) = [section for section in reported.sections if section.id == "throughput"]
    assert [table.id for table in section.tables] == ["cases"]


def test_what_a_definition_tells_has_no_interval(reported):
    tables = {table.id: table for _, table in every_table(reported)}
    batches = [row[1] for row in tables["decode-batch-data"].rows]
    assert [cell.value for cell in batches] == [1, 8, 32, 1, 8, 32]
    work = [row[2] for row in tables["roofline-1-data"].rows]
    assert all(cell.interval is None for cell in (*batches, *work))


def test_what_was_run_says_what_was_checked(two):
    two[0].rows[0].correct, two[0].rows[1].correct = True, False
    (workload,) = rebuilt(two).sections[-1].tables[0].rows
    assert workload[:5] == ["tiny-decode", "decode", "", "bf16", "batch 1, 8, 32; context 1k"]
    assert workload[-1] == "1 of 2 agree with float32"


def test_a_chart_of_very_many_points_is_thinned_and_says_so():
    rows = [{"series": "a", "x": n, "y": n} for n in range(10 * MOST_POINTS)]
    table = Table(id="t", title="t", columns=[], rows=[[str(n)] for n in range(10 * MOST_POINTS)])
    chart = thinned(Chart(id="c", title="c", kind="curve", alt="", rows=rows, marks=len(rows), table=table))
    assert (chart.marks, len(chart.rows), len(chart.table.rows)) == (MOST_POINTS,) * 3
    assert (chart.rows[0]["x"], chart.rows[1]["x"]) == (0, 10)
    assert f"{MOST_POINTS} of 3,000 points" in chart.caption


def test_the_document_survives_json(reported):
    assert msgspec.json.decode(msgspec.json.encode(reported), type=Report) == reported


def test_percentiles_are_shown_where_a_run_has_samples_for_them(two):
    columns = [column.name for column in rebuilt(two).sections[1].tables[-1].columns]
    assert "p90 of the step" not in columns
    two[0].rows[0].p90_s = 0.02
    table = rebuilt(two).sections[1].tables[-1]
    assert table.columns[-1].name == "p90 of the step"
    assert [row[-1].value for row in table.rows][:2] == [0.02, None]


def test_a_curve_over_the_batch_needs_two_batches_of_one_side(two):
    for side in two:
        side.sweep = side.rows[:1]
    assert not [c for c in rebuilt(two).sections[1].charts if c.kind == "curve"]


@pytest.fixture
def in_doubt(two):
    """Return a report whose first side was disturbed while its largest batch was timed."""
    two[0].rows[2].flags = ["disturbed"]
    return rebuilt(two)


def test_a_number_in_doubt_has_its_mark_and_footnote_wherever_it_stands(in_doubt):
    found = [table for _, table in every_table(in_doubt) for row in table.rows if "3,200 tok/s" in " ".join(words(row))]
    assert {table.id for table in found} == {"cases", "frontier-1-data", "normalized"}
    for table in found:
        shown = [cell for row in table.rows for cell in words(row) if "3,200 tok/s" in cell]
        assert shown == ["?3,200 tok/s"] * len(shown), table.id
        assert sum(note.startswith("? disturbed: others took cores") for note in table.notes) == 1, table.id


def test_numbers_in_doubt_are_counted_apart_and_explained_on_the_front(in_doubt):
    every = [cell for cell in every_cell(in_doubt) if cell.value is not None]
    assert in_doubt.counts["in doubt"] == sum(cell.doubt != "" for cell in every) > 0
    assert "- ? measured while others took the cores" in as_markdown(in_doubt)


def test_a_mark_in_doubt_is_told_in_the_words_of_its_picture(in_doubt):
    charts = {chart.id: chart for section in in_doubt.sections for chart in section.charts}
    assert [row["label"].partition(": ")[2][:1] for row in charts["frontier-1"].rows] == ["2", "1", "?", "~", "~", "~"]
    assert "Hollow, ? disturbed: others took cores" in charts["frontier-1"].caption
    assert "?" not in charts["forest-1"].alt


def test_a_case_in_doubt_is_out_of_the_mean_and_stays_in_the_table(in_doubt):
    rate = in_doubt.verdicts[0]
    assert len(rate.cases) == 2
    assert rate.left_out == {"tiny-decode[b=32,ctx=1k,bf16]": (pytest.approx(2.0), "disturbed")}
    text = as_markdown(in_doubt)
    assert "geometric mean of 2, 1 case left out: disturbed (tiny-decode\\[b=32,ctx=1k,bf16\\] ?2.00x)" in text


def test_where_every_case_is_in_doubt_the_verdict_is_none_and_the_ratio_stays_with_its_mark(two):
    for row in two[0].rows:
        row.flags = ["disturbed"]
    report = rebuilt(two)
    assert {v.reading for v in report.verdicts if v.ratio is not None} == {"estimated: cannot tell: disturbed"}
    assert "better by" not in as_markdown(report)
    (section,) = [each for each in report.sections if each.id == "ratios"]
    assert section.charts == []
    assert section.text == ["a and b: every ratio is in doubt, so there is no picture of ratios."]
    assert "~?2.00x" in words(section.tables[0].rows[0])


def words(row):
    return [cell if isinstance(cell, str) else cells.text(cell) for cell in row]


def test_with_three_sides_every_form_says_which_pairs_are_not_read(two):
    third = Side(Operand("c", two[1].rows), "c", two[1].paper)
    report = build([*two, third], targets=[], command="c", created="now")
    told = "a is read against each of the others, and those not against each other; for b against c, name b first"
    assert told in page(report)
    assert told in as_markdown(report)
    assert "<h3>a against b</h3>" in page(report)


def test_every_number_that_is_missing_has_its_reason(two, row):
    two[0].operand.rows.append(row(case_id="gemm[m=1]", workload="gemm", phase="kernel", kernel="gemm", step_s=1e-3))
    two[1].operand.rows.append(row(case_id="big[b=1]", status="oom", reason="no room", step_s=None))
    missing = [cell for cell in every_cell(rebuilt(two)) if cell.value is None]
    assert missing
    assert [cell for cell in missing if not cell.note] == []
