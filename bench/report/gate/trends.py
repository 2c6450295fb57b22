"""A check's new values as services that draw trends take them: github-action-benchmark and Bencher.

Both keep a series by its name, so that the name says what the value is: a measured and an estimated one are two series.
Smaller is better in all of them, as for everything the gate judges. Their own alarms belong off: they compare two runs.
"""

from __future__ import annotations

import json
from typing import Any

from bench.report.gate import words
from bench.report.layout import plain
from bench.results.gate.document import Checked, Finding
from bench.units import GIGA

# Bencher's own measure of times is in nanoseconds (bencher.dev/docs/explanation/benchmarking); others take any unit.
LATENCY = "step_s"


def github_action_benchmark(checked: Checked) -> str:
    """Return the JSON of its tool `customSmallerIsBetter`: name, unit, value, range, and in `extra` all else."""
    entries = []
    for one in words.ranked(checked.findings):
        if one.candidate is None:
            continue
        entry: dict[str, Any] = {
            "name": plain(f"{one.device} {one.case_id} {one.metric} ({words.source_kind(one)})"),
            "unit": plain(one.unit),
            "value": one.candidate,
        }
        interval = _interval(one)
        if interval is not None:
            entry["range"] = f"{interval[0]:.4g} to {interval[1]:.4g}"
        entry["extra"] = "\n".join(_extra(one, checked))
        entries.append(entry)
    return _json(entries)


def _extra(one: Finding, checked: Checked) -> list[str]:
    told = {
        "source": words.source_text(one),
        "verdict": f"{words.verdict_text(one)}, {words.change_text(one)} ({words.interval_text(one)})",
        "baseline": f"{words.value_text(one, one.baseline)}, {checked.baseline.label}",
        "limit": f"{words.limit_text(one)}, detects {words.detects_text(one)}",
        "commits": " ".join(checked.candidate.commits),
        "accelbench": checked.bench_version,
    }
    return [plain(f"{name}: {value}") for name, value in told.items() if value]


def bencher(checked: Checked) -> str:
    """Return Bencher Metric Format: benchmark -> measure -> value, with its bounds where there is an interval."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for one in words.ranked(checked.findings):
        if one.candidate is None:
            continue
        name = plain(f"{one.device} {one.case_id} ({words.source_kind(one)})")
        measure, scale = ("latency", GIGA) if one.metric == LATENCY else (plain(one.metric).replace("_", "-"), 1.0)
        metric = {"value": one.candidate * scale}
        interval = _interval(one)
        if interval is not None:
            metric |= {"lower_value": interval[0] * scale, "upper_value": interval[1] * scale}
        found.setdefault(name, {})[measure] = metric
    return _json(found)


def _interval(one: Finding) -> tuple[float, float] | None:
    """Return the interval of the change, laid around the new value."""
    if one.interval is None or one.candidate is None or not one.ratio:
        return None
    return one.candidate * one.interval[0] / one.ratio, one.candidate * one.interval[1] / one.ratio


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False)
