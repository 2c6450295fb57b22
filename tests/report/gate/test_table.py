"""A check on a terminal: golden text, nothing cut in any width, nothing that another could break."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.gate.table import check_text
from bench.results.gate.document import Checked, Finding, Side

WIDTHS = (40, 60, 80, 120, 160, 250)


@pytest.mark.parametrize("width", [160, 60])
def test_a_whole_check(checked, golden, width):
    assert check_text(checked, width) == golden(f"check_{width}.txt")


def test_every_metric_is_shown_when_asked_for(checked, golden):
    assert check_text(checked, 200, every=True) == golden("check_all_200.txt")


def test_a_check_without_an_alarm(make, found, golden):
    checked = make([found("a[b=1]", 1e-3, 0.002), found("a[b=2]", 2e-3, -0.1)], changed=[])
    assert check_text(checked, 120) == golden("check_ok_120.txt")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_and_no_name_is_cut(checked, width):
    text = check_text(checked, width)
    for told in (
        "2.56 ms",
        "+22%",
        "~1.95",
        "r1-decode[b=32,ctx=8k,bf16]",
        "--why 'r1-decode[b=32,ctx=8k,bf16]'",
        "8.5%",
    ):
        assert told in text
    assert "…" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_only_names_and_commands_are_wider_than_the_window(checked, width):
    for line in check_text(checked, width).splitlines():
        whole = re.match(r"(Why\?|On purpose\?|Chance\?|Next|\(left out|verdict|95 % interval|baseline -> )", line)
        assert len(line) <= width or whole or len(line.split()) <= 2, line


def test_a_case_is_named_with_its_device_where_there_are_several(checked, make, found):
    assert "moe[t=64,bf16] step_s on cpu:" in check_text(checked)
    one = check_text(make([found("moe[t=64]", 1e-3, logs=())]))
    assert "moe[t=64] step_s: the baseline has" in one
    assert " on cpu" not in one


@pytest.mark.parametrize("width", WIDTHS)
def test_an_estimate_is_called_so_at_every_width(make, found, width):
    modelled, published = {"source": "modelled"}, {"source": "published"}
    checked = make([
        found("a", 1e-3, 0.2, logs=(0.0,), old=modelled, new=modelled),
        found("b", 1e-3, 0.03, logs=tuple(0.01 * step for step in range(-4, 4)), old=published, new=published),
        found("c", 1e-3, 0.0, old=modelled, new=modelled), found("d", 1e-3, logs=(), new=modelled),
    ])  # fmt: skip
    text = " ".join(check_text(checked, width).split())
    for told in ("estimated: 1 of 4 metrics", "estimated: regressed", "~1.00 ms -> ~1.22 ms", "b step_s: estimated:",
                 "(1 of them estimated)", "d step_s: estimated:", "~ estimated (modelled)"):  # fmt: skip
        assert told in text
    assert "Every number in the table is measured" not in text


def test_measured_numbers_are_called_measured(make, found):
    assert "Every number in the table is measured." in check_text(make([found("a", 1e-3, 0.2)]))


def test_many_that_cannot_be_told_are_counted_and_the_first_are_named(make, found):
    noisy = tuple(0.01 * step for step in range(-4, 4))
    checked = make([found(f"case-{index}", 1e-3, 0.03, logs=noisy) for index in range(9)])
    text = check_text(checked)
    assert "cannot tell (9):" in text
    assert text.count("neither seen nor excluded, this look") == 6
    assert "and 3 more (--all shows each)" in text


def test_what_to_do_next_depends_on_what_was_found(make, found):
    noisy = tuple(0.01 * step for step in range(-4, 4))
    assert "bench baseline accept a --run results/runs/run-b.json --reason" in check_text(make([found("a", 1e-3, 0.2)]))
    assert "--cross BORDER" in check_text(make([found("a", 1e-3, new={"dtype": "fp8"})]))
    assert "bench baseline save NAME" in check_text(make([found("a", 1e-3, logs=(0.0,))]))
    assert "bench run --sessions N" in check_text(make([found("a", 1e-3, 0.03, logs=noisy)]))
    assert check_text(make([found("a", 1e-3)])).splitlines()[-1] == "exit 0"


def test_an_alarm_that_was_not_run_again_says_how_it_can_be(make, found):
    assert "--confirm runs alarms again" in check_text(make([found("a", 1e-3, 0.2, not_run="no device")]))


def test_a_command_is_quoted_for_the_shell(make, found):
    text = check_text(make([found("it's [b=1]", 1e-3, 0.2)]))
    assert """bench baseline accept 'it'"'"'s [b=1]' --run results/runs/run-b.json --reason '...'""" in text


def test_the_baseline_to_accept_it_in_is_named_where_it_is_not_main(make, found):
    checked = make([found("a", 1e-3, 0.2)])
    checked.baseline.label, checked.candidate.files = "main-h100", ["a.json", "b.json"]
    assert "bench baseline accept a -b main-h100 --reason '...'" in check_text(checked)


def test_nothing_to_compare_is_said(make):
    text = check_text(make([]))
    assert text.startswith("NOTHING JUDGED  nothing was checked, neither side has a number to compare")
    assert text.endswith("exit 0")


def test_only_the_heading_is_bold(checked):
    bold = check_text(checked, 160, bold=True)
    assert bold.replace("\033[1m", "").replace("\033[0m", "") == check_text(checked, 160)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40), width=st.sampled_from(WIDTHS))
def test_no_text_of_others_breaks_a_line_or_moves_the_cursor(text, width):
    one = Finding(
        device=text, case_id=text, workload=text, metric=text, unit=text, verdict="regressed", reason=text, alarm=True,
        baseline=1.0, candidate=2.0, ratio=2.0, accepted=text,
    )  # fmt: skip
    checked = Checked(
        bench_version=text, created=text, command=text, rule={}, metrics=1, findings=[one], changed=[text],
        notes=[text], exit_code=1, baseline=Side(label=text, commits=[text], hosts=[text], created=(text, text)),
        candidate=Side(label=text, files=[text]),
    )  # fmt: skip
    for line in check_text(checked, width).split("\n"):
        assert line.isprintable()
