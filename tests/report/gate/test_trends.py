"""A check for services that draw trends: the formats they document, and series that never mix sources."""

from __future__ import annotations

import json

import jsonschema
import pytest

from bench.report.gate.trends import bencher, github_action_benchmark

# bencher.dev/docs/reference/bencher-metric-format; names at most 1,024 characters, measures at most 64.
BMF = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[a-z0-9-]{1,64}$"},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
        },
    },
}
# github.com/benchmark-action/github-action-benchmark: the entries of customSmallerIsBetter.
ENTRIES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
        "properties": {
            **{name: {"type": "string", "minLength": 1} for name in ("name", "unit", "range", "extra")},
            "value": {"type": "number"},
        },
    },
}


def test_both_are_what_their_readers_document(checked, make, crowd):
    for each in (checked, make([]), crowd(20)):
        jsonschema.validate(json.loads(bencher(each)), BMF)
        jsonschema.validate(json.loads(github_action_benchmark(each)), ENTRIES)


def test_the_schemas_would_find_a_fault():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"a": {"latency": {"value": None}}}, BMF)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{"name": "a", "unit": "s"}], ENTRIES)


def test_bencher_gets_times_in_its_nanoseconds_and_the_rest_in_base_units(checked):
    found = json.loads(bencher(checked))["cpu r1-decode[b=32,ctx=8k,bf16] (measured)"]
    assert set(found) == {"latency", "memory-peak-bytes"}
    # 2.43 ms slower by exp(0.052), the interval of the change around it: 0.052 -+ 2.571 * 0.000894 on log time.
    assert found["latency"] == {
        "value": pytest.approx(2_559_703, rel=1e-6), "lower_value": pytest.approx(2_553_825, rel=1e-5),
        "upper_value": pytest.approx(2_565_595, rel=1e-5),
    }  # fmt: skip
    assert found["memory-peak-bytes"]["value"] == pytest.approx(3.9085e9, rel=1e-4)


def test_an_entry_has_the_value_in_base_units_its_interval_and_where_it_comes_from(checked):
    entries = {entry["name"]: entry for entry in json.loads(github_action_benchmark(checked))}
    entry = entries["cpu r1-decode[b=32,ctx=8k,bf16] step_s (measured)"]
    assert (entry["unit"], entry["value"]) == ("s", pytest.approx(0.002559703, rel=1e-6))
    assert entry["range"] == "0.002554 to 0.002566"
    assert entry["extra"].splitlines() == [
        "source: measured", "verdict: regressed, +5.3% (+5.1% to +5.6%)", "baseline: 2.43 ms, main",
        "limit: +1.0%, detects >= 1.4%", "commits: 89abcde", "accelbench: 0.1.0",
    ]  # fmt: skip


def test_measured_and_estimated_values_are_different_series(make, found):
    modelled = {"source": "modelled"}
    measured, estimated = found("a", 1e-3), found("a", 1e-3, old=modelled, new=modelled)
    names = [
        [entry["name"] for entry in json.loads(github_action_benchmark(make([one])))] for one in (measured, estimated)
    ]
    assert names == [["cpu a step_s (measured)"], ["cpu a step_s (estimated)"]]
    assert [list(json.loads(bencher(make([one])))) for one in (measured, estimated)] == [
        ["cpu a (measured)"], ["cpu a (estimated)"],
    ]  # fmt: skip
    assert "source: estimated (modelled)" in github_action_benchmark(make([estimated]))


def test_what_has_no_new_value_is_left_out_and_never_0(make, found):
    checked = make([found("a", 1e-3, after=())])
    assert json.loads(github_action_benchmark(checked)) == []
    assert json.loads(bencher(checked)) == {}


def test_without_an_interval_there_are_no_bounds(make, found):
    checked = make([found("a", 1e-3, logs=())])
    (entry,) = json.loads(github_action_benchmark(checked))
    assert "range" not in entry
    assert json.loads(bencher(checked)) == {"cpu a (measured)": {"latency": {"value": pytest.approx(1e6)}}}


def test_no_two_entries_have_one_name(checked):
    names = [entry["name"] for entry in json.loads(github_action_benchmark(checked))]
    assert len(set(names)) == len(names) == 15
