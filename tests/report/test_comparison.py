"""A comparison as people read it: differences first, marks on every modelled number, nothing left unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.comparison import axis_lines, comparison_table, head_lines, tail_lines, target_table
from bench.report.terminal import markdown, table_text
from bench.results.compare import Operand, compare

GOLDEN = Path(__file__).parent.parent / "golden" / "report"


def golden(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8").removesuffix("\n")


def cells(comparison) -> list[dict[str, str]]:
    table = comparison_table(comparison)
    return [dict(zip((column.name for column in table.columns), row, strict=True)) for row in table.rows]


def test_a_whole_comparison(sides):
    text = "\n".join([*head_lines(sides), "", table_text(comparison_table(sides), 200), "", *tail_lines(sides)])
    assert text == golden("comparison_200.txt")


@pytest.mark.parametrize("width", [120, 60])
def test_a_comparison_in_a_narrow_window(width, sides):
    assert table_text(comparison_table(sides), width) == golden(f"comparison_{width}.txt")


def test_a_comparison_as_markdown(sides):
    assert markdown(comparison_table(sides)) == golden("comparison.md")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_number_of_a_comparison_is_cut(width, sides):
    words = table_text(comparison_table(sides), width).split()
    for number in ("~400", "~800", "640", "0.62x", "1.25x", "0.59", "0.66", "1.18", "1.32"):
        assert number in words


def test_every_modelled_number_has_its_sign_in_its_own_cell(sides):
    for line in cells(sides):
        assert line["ascend-910c"].startswith("~")
        assert line["step"].startswith("~")
        assert line["h100"] == "640"
        assert line["step"].endswith(" | 12.5 ms")
        assert line["reading"].startswith("estimated: ")


def test_a_published_number_has_a_sign_of_its_own(row):
    published = row(source="published", output_tokens_per_s=50.0, step_s=0.02)
    (line,) = cells(compare([Operand("A", [published]), Operand("B", [row(output_tokens_per_s=100.0, step_s=0.01)])]))
    assert line["A"] == "^50.0"
    assert line["source"] == "published | measured"


def test_a_kernel_is_shown_by_its_time(row):
    each = row(phase="kernel", step_s=2e-3, interval=(2e-3, 2e-3))
    (line,) = cells(compare([Operand("A", [each]), Operand("B", [each])]))
    assert (line["metric"], line["A"], line["source"]) == ("step time", "2.00 ms", "measured")


def test_a_missing_number_is_a_dash(row):
    (line,) = cells(compare([Operand("A", [row()]), Operand("B", [row(output_tokens_per_s=1.0, step_s=1.0)])]))
    assert (line["A"], line["ratio"], line["interval"]) == ("-", "-", "-")
    assert line["step"] == "- | 1.00 s"


def test_of_three_sides_each_line_names_the_other_one(row):
    each = row(output_tokens_per_s=1.0, step_s=1.0)
    lines = cells(compare([Operand(name, [each]) for name in ("A", "B", "C")]))
    assert [line["against"] for line in lines] == ["B", "C"]
    assert [list(line) for line in lines] == [
        ["case", "against", "metric", "per", "A", "other", "step", "ratio", "interval", "reading", "source"]
    ] * 2


@pytest.mark.parametrize("width", [40, 80, 120])
def test_of_three_sides_the_other_one_is_named_at_every_width(width, row):
    sides = [Operand(name, [row(output_tokens_per_s=1.0, step_s=1.0)]) for name in ("A", "before", "after")]
    text = table_text(comparison_table(compare(sides)), width)
    assert "before" in text
    assert "after" in text


def test_what_differs_is_said_before_any_number(sides):
    assert head_lines(sides)[:2] == [
        "! not the same on all sides (ascend-910c | h100):",
        "    device: Ascend 910C | H100",
    ]


def test_alike_sides_are_called_alike(row):
    each = row(output_tokens_per_s=1.0, step_s=1.0)
    assert head_lines(compare([Operand("A", [each]), Operand("B", [each])])) == [
        "the same machine, device and software on all sides (A | B)"
    ]


def test_measured_sides_have_no_word_about_models(row):
    each = row(output_tokens_per_s=1.0, step_s=1.0)
    assert not any("modelled" in line for line in tail_lines(compare([Operand("A", [each]), Operand("B", [each])])))


def test_what_was_not_compared_is_counted_and_named(sides):
    assert tail_lines(sides)[-2:] == [
        "not put side by side (1):",
        "    r1-decode[b=64,ctx=4k,fp8]: h100 oom: no room",
    ]


def test_notes_of_rows_are_said_once(row):
    each = row(output_tokens_per_s=1.0, step_s=1.0, notes=["peak not published"])
    assert tail_lines(compare([Operand("A", [each]), Operand("B", [each])])).count("peak not published") == 1


def test_an_interpolated_number_is_marked_and_the_mark_explained(row):
    sides = [
        Operand("run", [row(step_s=0.02, interval=(0.019, 0.021), output_tokens_per_s=50.0, flags=["interpolated"])]),
        Operand("other", [row(step_s=0.02, interval=(0.019, 0.021), output_tokens_per_s=50.0)]),
    ]
    table = target_table(compare(sides))
    assert "≈50.0" in table.rows[0]
    assert any(note.startswith("≈ interpolated: ") for note in table.notes)
    assert any("estimated" in cell for cell in table.rows[0])


def test_the_axes_are_read_by_the_rules_of_reports(sides):
    """Packages of 800 and 640 tok/s: 1.25x, each time within 4 %, and one of the two was modelled."""
    lines = axis_lines(sides, None)
    assert lines[0] == "on each axis, ascend-910c against h100 (bench report has the readings):"
    assert lines[1] == "    throughput         estimated: ascend-910c better by 1.25x"
    assert lines[4].startswith("    energy             power was not measured on both sides")
    assert len(lines) == 6


def test_a_number_in_doubt_keeps_its_ratio_with_the_mark_and_a_footnote(row):
    a = row(output_tokens_per_s=15849.0, step_s=0.01, interval=(0.01, 0.01), flags=["disturbed"])
    b = row(output_tokens_per_s=100.0, step_s=1.0, interval=(1.0, 1.0))
    compared = compare([Operand("A", [a]), Operand("B", [b])])
    (line,) = cells(compared)
    assert (line["A"], line["B"], line["step"]) == ("?15,849", "100", "?10.0 ms | 1.00 s")
    assert (line["ratio"], line["reading"]) == ("?158.49x", "cannot tell: disturbed")
    assert [note[:12] for note in comparison_table(compared).notes] == ["? disturbed:"]
    assert "    throughput         cannot tell: disturbed" in axis_lines(compared, None)


def test_a_sides_file_and_its_time_stand_above_the_numbers(row, environment):
    sides = [Operand("A CPU (2 cores)", [row()], environment(), "results/runs/x.json"), Operand("B", [row()])]
    assert head_lines(compare(sides))[0] == "A CPU (2 cores): results/runs/x.json, of 2026-11-21 12:00 UTC"


def test_a_long_name_of_a_side_takes_two_lines_above_its_numbers(row):
    name = "AMD EPYC (2 cores) at commit bf0dbaf"
    one = row(output_tokens_per_s=100.0, step_s=0.01, interval=(0.01, 0.01))
    lines = table_text(comparison_table(compare([Operand(name, [one]), Operand("B", [one])])), 160).splitlines()
    assert "AMD EPYC (2 cores)" in lines[0]
    assert " at commit bf0dbaf    B" in lines[1]
    assert lines[1].startswith("case")


def test_a_dash_at_a_target_has_its_reason_below(sides):
    table = target_table(sides)
    assert any("- | -" in line for line in table.rows)
    assert any(note.startswith("- per TFLOP/s: no published peak") for note in table.notes)
    assert any(note.startswith("- bound: not known") for note in table.notes)
