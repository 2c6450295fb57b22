"""The last word on every metric: what the first look found, what the second made of it, what a person accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from msgspec.structs import replace

from bench.results.gate.document import Checked, Finding, LeftOut
from bench.results.gate.gather import Key
from bench.results.gate.verdict import Confirmed, Judged, Verdict
from bench.results.metrics import METRICS

REGRESSION, CASE_FAILED, NOT_COMPARABLE = 1, 4, 5
FAIL_ON: tuple[Verdict, ...] = ("regressed",)
# The baseline has a number of it: what is not supported any more was broken.
FAILED = ("error", "timeout", "oom", "invalid", "unsupported")


def key_of(one: Judged) -> Key:
    """Return what a verdict is of."""
    return one.device, one.case_id, one.metric


def conclude(
    first: Judged, second: Confirmed | None = None, *, not_run: str = "", accepted: str | None = None,
    fail_on: Collection[Verdict] = FAIL_ON,
) -> Finding:  # fmt: skip
    """Return the last word on one metric. not_run: why a second look that was due did not happen."""
    said, verdict, reason = first, first.verdict, first.reason
    confirmed: Literal["confirmed", "withdrawn", "not run"] | None = None
    if second is not None:
        said, confirmed, reason = second.judged, second.outcome, f"{second.reason}; first look: {first.reason}"
        verdict = second.judged.verdict
        if second.outcome == "withdrawn" and verdict in ("regressed", "improved"):
            verdict = "cannot tell"  # the two looks contradict each other
    elif first.second_look and not_run:
        confirmed = "not run"
        if first.verdict == "regressed":
            reason = f"{reason}; not confirmed by a second run: {not_run}"
    return Finding(
        device=first.device, case_id=first.case_id, workload=first.case_id.partition("[")[0], metric=first.metric,
        unit=METRICS[first.metric].unit, verdict=verdict, reason=reason, alarm=verdict in fail_on,
        baseline=said.baseline, candidate=said.candidate, ratio=said.ratio, interval=said.interval, limit=said.limit,
        detects=said.detects, confirmed=confirmed, accepted=accepted, estimated=first.estimated,
        first=first, second=None if second is None else second.judged,
    )  # fmt: skip


def exit_code(checked: Checked) -> int:
    """Return 1 where something got worse, 4 where a case that the baseline has failed, 5 where a case is refused."""
    if any(one.alarm for one in checked.findings):
        return REGRESSION
    if failed_now(checked.findings, checked.left_out):
        return CASE_FAILED
    return NOT_COMPARABLE if any(one.verdict == "not comparable" for one in checked.findings) else 0


def failed_now(findings: Iterable[Finding], left_out: Iterable[LeftOut]) -> list[LeftOut]:
    """Return the cases that the baseline has and that failed in the candidate."""
    known = {(one.device, one.case_id) for one in findings if one.baseline is not None}
    return [
        one
        for one in left_out
        if one.side == "candidate" and one.status in FAILED and (one.device, one.case_id) in known
    ]


def with_reasons(found: list[Judged], left_out: Iterable[LeftOut]) -> list[Judged]:
    """Return the verdicts with "gone" saying what became of the case in the candidate, where that is known."""
    became: Mapping[tuple[str, str], LeftOut] = {
        (one.device, one.case_id): one for one in left_out if one.side == "candidate"
    }
    return [
        replace(one, reason=f"the candidate's case is {why.status}: {why.reason}")
        if one.verdict == "gone" and (why := became.get((one.device, one.case_id)))
        else one
        for one in found
    ]
