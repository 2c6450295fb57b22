"""A check as JUnit XML: one test case for each metric of a case; failed where it raises an alarm.

Written so that Jenkins and GitLab read it: GitLab shows the text inside an element and not its `message`, takes
`classname` for the suite, and drops a test whose name it has seen (docs.gitlab.com/ci/testing/unit_test_reports);
Jenkins splits `classname` at its last full stop. No `time`: a modelled time would stand there without its mark.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bench.report.gate import words
from bench.report.layout import plain
from bench.results.gate.conclude import failed_now
from bench.results.gate.document import Checked, Finding, LeftOut, Side

# Verdicts that say neither good nor bad: a test that was not carried out.
SKIPPED = ("cannot tell", *words.UNJUDGED)


def junit(checked: Checked) -> str:
    """Return the check as XML: a suite for each device."""
    root = ET.Element("testsuites", name="bench check")
    devices = [one.device for one in checked.findings] + [one.device for one in checked.left_out]
    for device in dict.fromkeys(devices):
        found = [one for one in checked.findings if one.device == device]
        left = [one for one in checked.left_out if one.device == device]
        suite = ET.SubElement(root, "testsuite", name=plain(f"bench check on {device}"))
        _properties(suite, checked)
        for one in words.ranked(found):
            _tested(suite, one, checked)
        failed = failed_now(checked.findings, left)
        for apart in left:
            _left(suite, apart, "error" if apart in failed else "skipped")
        _count(suite)
    _count(root)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _properties(suite: ET.Element, checked: Checked) -> None:
    properties = ET.SubElement(suite, "properties")
    word, sentence = words.outcome(checked)
    told = {
        "outcome": f"{word}: {sentence}",
        "exit code": str(checked.exit_code),
        "baseline": _side(checked.baseline),
        "candidate": _side(checked.candidate),
        "accelbench": checked.bench_version,
        "created": checked.created,
        "command": checked.command,
        "rule": words.rule_text(checked),
    }
    every = [*told.items(), *(("changed", line) for line in checked.changed), *(("note", n) for n in checked.notes)]
    for name, value in every:
        ET.SubElement(properties, "property", name=name, value=plain(value))


def _side(side: Side) -> str:
    return f"{side.label}: {words.sessions_text(side)}, commits {' '.join(side.commits) or 'not known'}"


def _tested(suite: ET.Element, one: Finding, checked: Checked) -> None:
    test = _test(suite, one.device, one.workload, f"{one.case_id} {one.metric}")
    message = plain(f"{one.verdict}: {words.reason_text(one)}")
    body = "\n".join([message, *_facts(one, checked)])
    if one.alarm:
        ET.SubElement(test, "failure", type=one.verdict, message=message).text = body
    elif one.verdict in SKIPPED:
        ET.SubElement(test, "skipped", type=one.verdict, message=message).text = message
        ET.SubElement(test, "system-out").text = body
    else:
        ET.SubElement(test, "system-out").text = body


def _facts(one: Finding, checked: Checked) -> list[str]:
    """Return the numbers behind a verdict; user strings are on one line each, so that none starts another."""
    told = {
        "baseline": f"{words.value_text(one, one.baseline)} ({checked.baseline.label})",
        "candidate": f"{words.value_text(one, one.candidate)} ({checked.candidate.label})",
        "change": f"{words.change_text(one)}, 95 % interval {words.interval_text(one)}",
        "limit": words.limit_text(one),
        "detects": words.detects_text(one),
        "second look": words.second_look_text(one),
        "accepted": one.accepted or "",
        "source": words.source_text(one),
    }
    return [plain(f"{name}: {value}") for name, value in told.items() if value]


def _left(suite: ET.Element, one: LeftOut, tag: str) -> None:
    """A case without a number: an error where the baseline has it and it failed now, as in exit code 4."""
    test = _test(suite, one.device, one.case_id.partition("[")[0], f"{one.case_id} ({one.side}, {one.status})")
    message = plain(f"{one.status} in the {one.side}: {one.reason or 'no reason was kept'}")
    ET.SubElement(test, tag, type=plain(one.status), message=message).text = message


def _test(suite: ET.Element, device: str, workload: str, name: str) -> ET.Element:
    # One full stop, between the two: a model's 3.1 would be cut in half.
    classname = f"{device.replace('.', '_')}.{workload.replace('.', '_')}"
    return ET.SubElement(suite, "testcase", classname=plain(classname), name=plain(name))


def _count(element: ET.Element) -> None:
    """Put the numbers of tests on a suite, or on all suites together."""
    counts = {"tests": "testcase", "failures": "failure", "errors": "error"}
    if element.tag == "testsuite":
        counts["skipped"] = "skipped"
    for name, tag in counts.items():
        element.set(name, str(sum(1 for _ in element.iter(tag))))
