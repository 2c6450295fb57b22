"""A check as Markdown: what is changed is seen first, sizes hold, and no text of others becomes markup.

Read back with markdown-it, which like GitHub follows CommonMark with tables and strikethrough.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.report.gate.markdown import Part, code, comment, fitted, marker, named, page, summary
from bench.results.gate.document import Checked, Finding, LeftOut, Side

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What closes spans, tags, cells and lists, mentions people, refers to issues, and links.
HOSTILE = "`|\\<>&@#*_~[]()!:/.-\"' \n\t\r\x00\x1b\u202e\ud800ab1"
TEXT = st.one_of(st.text(max_size=30), st.text(st.sampled_from(HOSTILE), max_size=30))
ATTACKS = (
    "`</code>`` @everyone | #1", "</details><script>alert(1)</script>", "| a | b |\n|---|---|\n| c | d |",
    "\\`@user\\`", "-->", "![x](http://evil.example/x.png)", "www.evil.example", "~~gone~~", "a\\|b", "\\", "``|``", " ",
)  # fmt: skip


def spans(text: str) -> list[str]:
    """The contents of all code spans, as GitHub shows them."""
    return [
        child.content for token in READER.parse(text) for child in token.children or [] if child.type == "code_inline"
    ]


def tags(text: str) -> list[str]:
    """All HTML that is not escaped, and all markup that a string could have made."""
    made = []
    for token in READER.parse(text):
        if token.type == "html_block":
            made += re.findall(r"<[^>]*>", token.content)
        for child in token.children or []:
            if child.type in ("html_inline", "link_open", "image", "s_open", "em_open"):
                made.append(child.content or child.type)
    return made


OURS = {"<details>", "<summary>", "</summary>", "</details>", "<!-- accelbench:check:main -->"}


def hostile(text: str) -> Checked:
    """A check in which every string that can come from elsewhere is this one."""
    one = Finding(
        device=text, case_id=text, workload=text, metric=text, unit=text, verdict="regressed", reason=text, alarm=True,
        baseline=1.0, candidate=2.0, ratio=2.0, interval=(1.5, 2.5), limit=0.1, detects=0.2, accepted=text,
    )  # fmt: skip
    new = Finding(device="cpu", case_id=text, workload=text, metric="step_s", unit=text, verdict="new", reason=text)
    return Checked(
        bench_version=text, created=text, command=text, rule={"budget": 0.05}, metrics=1, changed=[text], notes=[text],
        baseline=Side(label="main", commits=[text], hosts=[text], created=(text, text)), findings=[one, new],
        candidate=Side(label=text, files=[text], commits=[text] * 5),
        left_out=[LeftOut(side="candidate", device=text, case_id=text, status=text, reason=text)],
    )  # fmt: skip


def test_a_whole_comment(checked, golden):
    assert comment(checked) == golden("comment.md")


def test_the_summary_is_the_comment_without_its_mark(checked):
    assert comment(checked) == f"{marker(checked)}\n{summary(checked)}"
    assert page(checked) == summary(checked)


def test_only_what_changed_is_seen_before_anything_is_unfolded(checked):
    seen = re.sub(r"<details>.*?</details>", "", comment(checked), flags=re.DOTALL)
    rows = [line for line in seen.splitlines() if line.startswith("| ") and "verdict" not in line]
    assert [row.split(" | ")[0].strip("| *") for row in rows] == [
        "regressed", "estimated: regressed", "regressed", "improved",
    ]  # fmt: skip
    assert "torch 2.9.0 -> 2.9.1" in seen
    assert "FAIL: 3 of 16 metrics regressed" in seen
    for commit in ("89abcde", "0a1b2c3", "4d5e6f7"):
        assert f"`{commit}`" in seen


def test_everything_else_is_folded_away_and_every_fold_is_closed(checked):
    text = comment(checked)
    folds = re.findall(r"<details><summary>(.*?)</summary>", text)
    assert [fold.split(" (")[0] for fold in folds] == [
        "not confirmed by the second look", "not comparable", "learning, too few baseline sessions",
        "new, not in the baseline", "gone, in the baseline only", "accepted before", "left out, no number",
        "rule and notes", "cannot tell", "why it cannot be told", "7 same: a slowdown of the budget",
    ]  # fmt: skip
    assert text.count("<details>") == text.count("</details>") == len(folds)


def test_a_table_has_as_many_cells_in_each_row_as_in_its_heading(checked):
    tables = 0
    count = 0
    for token in READER.parse(comment(checked)):
        if token.type == "tr_open":
            count = 0
        elif token.type in ("td_open", "th_open"):
            count += 1
        elif token.type == "tr_close":
            assert count == 11
            tables += 1
    assert tables == 5 + 2 + 8  # rows of three tables, their headings included


def test_the_numbers_are_read_back_as_they_are(checked):
    html = READER.render(comment(checked))
    assert '<td style="text-align:right">~1.60 ms</td>' in html
    assert '<td style="text-align:right">&gt;= 1.7%</td>' in html
    assert "<s>" not in html


def test_without_an_alarm_there_is_no_table_of_changes(make, found):
    text = comment(make([found("a", 1e-3, 0.002)], changed=[]))
    assert text.splitlines()[1] == "### OK: no alarm in 1 metric: 1 same"
    assert "| verdict" not in text.split("<details>")[0]
    assert "Nothing that is recorded changed since the baseline." in text


def test_how_an_alarm_is_accepted_is_told_where_there_is_one(make, found):
    command = "`bench baseline accept a --run results/runs/run-b.json --reason '...'`"
    assert f"On purpose? {command}, and commit the baseline." in comment(make([found("a", 1e-3, 0.2)]))
    assert "On purpose" not in comment(make([found("a", 1e-3)]))


def test_a_baseline_of_many_commits_names_the_newest(make, found):
    checked = make([found("a", 1e-3)])
    checked.baseline.commits = [f"c{index}" for index in range(9)]
    assert "commits `c6`, `c7`, `c8` and 6 before" in summary(checked)


# -- the same comment is found again -----------------------------------------------------------------------------------


def test_the_mark_is_the_first_line_and_stays_the_same_for_one_baseline(checked, make, found):
    assert comment(checked).splitlines()[0] == "<!-- accelbench:check:main -->"
    assert marker(make([found("a", 1e-3)])) == marker(checked)


@pytest.mark.parametrize(
    ("label", "name"),
    [("main-h100", "main-h100"), ("results/baselines/main.json", "results-baselines-main.json"), ("-->x", "x"),
     ("a--b", "a-b"), ("昇腾", "baseline"), ("", "baseline")],
)  # fmt: skip
def test_a_mark_is_a_comment_whatever_the_baseline_is_called(checked, label, name):
    checked.baseline.label = label
    assert marker(checked) == f"<!-- accelbench:check:{name} -->"
    assert re.fullmatch(r"<!-- accelbench:check:[A-Za-z0-9._-]+ -->", marker(checked))


# -- sizes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [100, 5000])
def test_a_comment_has_room_for_what_it_holds(crowd, count):
    text = comment(crowd(count))
    assert len(text) <= 65_536
    assert text.count("<details>") == text.count("</details>")
    assert spans(text)
    assert set(tags(text)) <= OURS


def test_of_too_many_rows_whole_ones_are_left_out_and_counted(crowd):
    checked = crowd(5000)
    text = comment(checked)
    rows = [line for line in text.splitlines() if line.startswith("| **regressed**")]
    assert len(text) > 65_536 - 600
    assert all(row.count(" | ") == 9 and row.endswith(" |") for row in rows)
    (left,) = re.findall(r"^(\d+) more rows; the JSON form has all\.$", text.split("<details>")[0], flags=re.MULTILINE)
    assert len(rows) + int(left) == 500
    assert "\n4500 more rows; the JSON form has all." in text
    assert len(comment(crowd(100)).split("more row")) == 1


def test_a_step_summary_counts_bytes(crowd):
    checked = crowd(5000)
    for one in checked.findings:
        one.case_id = "昇腾" * 40 + one.case_id
    text = summary(checked)
    assert 999_000 < len(text.encode()) <= 1_000_000
    assert len(text) < 700_000
    assert " more rows; the JSON form has all." in text


def test_a_page_has_every_row(crowd):
    assert page(crowd(5000)).count("\n| ") == 5000 + 2


@given(rows=st.lists(st.integers(1, 60), max_size=30), most=st.integers(200, 900))
def test_rows_are_left_out_from_the_end_and_what_is_fixed_stays(rows, most):
    parts = [
        Part(["head"], ["a" * size for size in rows], ["tail"], turn=1),
        Part(["second"], ["b" * size for size in rows], turn=0),
    ]
    text = fitted(parts, most, len)
    assert len(text) <= most
    lines = text.split("\n")
    assert [line for line in lines if line in ("head", "tail", "second")] == ["head", "tail", "second"]
    for letter in "ab":
        shown = [line for line in lines if line and set(line) == {letter}]
        assert shown == [letter * size for size in rows[: len(shown)]]
    told = sum(int(count) for count in re.findall(r"(\d+) more row", text))
    assert told + sum(bool(line) and set(line) <= set("ab") for line in lines) == 2 * len(rows)


def test_a_name_too_long_for_the_head_is_shortened_there(checked):
    checked.candidate.label = "x" * 5000
    assert f"`{'x' * 197}...`" in comment(checked)


# -- hostile text --------------------------------------------------------------------------------------------------------


@given(text=TEXT)
@example(text="`")
@example(text="a``b`")
@example(text="\\|")
def test_a_code_span_shows_its_text_and_nothing_else_comes_of_it(text):
    shown = "".join(c if c.isprintable() else " " for c in text).strip()
    assert spans(f"x {code(text)} y") == ([shown] if shown else [])
    row = READER.parse(f"| a | b |\n|---|---|\n| {named(text)} | z |")
    cells = [token for token in row if token.type == "inline"]
    assert len(cells) == 4
    assert cells[2].content == "-" if not shown else cells[2].children[0].content == shown
    assert cells[3].content == "z"


@settings(max_examples=150, deadline=None)
@given(text=TEXT)
@example(text=ATTACKS[0])
@example(text=ATTACKS[1])
@example(text=ATTACKS[2])
@example(text=ATTACKS[3])
@example(text=ATTACKS[5])
@example(text=ATTACKS[7])
def test_no_text_of_others_becomes_markup(text):
    written = comment(hostile(text))
    assert set(tags(written)) <= OURS
    assert len(written) <= 65_536


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_shown_as_text(attack):
    written = comment(hostile(attack))
    outside = "".join(
        child.content for token in READER.parse(written) for child in token.children or [] if child.type == "text"
    )
    for sign in ("@", "#1", "evil", "~~", "alert", "<script"):
        assert sign not in outside
    assert tags(written).count("<details>") == tags(written).count("</details>") >= 4


def test_no_name_stands_in_the_sentence(make, found):
    gone = found("@everyone", 1e-3, after=())
    failed = LeftOut(side="candidate", device="cpu", case_id="@everyone", status="oom", reason="no room")
    assert comment(make([gone], left_out=[failed])).splitlines()[1] == (
        "### CASE FAILED: 1 case of the baseline failed, left out below; no alarm"
    )


def test_a_unit_is_shown_as_it_is_and_a_hostile_one_in_a_code_span(make, found):
    one = found("a", 1e-3, 0.2)
    one.unit = "J/token"
    assert "| 0.001 J/token |" in summary(make([one]))
    one.unit = "@user"
    assert "| `0.001 @user` |" in summary(make([one]))
