"""A history as text, table and data: what got slower first, sources marked, nothing cut or run by a spreadsheet."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest

from bench.report.history import (
    ASCII_BLOCKS,
    as_csv,
    as_json,
    as_jsonl,
    changes_text,
    encodes,
    history_table,
    sparkline,
)  # fmt: skip
from bench.report.terminal import markdown, table_text
from bench.results.history.document import History, in_order
from bench.results.history.trend import Change, Point, Trend


def trend(*values, changes=(), **fields):
    points = [
        Point(run=f"run-{day}", created=f"2026-11-{day:02}T12:00:00+00:00", commit=f"c{day}", value=value, sessions=1)
        for day, value in enumerate(values, 1)
    ]
    return Trend(**{
        "device": "cpu", "device_name": "A CPU", "machine": "3f2a00000000", "unit": "machine",
        "case_id": "tiny[b=1]", "workload": "tiny", "definition": "0123456789abcdef", "source": "measured",
        "metric": "step_s", "points": points, "best": min(values), "changes": list(changes), **fields,
    })  # fmt: skip


def change(at, before, after, **fields):
    share = after / before - 1
    return Change(**{
        "at": at, "created": f"2026-11-{at + 1:02}T12:00:00+00:00", "before": f"run-{at}", "after": f"run-{at + 1}",
        "commits": (f"c{at}", f"c{at + 1}"), "level_before": before, "level_after": after, "share": share,
        "interval": (share - 0.01, share + 0.01), "worse": share > 0, "changed": [], **fields,
    })  # fmt: skip


def history(*trends, **fields):
    return History(**{
        "origin": "results/runs", "metric": "step_s", "unit": "s", "better": "lower", "last": 60,
        "trends": list(trends), "machines": {"3f2a00000000": {"host cpu": "A"}}, **fields,
    })  # fmt: skip


def test_marks_rise_with_the_values():
    assert sparkline([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]) == "▁▂▃▄▅▆▇█"
    assert sparkline([8.0, 1.0]) == "█▁"
    assert sparkline([1.0, 8.0], ASCII_BLOCKS) == "_#"


def test_noise_of_a_percent_does_not_look_like_mountains():
    # Full height is 10 % of 1.0; half of the spare lies below: 1.0 stands at 45 %, 1.01 at 55 % of it.
    assert sparkline([1.0, 1.01, 1.0]) == "▄▅▄"


@pytest.mark.parametrize(("values", "marks"), [([], ""), ([5.0], "▅"), ([5.0] * 3, "▅▅▅")])
def test_few_or_equal_values_have_marks_too(values, marks):
    assert sparkline(values) == marks


def test_more_runs_than_fit_are_drawn_by_their_means():
    drawn = sparkline([1.0] * 60 + [2.0] * 60)
    assert drawn == "▁" * 15 + "█" * 15


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False)])
def test_blocks_are_for_streams_that_can_show_them(encoding, can):
    assert encodes(encoding) is can


def test_what_got_slower_stands_first_with_what_coincides():
    slower = trend(1.0, 1.2, changes=[change(1, 1.0, 1.2, changed=["commit c1 -> c2", "torch 2.9.0 -> 2.9.1"])])
    faster = trend(1.0, 0.8, case_id="tiny[b=2]", changes=[change(1, 1.0, 0.8)])
    assert changes_text(history(slower, faster)).splitlines() == [
        "got slower: 1",
        "  2026-11-02 after commit c1, by c2; settings: torch 2.9.0 -> 2.9.1",
        "    tiny[b=1] on cpu (3f2a00000000): 1.00 s -> 1.20 s, +20% (+19% to +21%), measured",
        "",
        "got faster: 1",
        "  2026-11-02 after commit c1, by c2; no setting differs",
        "    tiny[b=2] on cpu (3f2a00000000): 1.00 s -> 800 ms, -20% (-21% to -19%), measured",
    ]


def test_cases_that_changed_between_the_same_commits_stand_together():
    both = [trend(1.0, 1.2, case_id=f"tiny[b={b}]", changes=[change(1, 1.0, 1.2)]) for b in (1, 2)]
    text = changes_text(history(*both))
    assert text.count("after commit c1, by c2") == 1
    assert text.startswith("got slower: 2\n")


def test_of_each_series_the_last_change_is_told_or_all_on_demand():
    one = trend(1.0, 1.2, 1.5, changes=[change(1, 1.0, 1.2), change(2, 1.2, 1.5)])
    assert changes_text(history(one)).count(" -> ") == 1
    every = changes_text(history(one), every=True)
    assert every.count(" -> ") == 2
    assert every.index("2026-11-03") < every.index("2026-11-02")


@pytest.mark.parametrize(("commits", "said"), [
    (("c1", "c1"), "commit c1 on both sides"), ((None, None), "after run run-1, by run-2 (commits not known)"),
])  # fmt: skip
def test_a_change_that_is_not_of_the_code_says_so(commits, said):
    assert said in changes_text(history(trend(1.0, 1.2, changes=[change(1, 1.0, 1.2, commits=commits)])))


def test_nothing_slower_is_said_too():
    assert changes_text(history(trend(1.0))) == "got slower: none of 1 series"


def test_a_metric_that_is_no_time_gets_worse_not_slower():
    text = changes_text(history(trend(1.0), metric="joules_per_token", unit="J/token"))
    assert text == "got worse: none of 1 series"


def test_a_modelled_number_is_marked_wherever_it_stands():
    modelled = trend(1.0, 1.2, source="modelled", changes=[change(1, 1.0, 1.2, interval=None)])
    text = changes_text(history(modelled))
    assert "~1.00 s -> ~1.20 s, +20%, modelled" in text
    (line,) = history_table(history(modelled)).rows
    assert [cell for cell in line if " s" in cell] == ["~1.00 s", "~1.20 s", "~1.00 s"]
    assert line[-1] == "modelled"
    assert "not measured" in " ".join(history_table(history(modelled)).notes)


def test_the_table_has_a_line_a_series():
    one = trend(1.0, 1.2, changes=[change(1, 1.0, 1.2)])
    text = table_text(history_table(history(one)), 160)
    assert text.splitlines()[2].split() == [
        "tiny[b=1]", "cpu", "▁█", "2", "1.00", "s", "1.20", "s", "1.00", "s", "+20%", "2026-11-02", "measured",
    ]  # fmt: skip
    assert "every series is of one machine, 3f2a00000000" in text.splitlines()


def test_sessions_are_counted_where_a_run_has_several():
    one = trend(1.0)
    several = msgspec.structs.replace(one, points=[msgspec.structs.replace(one.points[0], sessions=5)])
    assert history_table(history(several)).rows[0][5:7] == ["1", "5"]


def test_machines_are_told_apart_by_what_differs():
    other = trend(2.0, machine="9999")
    machines = {"3f2a00000000": {"cpu": "A", "driver": "1"}, "9999": {"cpu": "A", "driver": "2", "governor": "x"}}
    notes = history_table(history(trend(1.0), other, machines=machines)).notes
    assert "machine 3f2a00000000: driver 1" in notes
    assert "machine 9999: driver 2, governor x" in notes


def test_definitions_of_one_case_are_told_apart():
    table = history_table(history(trend(1.0), trend(2.0, definition="fedcba9876543210")))
    assert [row[3] for row in table.rows] == ["012345", "fedcba"]
    assert any("joined by --was NAME=NAME" in note for note in table.notes)


def test_what_was_left_out_is_told():
    notes = history_table(history(trend(1.0), unreadable={"a.json": "cut off"}, journals=["b.jsonl"])).notes
    assert "left out: a.json: cut off" in notes
    assert "left out: a run is being written or interrupted (bench run --resume): b.jsonl" in notes


HOSTILE = trend(
    1.0, 1.2, case_id="=cmd|\x1b[31m\n<b>|[red]", changes=[change(1, 1.0, 1.2, commits=("=a\nb", "\x1b[2J"))]
)


def test_hostile_names_neither_break_a_line_nor_run():
    text = changes_text(history(HOSTILE))
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text
    assert "\x1b" not in table_text(history_table(history(HOSTILE)), 200)
    head, *_, line = markdown(history_table(history(HOSTILE, machines={}))).split("\n\n")[0].splitlines()
    assert "<b>" not in line
    assert line.count("|") - line.count("\\|") == head.count("|")
    rows = list(csv.reader(io.StringIO(as_csv(history(HOSTILE)))))
    assert {row[4][:2] for row in rows[1:]} == {"'="}
    assert all(len(row) == len(rows[0]) for row in rows)


def test_csv_has_a_line_a_run_and_says_where_the_level_changes():
    rows = list(csv.DictReader(io.StringIO(as_csv(history(trend(1.0, 1.5, changes=[change(1, 1.0, 1.5)]))))))
    assert [(row["run"], row["value"], row["change"]) for row in rows] == [
        ("run-1", "1.0", ""),
        ("run-2", "1.5", "0.5"),
    ]
    assert rows[0]["source"] == "measured"


def test_json_is_the_document_and_jsonl_its_series():
    found = history(trend(1.0), trend(2.0, case_id="b"))
    assert msgspec.json.decode(as_json(found), type=History) == found
    assert [json.loads(line)["case_id"] for line in as_jsonl(found).splitlines()] == ["tiny[b=1]", "b"]


def test_worse_comes_before_better_and_the_newest_change_before_older_ones():
    old = trend(1, 2, case_id="old", changes=[change(1, 1.0, 2.0)])
    new = trend(1, 1, 2, case_id="new", changes=[change(2, 1.0, 1.1)])
    good = trend(1, 1, 2, 3, case_id="good", changes=[change(3, 2.0, 1.0)])
    same = trend(1, case_id="same")
    assert [one.case_id for one in in_order([same, good, old, new])] == ["new", "old", "good", "same"]


@pytest.fixture
def in_doubt():
    """Return a series whose fourth run was three times as slow beside others."""
    one = trend(1.0, 1.01, 1.0, 3.0, 1.0, 3.0)
    for at in (3, 5):
        one.points[at] = msgspec.structs.replace(one.points[at], doubt="disturbed")
    return one


def test_a_run_in_doubt_has_its_mark_in_the_trend_and_before_its_value(in_doubt):
    table = history_table(history(in_doubt))
    line = dict(zip((column.name for column in table.columns), table.rows[0], strict=True))
    assert (line["trend"], line["runs"], line["in doubt"]) == ("▄▅▄?▄?", "6", "2")
    assert (line["first"], line["last"], line["best"]) == ("1.00 s", "?3.00 s", "1.00 s")
    (note,) = [note for note in table.notes if note.startswith("?")]
    assert note.startswith("? disturbed: others took cores")
    assert note.endswith("such a run makes no change and is no best")


def test_a_series_in_doubt_altogether_has_marks_and_no_heights():
    assert sparkline([None, None]) == "??"


def test_doubt_is_a_column_of_the_data(in_doubt):
    lines = list(csv.DictReader(io.StringIO(as_csv(history(in_doubt)))))
    assert [line["doubt"] for line in lines] == ["", "", "", "disturbed", "", "disturbed"]
