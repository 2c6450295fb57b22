"""The trend page as text: a mark a run, a rule a change, everything escaped, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bench.report.page.trends import BOTTOM, LEFT, RIGHT, TOP, picture, trends_page
from bench.results.history.document import History
from bench.results.history.trend import Change, Point, Trend

HOSTILE = "<script>alert(1)</script>'\"</style>{{ 7 * 7 }}\x1b[31m"


@pytest.fixture
def series() -> Callable[..., Trend]:
    """Return a function that makes the series of some runs, with a change before each of the positions in `at`."""

    def make(*values: float, at: tuple[int, ...] = (), **fields: Any) -> Trend:
        points = [
            Point(run=f"r{day}", created=f"2026-11-{day:02}T12:30:00+00:00", commit=f"c{day}", value=value, sessions=1)
            for day, value in enumerate(values, 1)
        ]
        changes = [
            Change(at=n, created=points[n].created, before=f"r{n}", after=f"r{n + 1}", commits=(f"c{n}", f"c{n + 1}"),
                   level_before=values[n - 1], level_after=values[n], share=values[n] / values[n - 1] - 1,
                   interval=(0.1, 0.3), worse=values[n] > values[n - 1], changed=["torch 2.9.0 -> 2.9.1"])
            for n in at
        ]  # fmt: skip
        given = {"device": "cpu", "device_name": "A CPU", "machine": "3f2a", "unit": "machine", "case_id": "tiny[b=1]",
                 "workload": "tiny", "definition": "0123456789", "source": "measured", "metric": "step_s",
                 "points": points, "best": min(values), "changes": changes}  # fmt: skip
        return Trend(**(given | fields))  # type: ignore[arg-type]

    return make


def document(*trends: Trend, **fields: Any) -> History:
    given = {"origin": "results/runs", "metric": "step_s", "unit": "s", "better": "lower", "last": 60,
             "trends": list(trends), "machines": {"3f2a": {"cpu": "A CPU of 8 cores"}}}  # fmt: skip
    return History(**(given | fields))  # type: ignore[arg-type]


def test_each_run_has_a_mark_and_each_change_a_rule_with_the_number_of_its_line(series: Any) -> None:
    one, other = series(1.0, 1.0, 1.0, 1.2, 1.2, 1.2, 0.9, 0.9, at=(3, 6)), series(2.0, 2.0)
    shown = trends_page(document(one, other))
    pictures = re.findall(r"<svg.*?</svg>", shown, re.S)
    assert [each.count("<circle") for each in pictures] == [8, 2]
    assert re.findall(r'class="change (\w+)".*?class="at-middle">(\d)<', pictures[0]) == [
        ("slower", "1"),
        ("faster", "2"),
    ]
    assert shown.count("<li><strong>+20%, slower</strong>: 1.00 s -&gt; 1.20 s, +20% (+10% to +30%); 2026-11-04") == 1
    assert "after commit c3, by c4; settings: torch 2.9.0 -&gt; 2.9.1" in shown


def test_marks_stand_where_their_values_are(series: Any) -> None:
    """1.0 to 1.2 spans more than 10 %, so that the lowest run is at the bottom and the highest at the top."""
    one = series(1.0, 1.1, 1.2, at=(2,))
    drawn = picture(one, document(one))
    middle = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)
    assert [(mark.x, mark.y) for mark in drawn.marks] == [(LEFT, BOTTOM), middle, (RIGHT, TOP)]
    assert [rule.x for rule in drawn.rules] == [(middle[0] + RIGHT) / 2]
    # The level before the change is that of the run before it, here 1.1; the one after is the last run.
    assert [(level.x1, level.x2, level.y) for level in drawn.levels] == [
        (LEFT, middle[0], middle[1]), (RIGHT, RIGHT, TOP),
    ]  # fmt: skip
    assert (drawn.bottom, drawn.top) == ("1.00 s", "1.20 s")


def test_noise_of_a_percent_does_not_look_like_mountains(series: Any) -> None:
    one = series(1.0, 1.01)
    low, high = (mark.y for mark in picture(one, document(one)).marks)
    assert low - high == pytest.approx((BOTTOM - TOP) / 10, abs=0.2)


@pytest.mark.parametrize("values", [(1.0,), (1.0, 1.0)])
def test_one_run_or_equal_runs_stand_in_the_middle(series: Any, values: tuple[float, ...]) -> None:
    one = series(*values)
    assert {mark.y for mark in picture(one, document(one)).marks} == {(TOP + BOTTOM) / 2}
    assert trends_page(document(one)).count("<circle") == len(values)


def test_what_got_slower_stands_first_and_leads_to_its_picture(series: Any) -> None:
    slower, same = series(1.0, 1.2, at=(1,)), series(1.0, case_id="same")
    shown = trends_page(document(slower, same))
    head = shown[shown.index('id="changes"') : shown.index('id="every"')]
    assert "got slower: 1" in head
    assert '<a href="#series-1">tiny[b=1]</a> on cpu (3f2a): 1.00 s -&gt; 1.20 s' in head
    assert "Of 2 series 1 got slower and 0 faster" in shown
    assert "in 1 no change was found" in shown


def test_every_series_says_where_its_numbers_come_from(series: Any) -> None:
    shown = trends_page(document(series(1.0), series(2.0, source="modelled")))
    figures = re.findall(r"<figure.*?</figure>", shown, re.S)
    assert ['<span class="badge measured">' in each for each in figures] == [True, False]
    assert "first ~2.00 s, last ~2.00 s, best ~2.00 s; 1 run" in figures[1]
    # Hollow is what was not measured: the style fills circles of this class alone.
    assert ['class="data_marks measured"' in each for each in figures] == [True, False]


def test_hostile_text_is_text_wherever_it_comes_from(series: Any) -> None:
    fields = dict.fromkeys(("device", "device_name", "machine", "unit", "case_id", "workload", "definition"), HOSTILE)
    one = series(1.0, 1.2, at=(1,), **fields)
    one.changes[0].changed[:] = [HOSTILE]
    one.points[:] = [Point(run=HOSTILE, created="2026", commit=HOSTILE, value=p.value, sessions=1) for p in one.points]
    history = document(one, origin=HOSTILE, machines={HOSTILE: {HOSTILE: HOSTILE}}, unreadable={HOSTILE: HOSTILE},
                       journals=[HOSTILE], metric=HOSTILE)  # fmt: skip
    shown = trends_page(history, every=True)
    assert shown.count("<script") == shown.count("</style>") == 1
    assert "alert(1)" in shown
    assert "{{ 7 * 7 }}" in shown
    assert "\x1b" not in shown


def test_the_page_loads_nothing_and_runs_its_own_script_alone(series: Any) -> None:
    shown = trends_page(document(series(1.0)))
    assert re.findall(r'(?:src|href|url|@import)\s*[=(]\s*["\']?(?!#|data:)[a-z]+:', shown) == []
    assert "default-src 'none'" in shown


def test_a_history_of_nothing_is_a_page_that_says_so() -> None:
    shown = trends_page(document(machines={}))
    assert "There is no series." in shown
    assert "got slower: none of 0 series" in shown


def test_machines_and_what_was_left_out_are_told(series: Any) -> None:
    shown = trends_page(document(series(1.0), unreadable={"a.json": "cut off"}))
    assert '<table id="machine-1">' in shown
    assert "A CPU of 8 cores" in shown
    assert "left out: a.json: cut off" in shown


def test_a_hundred_series_of_sixty_runs_are_less_than_two_megabytes(series: Any) -> None:
    values = [0.00812 + n * 1e-6 for n in range(30)] * 2
    name = "deepseek-r1-decode[b=16,ctx=4k,int8,dp128,ep128,uniform]"
    points = [
        Point(run="r", created="2026-11-20T12:30:00+00:00", commit="3f21c07a9d14", value=v, sessions=8) for v in values
    ]
    one = series(*values[:4], at=(3,), case_id=name)
    many = [Trend(**{f: getattr(one, f) for f in one.__struct_fields__} | {"points": points}) for _ in range(100)]
    assert len(trends_page(document(*many)).encode()) < 2_000_000


def test_a_run_in_doubt_is_hollow_at_the_edge_beside_the_line_and_says_its_value(series: Any) -> None:
    one = series(1.0, 1.2, 9.0, 1.1)
    one.points[2] = msgspec.structs.replace(one.points[2], doubt="disturbed")
    drawn = picture(one, document(one))
    # 1.0 to 1.2 fill the picture; 9.0 stands at its upper edge, as 1.2 does.
    assert drawn.marks[2].y == drawn.marks[1].y
    assert len(drawn.line.split()) == 3
    shown = trends_page(document(one))
    assert shown.count('<circle class="doubt"') == 1
    assert "2026-11-03 12:30 c3: ?9.00 s" in shown
