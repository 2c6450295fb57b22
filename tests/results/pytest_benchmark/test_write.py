"""Runs as pytest-benchmark writes them: what is in, what is left out and why, and its statistics."""

from __future__ import annotations

import itertools
import json

import pytest
from pytest_benchmark.stats import Stats

from bench.results.pytest_benchmark.write import document, extra_info, left_out, stats
from bench.results.record import Run


@pytest.fixture
def run(row, environment):
    """Return a function that makes a run of rows."""
    return lambda *rows, **changes: Run(id="r", environment=environment(**changes), rows=list(rows))


def test_a_case_is_one_benchmark_with_its_samples_as_they_are(run, row):
    found = document(run(row(step_s=0.25, samples_s=[0.5, 0.25, 0.125], phase="decode", mbu=0.5), commit="0123abcd+"))
    assert found["version"] == "5.0.0"
    assert found["datetime"] == "2026-11-21T12:00:00+00:00"
    assert found["commit_info"] == {
        "id": "0123abcd", "dirty": True, "time": None, "author_time": None, "branch": None,
    }  # fmt: skip
    assert found["machine_info"]["cpu"] == {"brand_raw": "A CPU", "count": 2}
    (only,) = found["benchmarks"]
    assert only["name"] == "tiny-decode[b=1,ctx=1k,bf16]"
    assert only["fullname"] == "bench/cpu::tiny-decode[b=1,ctx=1k,bf16]"
    assert only["group"] == "tiny-decode"
    assert only["stats"]["data"] == [0.5, 0.25, 0.125]
    assert only["stats"]["median"] == 0.25
    assert only["extra_info"]["mbu"] == 0.5
    assert only["extra_info"]["mfu"] is None
    json.dumps(found, allow_nan=False)


def test_sessions_of_a_case_are_pooled_in_their_order(run, row):
    rows = [row(session=number, samples_s=samples) for number, samples in ((2, [3.0]), (1, [1.0, 2.0]))]
    (only,) = document(run(*rows))["benchmarks"]
    assert only["stats"]["data"] == [1.0, 2.0, 3.0]
    assert only["stats"]["rounds"] == 3
    assert [(each.get("session"), each["samples_s"]) for each in only["extra_info"]["rows"]] == [(1, 2), (2, 1)]


def test_devices_are_benchmarks_of_their_own(run, row):
    rows = [row(samples_s=[1.0]), row(samples_s=[2.0], device="cuda:0")]
    names = [each["fullname"] for each in document(run(*rows))["benchmarks"]]
    assert names == ["bench/cpu::tiny-decode[b=1,ctx=1k,bf16]", "bench/cuda:0::tiny-decode[b=1,ctx=1k,bf16]"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "modelled", "tier": "sheet", "step_s": 1.0}, "modelled: no timing"),
        ({"source": "published", "samples_s": [1.0]}, "published: no timing"),
        ({"status": "oom", "reason": "needs 3 TB"}, "oom: needs 3 TB"),
        ({"status": "error"}, "error: no reason told"),
        ({"step_s": 1.0}, "it has no samples"),
    ],
)
def test_what_is_no_timing_is_left_out_with_the_reason(run, row, changes, reason):
    made = run(row(**changes), row(case_id="another", samples_s=[1.0]))
    assert [(each.case_id, why) for each, why in left_out(made.rows)] == [("tiny-decode[b=1,ctx=1k,bf16]", reason)]
    assert [each["name"] for each in document(made)["benchmarks"]] == ["another"]


def test_what_is_carried_says_on_which_machine(row, environment):
    here, there = environment(), environment(cores=64)
    assert extra_info([row()], here)["fingerprint"] == extra_info([row()], environment(host="another"))["fingerprint"]
    assert extra_info([row()], here)["fingerprint"] != extra_info([row()], there)["fingerprint"]


def test_the_statistics_of_eight_samples_worked_out_by_hand():
    # Halves 1 2 3 4 and 5 6 7 20: medians 2.5 and 6.5; fences at -3.5 and 12.5.
    found = stats([7.0, 1.0, 2.0, 3.0, 20.0, 4.0, 5.0, 6.0])
    assert (found["q1"], found["median"], found["q3"], found["iqr"]) == (2.5, 4.5, 6.5, 4.0)
    assert (found["ld15iqr"], found["hd15iqr"]) == (1.0, 7.0)
    assert (found["mean"], found["total"], found["ops"], found["rounds"]) == (6.0, 48.0, 1 / 6, 8)
    assert found["outliers"] == "1;1"


@pytest.mark.parametrize("count", range(1, 14))
def test_the_statistics_are_those_of_the_real_tool(count):
    samples = [float(value) for value in itertools.islice(itertools.cycle([5, 1, 8, 2, 9, 3, 40, 4, 6, 7]), count)]
    theirs = Stats()
    theirs.data = samples
    found = stats(samples)
    assert (found.pop("data"), found.pop("iterations")) == (samples, 1)
    expected = theirs.as_dict()
    # Before 5.3 it named an outlier the highest that is none.
    del expected["hd15iqr"], found["hd15iqr"]
    assert found.pop("outliers") == expected.pop("outliers")
    assert found == pytest.approx(expected)
