"""What one `bench check` found: the document that its JSON is, and that every other form is made from."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.results.gate.verdict import Judged, Verdict

# 1 (2026-11): first form.
SCHEMA_VERSION = 1


class Side(msgspec.Struct, kw_only=True):
    """One side of a check. `created`: when its first and its last session began; a sitting is one `bench run`."""

    label: str
    files: list[str] = []
    sessions: int = 0
    sittings: int = 0
    commits: list[str] = []
    created: tuple[str, str] | None = None
    hosts: list[str] = []


class Finding(msgspec.Struct, kw_only=True):
    """The last word on one metric of one case on one device, and the looks behind it.

    ratio: candidate over baseline, above 1 is worse. interval: its 95 % interval. limit: the change that an alarm
    needs; detects: the slowdown that is found in 95 of 100 looks, null where that is more than a doubling; both as
    shares (0.042: 4.2 %). alarm: whether it counts towards exit code 1. confirmed: what the second look made of the
    first, "not run" where it was needed and did not happen. accepted: the reason of a person who accepted this change.
    """

    device: str
    case_id: str
    workload: str
    metric: str
    unit: str
    verdict: Verdict
    reason: str
    alarm: bool = False
    baseline: float | None = None
    candidate: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    limit: float | None = None
    detects: float | None = None
    confirmed: Literal["confirmed", "withdrawn", "not run"] | None = None
    accepted: str | None = None
    estimated: bool = False
    first: Judged | None = None
    second: Judged | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.device, self.case_id, self.metric


class LeftOut(msgspec.Struct, kw_only=True):
    """A case that was planned and gave no number on one side: skipped, failed, or without samples."""

    side: Literal["baseline", "candidate"]
    device: str
    case_id: str
    status: str
    reason: str


class Checked(msgspec.Struct, kw_only=True):
    """A whole check. `changed`: settings that differ between the sides, one line each; `notes`: what else to know.

    rule: the shares and counts in force (see `bench.results.gate.look.Rule`); single workloads may have their own.
    exit_code: see `bench.results.gate.conclude.exit_code`; 130 where the second look was interrupted.
    """

    schema: int = SCHEMA_VERSION
    bench_version: str
    created: str
    command: str
    baseline: Side
    candidate: Side
    rule: dict[str, float]
    metrics: int
    looked_again: int = 0
    findings: list[Finding] = []
    left_out: list[LeftOut] = []
    changed: list[str] = []
    notes: list[str] = []
    exit_code: int = 0

    def counts(self) -> dict[Verdict, int]:
        """Return verdict -> how many findings have it, the worst first; verdicts without any are left out."""
        order: tuple[Verdict, ...] = (
            "regressed", "not comparable", "cannot tell", "gone", "new", "learning", "improved", "same",
        )  # fmt: skip
        found = [one.verdict for one in self.findings]
        return {verdict: found.count(verdict) for verdict in order if verdict in found}

    def pairs(self) -> dict[tuple[str, str, str], float]:
        """Return the ratios that rest on pairs: whatever chose a metric for them, they know nothing of it."""
        return {
            one.key: one.second.ratio
            for one in self.findings
            if one.second is not None and one.second.ratio is not None and one.second.why and one.second.why.paired
        }

    def compared(self) -> tuple[str, dict[tuple[str, str, str], tuple[float | None, float | None]]]:
        """Return the baseline's name, and what the first look compared: each metric on both sides, in its unit."""
        levels = {one.key: (one.first.baseline, one.first.candidate) for one in self.findings if one.first is not None}
        return self.baseline.label, levels
