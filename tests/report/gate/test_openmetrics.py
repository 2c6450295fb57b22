"""A check as OpenMetrics: read back by Prometheus' own parser, whatever the names are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from bench.report.gate.openmetrics import openmetrics
from bench.results.gate.document import Checked, Finding, Side


def families(text: str) -> dict:
    """Name -> family, as Prometheus reads them."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family, **labels: str) -> list:
    return [one for one in family.samples if labels.items() <= one.labels.items()]


def test_a_whole_check_is_read(checked, golden):
    text = openmetrics(checked)
    assert text == golden("openmetrics.txt")
    assert text.endswith("# EOF")
    assert list(families(text)) == [
        "accelbench_check", "accelbench_check_exit_code", "accelbench_findings", "accelbench_step_seconds",
        "accelbench_memory_peak_bytes", "accelbench_change_ratio", "accelbench_change_low_ratio",
        "accelbench_change_high_ratio", "accelbench_limit_ratio", "accelbench_detects_ratio", "accelbench_alarm",
    ]  # fmt: skip


def test_every_family_has_type_unit_and_help(checked):
    found = families(openmetrics(checked))
    assert all(family.documentation for family in found.values())
    units = {name: family.unit for name, family in found.items() if family.unit}
    assert units["accelbench_step_seconds"] == "seconds"
    assert units["accelbench_memory_peak_bytes"] == "bytes"
    assert {family.type for family in found.values()} == {"info", "gauge"}


def test_values_of_both_sides_are_there_with_what_they_are(checked):
    step = families(openmetrics(checked))["accelbench_step_seconds"]
    both = samples(step, case="r1-decode[b=32,ctx=8k,bf16]", device="cpu")
    assert [(one.labels["side"], one.labels["source"]) for one in both] == [
        ("baseline", "measured"), ("candidate", "measured"),
    ]  # fmt: skip
    assert [one.value for one in both] == [pytest.approx(2.43e-3), pytest.approx(2.559703e-3, rel=1e-6)]
    assert {one.labels["source"] for one in samples(step, device="h100-sxm")} == {"estimated"}
    assert [one.labels["side"] for one in samples(step, case="rms-norm[t=64,bf16]")] == ["candidate"]


def test_changes_limits_and_alarms_are_there(checked):
    found = families(openmetrics(checked))
    key = {"case": "r1-decode[b=32,ctx=8k,bf16]", "metric": "step_s"}
    (change,) = samples(found["accelbench_change_ratio"], **key)
    assert change.value == pytest.approx(1.05338, abs=1e-5)
    (limit,) = samples(found["accelbench_limit_ratio"], **key)
    assert limit.value == pytest.approx(0.01)
    assert sum(one.value for one in found["accelbench_alarm"].samples) == 3
    assert len(found["accelbench_alarm"].samples) == 16
    (outcome,) = found["accelbench_check"].samples
    assert outcome.labels["outcome"] == "FAIL"
    assert [one.value for one in found["accelbench_check_exit_code"].samples] == [1]
    assert [one.value for one in samples(found["accelbench_findings"], verdict="same")] == [7]


def test_a_unit_of_its_own_is_no_unit_of_the_format(make, found):
    one = found("a", 1.5, metric="joules_per_token")
    assert "# TYPE accelbench_joules_per_token gauge\n# HELP" in openmetrics(make([one]))


def test_nothing_is_still_a_document(make):
    assert list(families(openmetrics(make([])))) == ["accelbench_check", "accelbench_check_exit_code"]


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=30), st.text(st.sampled_from('\\"{}=,#\n\r\t \ud800a'), max_size=20)))
def test_no_text_of_others_breaks_the_file(text):
    one = Finding(
        device=text, case_id=text, workload=text, metric=text, unit=text, verdict="same", reason=text, baseline=1.0,
        candidate=2.0, ratio=2.0,
    )  # fmt: skip
    checked = Checked(
        bench_version=text, created=text, command=text, baseline=Side(label=text), candidate=Side(label=text), rule={},
        metrics=1, findings=[one],
    )  # fmt: skip
    found = families(openmetrics(checked))
    (ratio,) = found["accelbench_change_ratio"].samples
    assert ratio.value == 2.0
    assert ratio.labels["case"] == text.encode("utf-8", "replace").decode().replace("\r", " ")
