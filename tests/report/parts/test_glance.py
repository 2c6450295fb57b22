"""The verdicts as picture and table: what stands for an axis is drawn, what stands beside it is in the table, with why."""

import pytest

from bench.report.build import build
from bench.report.page.html import page
from bench.results.measures import SAME_BATCH


@pytest.fixture
def served(two, row):
    """Return a report of two sides that were read at a target too; there the second is better."""
    for side, rate in zip(two, (100.0, 200.0), strict=True):
        side.at_targets = [
            row(case_id="tiny-decode[tpot<=50ms,ctx=1k,bf16]", device=side.device, unit="package", step_s=1 / rate,
                tpot_s=1 / rate, output_tokens_per_s=rate, interval=(0.99 / rate, 1.01 / rate))
        ]  # fmt: skip
    return build(two, targets=[], command="c", created="now")


def test_the_same_batch_is_in_the_table_with_its_words_and_not_in_the_picture(served):
    (section,) = [each for each in served.sections if each.id == "ratios"]
    (chart,) = section.charts
    drawn = [line["row"] for line in chart.rows if line["axis"] == "throughput"]
    assert drawn == ["decode in time, output tokens: tpot<=50ms, ctx=1k, bf16"]
    (line,) = [line for line in chart.table.rows if "equal batch per device, output" in line[1]]
    assert line[-1].startswith(
        f"not counted: readings at service targets count in its place; {SAME_BATCH}; geometric mean of 3: "
    )
    assert line[6].value == pytest.approx(2.0)
    assert "Not counted in a verdict" in chart.table.notes[0]


def test_the_verdict_on_the_front_is_of_the_target_alone(served):
    shown = page(served)
    front = shown[: shown.index("</section>")]
    assert "<strong>b better by 2.00x</strong>" in front
    answer = "tiny-decode, bf16, at 50 ms per token: <strong>b better by 2.00x (1.97x to 2.03x)</strong>"
    assert answer in front
    assert front.index(answer) < front.index("Verdicts")
    assert "output tokens, tiny-decode, bf16" not in front


def test_without_targets_the_verdict_says_that_it_is_not_the_same_service(reported):
    shown = page(reported)
    front = shown[: shown.index("</section>")]
    assert f"tiny-decode, bf16, geometric mean of 3; {SAME_BATCH}" in front


@pytest.mark.parametrize(
    ("late", "words", "side"),
    [((1,), "only a can", 1), ((0,), "only b can", -1), ((0, 1), "neither can", 0)],
)
def test_a_target_that_not_both_keep_is_in_the_picture_in_words(two, row, late, words, side):
    for index, each in enumerate(two):
        missed = {"status": "skipped", "reason": "takes 60 ms", "step_s": None} if index in late else {}
        each.at_targets = [row(**({"case_id": "tiny-decode[tpot<=50ms,bf16]", "unit": "package",
                                   "output_tokens_per_s": 10.0} | missed))]  # fmt: skip
    report = build(two, targets=[], command="c", created="now")
    (section,) = [each for each in report.sections if each.id == "ratios"]
    (chart,) = section.charts
    (told,) = chart.options["words"]
    assert (told["words"], told["side"], told["at"]) == (words, side, 0)
    # Words are no mark: there is no ratio that could be one.
    assert chart.marks == len(chart.rows)
    assert "1 reading without a ratio, in words." in chart.caption
    assert words in chart.alt
    assert f">{words}</text>" in page(report)


def test_readings_that_count_come_first_on_each_axis(served):
    (section,) = [each for each in served.sections if each.id == "ratios"]
    rows = [(line[0], line[-1].startswith("not counted")) for line in section.charts[0].table.rows]
    axes = list(dict.fromkeys(axis for axis, _ in rows))
    assert rows == sorted(rows, key=lambda row: (axes.index(row[0]), row[1]))
    assert {left for axis, left in rows if axis == "throughput"} == {False, True}
