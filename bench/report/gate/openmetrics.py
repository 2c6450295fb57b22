"""A check as OpenMetrics text: for a Prometheus push gateway or textfile collector, and GitLab's metrics report."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bench.report.gate import words
from bench.results.gate.document import Checked, Finding
from bench.results.metrics import METRICS

PREFIX = "accelbench"
# How the unit of a stored value is called in OpenMetrics, and what it replaces at the end of a metric's name.
UNITS = {"s": ("_s", "seconds"), "B": ("_bytes", "bytes")}


@dataclass
class Family:
    """A metric family: its name, help and unit, and its samples as (suffix, labels, value)."""

    name: str
    text: str
    kind: str = "gauge"
    unit: str = ""
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the family as text; its unit, where it has one, is the end of its name, as the format demands."""
        head = [f"# TYPE {self.name} {self.kind}"]
        head += [f"# UNIT {self.name} {self.unit}"] if self.unit else []
        head.append(f"# HELP {self.name} {_quoted(self.text)}")
        samples = []
        for suffix, labels, value in self.samples:
            inside = ",".join(f'{key}="{_quoted(text)}"' for key, text in labels.items())
            samples.append(f"{self.name}{suffix}{{{inside}}} {value!r}" if inside else f"{self.name}{suffix} {value!r}")
        return [*head, *samples]


def openmetrics(checked: Checked) -> str:
    """Return the check as OpenMetrics text: outcome and counts, then values, changes, limits and alarms."""
    word, _ = words.outcome(checked)
    info = {
        "outcome": word, "baseline": checked.baseline.label, "candidate": checked.candidate.label,
        "commits": " ".join(checked.candidate.commits), "version": checked.bench_version,
    }  # fmt: skip
    families = [
        Family(f"{PREFIX}_check", "The check that these numbers are of.", "info", samples=[("_info", info, 1)]),
        Family(f"{PREFIX}_check_exit_code",
               "0 nothing got worse, 1 something did, 4 a case failed, 5 a case cannot be compared, 130 interrupted.",
               samples=[("", {}, checked.exit_code)]),
        Family(f"{PREFIX}_findings", "Metrics by verdict.",
               samples=[("", {"verdict": verdict}, count) for verdict, count in checked.counts().items()]),
        *_values(checked.findings),
        *_changes(checked.findings),
    ]  # fmt: skip
    return "\n".join([*(line for family in families if family.samples for line in family.lines()), "# EOF"])


def _values(findings: list[Finding]) -> list[Family]:
    """Return a family for each metric, with the value of both sides."""
    found: dict[str, Family] = {}
    for one in findings:
        end, unit = UNITS.get(one.unit, ("", ""))
        stem = one.metric.removesuffix(end) + (f"_{unit}" if unit else "")
        name = f"{PREFIX}_{re.sub(r'[^a-zA-Z0-9_]', '_', stem)}"
        text = METRICS[one.metric].definition if one.metric in METRICS else one.metric
        family = found.setdefault(name, Family(name, text, unit=unit))
        for side, value in (("baseline", one.baseline), ("candidate", one.candidate)):
            if value is not None:
                family.samples.append(("", {**_labels(one), "side": side}, value))
    return list(found.values())


def _changes(findings: list[Finding]) -> list[Family]:
    change = Family(f"{PREFIX}_change_ratio", "Candidate over baseline; above 1 is worse.", unit="ratio")
    low = Family(f"{PREFIX}_change_low_ratio", "Low end of the 95 % interval of the change.", unit="ratio")
    high = Family(f"{PREFIX}_change_high_ratio", "High end of the 95 % interval of the change.", unit="ratio")
    limit = Family(f"{PREFIX}_limit_ratio", "Change that an alarm needs, as a share of the baseline.", unit="ratio")
    detects = Family(f"{PREFIX}_detects_ratio", "Slowdown found in 95 of 100 looks, as a share.", unit="ratio")
    alarm = Family(f"{PREFIX}_alarm", "1 where the metric counts towards exit code 1.")
    for one in findings:
        ends = one.interval or (None, None)
        told = ((change, one.ratio), (low, ends[0]), (high, ends[1]), (limit, one.limit), (detects, one.detects))
        for family, value in told:
            if value is not None:
                family.samples.append(("", {**_labels(one), "metric": one.metric}, value))
        alarm.samples.append(("", {**_labels(one), "metric": one.metric, "verdict": one.verdict}, int(one.alarm)))
    return [change, low, high, limit, detects, alarm]


def _labels(one: Finding) -> dict[str, str]:
    """Return the labels of a finding; `source` says whether its values were measured."""
    return {
        "device": one.device,
        "workload": one.workload,
        "case": one.case_id,
        "source": words.source_kind(one),
    }


def _quoted(text: str) -> str:
    """Return text as a label's value: one line, and no quote or backslash that ends it."""
    text = text.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ")
