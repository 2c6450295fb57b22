"""A check as JUnit XML: what its readers demand, one test for each metric, and no text of others that breaks it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.gate.junit import junit
from bench.results.gate.document import Checked, Finding, LeftOut, Side

SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[2] / "data" / "ci" / "junit.xsd")


def by_name(text: str) -> dict[str, ET.Element]:
    """Name -> test case."""
    return {test.get("name", ""): test for test in ET.fromstring(text).iter("testcase")}


def outcome(test: ET.Element) -> str:
    return next((child.tag for child in test if child.tag != "system-out"), "passed")


def test_a_whole_check(checked, golden):
    assert junit(checked) == golden("junit.xml")


def test_it_is_what_its_readers_have_in_common(checked, make, crowd):
    for each in (checked, make([]), crowd(50)):
        SCHEMA.validate(junit(each))


def test_the_schema_would_find_a_fault(checked):
    for old, new in (('failures="3"', 'failures="many"'), ("testcase ", "test "), ('type="regressed"', "")):
        with pytest.raises(xmlschema.XMLSchemaException):
            SCHEMA.validate(junit(checked).replace(old, new))


def test_an_alarm_fails_and_what_is_not_judged_is_skipped(checked):
    found = {name: outcome(test) for name, test in by_name(junit(checked)).items()}
    assert [name for name, what in found.items() if what == "failure"] == [
        "r1-decode[b=32,ctx=8k,bf16] memory_peak_bytes", "r1-decode[b=32,ctx=8k,bf16] step_s", "gemm[m=16,bf16] step_s",
    ]  # fmt: skip
    assert [name for name, what in found.items() if what == "skipped"] == [
        "moe[t=64,bf16] step_s", "embed[t=64] step_s", "rope[t=64,bf16] step_s", "rms-norm[t=64,bf16] step_s",
        "copy[n=1M,bf16] step_s", "huge[b=1] (candidate, oom)", "old[b=1] (baseline, skipped)",
    ]  # fmt: skip
    assert len(found) == 16 + 2


def test_counts_are_those_of_the_tests(checked):
    root = ET.fromstring(junit(checked))
    assert dict(root.items()) == {"name": "bench check", "tests": "18", "failures": "3", "errors": "0"}
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root] == [
        ("bench check on cpu", "16", "2", "7"), ("bench check on h100-sxm", "2", "1", "0"),
    ]  # fmt: skip


def test_the_message_is_in_the_body_too_with_all_numbers(checked):
    (failure,) = by_name(junit(checked))["r1-decode[b=32,ctx=8k,bf16] step_s"]
    assert failure.get("message", "").startswith("regressed: second look: time +5.3%")
    assert failure.text is not None
    assert failure.text.splitlines()[0] == failure.get("message")
    assert failure.text.splitlines()[1:] == [
        "baseline: 2.43 ms (main)", "candidate: 2.56 ms (run-b)", "change: +5.3%, 95 % interval +5.1% to +5.6%",
        "limit: +1.0%", "detects: >= 1.4%", "second look: confirmed", "source: measured",
    ]  # fmt: skip


def test_a_skipped_test_says_why(checked):
    (skipped,) = [child for child in by_name(junit(checked))["copy[n=1M,bf16] step_s"] if child.tag == "skipped"]
    assert skipped.text == skipped.get("message")
    assert skipped.text == "learning: 3 of 5 baseline sessions: how much they spread is not known yet"


def test_an_estimate_is_called_so_in_every_text(checked):
    test = by_name(junit(checked))["gemm[m=16,bf16] step_s"]
    (failure,) = test
    assert "estimated: time" in failure.get("message", "")
    assert "baseline: ~1.60 ms (main)" in (failure.text or "")
    assert "source: estimated (modelled)" in (failure.text or "")
    assert test.get("time") is None


def test_a_case_of_the_baseline_that_fails_now_is_an_error(make, found):
    gone = found("a[b=1]", 1e-3, after=())
    broken = LeftOut(side="candidate", device="cpu", case_id="a[b=1]", status="oom", reason="no room")
    text = junit(make([gone], left_out=[broken]))
    SCHEMA.validate(text)
    (error,) = by_name(text)["a[b=1] (candidate, oom)"]
    assert (error.tag, error.get("type"), error.text) == ("error", "oom", "oom in the candidate: no room")
    assert ET.fromstring(text).get("errors") == "1"


def test_a_full_stop_in_a_name_does_not_split_it_in_jenkins(make, found):
    one = found("llama-3.1-8b-decode[b=1]", 1e-3, device="npu:0")
    (test,) = by_name(junit(make([one]))).values()
    assert test.get("classname") == "npu:0.llama-3_1-8b-decode"
    assert test.get("name") == "llama-3.1-8b-decode[b=1] step_s"


def test_no_two_tests_have_one_name(checked):
    root = ET.fromstring(junit(checked))
    names = [(test.get("classname"), test.get("name")) for test in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_with_fail_on_other_verdicts_fail_too(make, found):
    one = found("a", 1e-3, after=(), fail_on=("gone",))
    assert [outcome(test) for test in by_name(junit(make([one]))).values()] == ["failure"]


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=30), st.text(st.sampled_from("<>&\"']]>\x00\x0b\ud800\ufffe\uffff\n\r\t "), max_size=20)
    )
)
def test_no_text_of_others_breaks_the_file(text):
    one = Finding(
        device=text, case_id=text, workload=text, metric=text, unit=text, verdict="regressed", reason=text, alarm=True,
        baseline=1.0, accepted=text,
    )  # fmt: skip
    checked = Checked(
        bench_version=text, created=text, command=text, baseline=Side(label=text, commits=[text]), rule={}, metrics=1,
        candidate=Side(label=text), findings=[one], changed=[text], notes=[text],
        left_out=[LeftOut(side="candidate", device=text, case_id=text, status=text, reason=text)],
    )  # fmt: skip
    written = junit(checked)
    root = ET.fromstring(written.encode())
    assert len(list(root.iter("testcase"))) == 2
    if text.strip():
        SCHEMA.validate(written)
