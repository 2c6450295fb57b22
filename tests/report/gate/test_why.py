"""Why a verdict is what it is: followed by hand, from the numbers that are printed and from nothing else."""

from __future__ import annotations

import math
import re
import statistics

import msgspec
import pytest

from bench.errors import ResultError
from bench.report.gate.why import why_text
from bench.results.gate.look import student_t

CASE = "r1-decode[b=32,ctx=8k,bf16]"


def part(text: str, start: str, end: str = "\n\n\n") -> str:
    """The text from one heading to the next."""
    return text[text.index(start) :].split(end, maxsplit=1)[0]


def steps(text: str) -> dict[str, tuple[str, str]]:
    """Quantity -> its formula and its value, as printed."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"(\S[\w ]*?) {2,}= (.+?) += (\S+)$", line)
        if match:
            found[match[1]] = (match[2], match[3])
    return found


def values(text: str) -> dict[str, float]:
    return {
        name: float(value.rstrip("%")) / (100 if value.endswith("%") else 1) for name, (_, value) in steps(text).items()
    }


@pytest.fixture
def looks(checked) -> tuple[str, str]:
    """The first and the second look at the confirmed regression, as printed."""
    text = why_text(checked, CASE, 200)
    text = text[text.index("step_s on cpu: regressed") :]
    return part(text, "First look", "Second look"), part(text, "Second look:")


def test_the_first_look_can_be_followed_from_its_medians(looks):
    first, _ = looks
    logs = {side: [float(line.split()[-1]) for line in first.splitlines() if line.startswith(f"{side} ")]
            for side in ("baseline", "candidate")}  # fmt: skip
    assert [len(each) for each in logs.values()] == [8, 3]
    told = values(first)
    assert told["change"] == pytest.approx(
        statistics.mean(logs["candidate"]) - statistics.mean(logs["baseline"]), abs=2e-6
    )
    squares = [sum((log - statistics.mean(each)) ** 2 for log in each) for each in logs.values()]
    assert told["spread"] == pytest.approx(math.sqrt(sum(squares) / 9), abs=2e-6)
    assert steps(first)["error"][0] == "spread * sqrt(1/8 + 1/3)"
    assert told["error"] == pytest.approx(told["spread"] * math.sqrt(1 / 8 + 1 / 3), abs=2e-6)
    assert told["low"] == pytest.approx(told["change"] - told["t interval"] * told["error"], abs=5e-6)
    assert told["limit"] == pytest.approx(max(told["zone"], told["k"] * told["spread"]), abs=2e-6)
    assert told["ratio"] == pytest.approx(math.exp(told["change"]), abs=1e-5)


def test_the_second_look_can_be_followed_from_its_pairs(looks):
    _, second = looks
    differences = [float(line.split()[-1]) for line in second.splitlines() if re.match(r" *\d +pair-a", line)]
    assert differences == [0.054, 0.05, 0.054, 0.05, 0.054, 0.05]
    told = values(second)
    assert told["change"] == 0.052
    # Six differences of 0.002 around their mean: sqrt(6 * 0.002^2 / 5).
    assert told["spread"] == pytest.approx(0.002191, abs=1e-6)
    assert told["error"] == pytest.approx(0.002191 / math.sqrt(6), abs=1e-6)
    assert steps(second)["t alarm"][0] == "Student's t, 0.05 / 3 one-sided, 5"
    assert told["t alarm"] == pytest.approx(student_t(0.05 / 3, 5), rel=1e-5)


def test_what_others_took_beside_each_of_a_pair_is_told(looks, checked):
    assert "others' cores" not in looks[1]
    why = next(one.second.why for one in checked.findings if one.case_id == CASE and one.second is not None)
    why.candidate[0] = msgspec.structs.replace(why.candidate[0], others=1.25)
    why.baseline[0] = msgspec.structs.replace(why.baseline[0], others=0.5)
    text = part(why_text(checked, CASE, 200), "Second look:")
    assert "others' cores" in text
    assert next(line for line in text.splitlines() if line.startswith("   1")).split()[-3:-1] == ["0.50,", "1.25"]


def test_medians_are_printed_so_that_their_logarithms_agree(looks):
    for line in looks[0].splitlines():
        if line.startswith(("baseline ", "candidate ")):
            *_, median, log = line.split()
            assert math.log(float(median)) == pytest.approx(float(log), abs=1e-6)


def test_what_the_sessions_are_made_of_is_told(looks):
    for look in looks:
        for line in ("source: measured", "machine: abcdef012345", "definition: 0123456789abcdef", "precision: bf16"):
            assert line in look.splitlines()


def test_the_last_word_stands_first(checked):
    lines = why_text(checked, "r1-decode[b=1,ctx=1k,bf16]").splitlines()
    assert lines[0] == "r1-decode[b=1,ctx=1k,bf16] step_s on cpu: same (second look: not confirmed)"
    assert lines[1].startswith("1.10 ms -> 1.10 ms, measured. second look, same: time +0.1%")


def test_a_verdict_without_statistics_says_why_there_are_none(checked):
    text = why_text(checked, "rope")
    assert "gone" in text.splitlines()[0]
    assert "the candidate has no session of this case" in text
    assert "no statistics: this verdict needs none" in text


def test_an_estimate_is_called_so(checked):
    lines = why_text(checked, "gemm[m=16,bf16]").splitlines()
    assert lines[0].endswith("on h100-sxm: estimated: regressed")
    assert lines[1].startswith("~1.60 ms -> ~1.95 ms, estimated (modelled). estimated: time")


def test_a_finding_without_its_looks_is_no_fault(make, found):
    one = found("a", 1e-3, 0.2)
    one.first = None
    assert why_text(make([one]), "a").endswith("The document holds no arithmetic of this verdict.")


def test_a_pattern_shows_all_that_match_the_worst_first(checked):
    heads = [line for line in why_text(checked, "gemm*").splitlines() if line.startswith("gemm[")]
    assert [line.split("]")[0] for line in heads] == ["gemm[m=16,bf16", "gemm[m=1,bf16", "gemm[m=2,bf16",
                                                      "gemm[m=4,bf16", "gemm[m=8,bf16"]  # fmt: skip


def test_a_case_that_does_not_exist_is_told_with_the_nearest(checked):
    with pytest.raises(ResultError, match=r"no case of this check matches 'rop'; did you mean 'rope\[t=64,bf16\]'"):
        why_text(checked, "rop")
    checked.findings.clear()
    with pytest.raises(ResultError, match=r"no case of this check matches 'rop', which judged nothing$"):
        why_text(checked, "rop")


def test_what_was_accepted_is_told(checked):
    assert "in the baseline's level: +8.0% accepted on 2026-11-03" in why_text(checked, "swiglu")


def test_no_number_is_cut_in_a_narrow_window(checked):
    text = why_text(checked, CASE, 40)
    assert "0.002420299" in text
    assert "0.052000" in text


def test_a_sitting_is_shown_with_the_sessions_whose_mean_it_is(make, found):
    one = found("a", 1e-3, 0.2, new={"sitting": "tuesday", "others": 0.25, "quartiles": (1.2e-3, 1.3e-3), "count": 40})
    rows = [line.split() for line in why_text(make([one]), "a").splitlines() if line.startswith("candidate ")]
    assert [row[1] for row in rows] == ["run-b/1", "run-b/2", "run-b/3", "="]
    assert rows[0][2:7] == ["40", "0.0012", "to", "0.0013", "0.25"]
    assert " ".join(rows[3][1:8]) == "= mean of the 3 above, one"
    logs = [float(row[-1]) for row in rows]
    assert logs[3] == pytest.approx(statistics.mean(logs[:3]), abs=1e-6)
    assert "3 candidate" not in why_text(make([one]), "a")
