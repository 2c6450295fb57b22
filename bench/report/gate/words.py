"""A check in words that every form shares: the outcome, one finding's numbers, and what is listed beside them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from typing import get_args

from bench.report.cells import number
from bench.report.layout import plain
from bench.results.gate.conclude import failed_now
from bench.results.gate.document import Checked, Finding, Side
from bench.results.gate.verdict import Verdict
from bench.results.record import Source
from bench.units import MISSING, percent, signed

# Said of a finding whose numbers were not all measured, and put before each of them.
ESTIMATED, MARK = "estimated: ", "~"
# Verdicts that judge nothing, with what their list is called.
UNJUDGED: dict[Verdict, str] = {
    "not comparable": "not comparable",
    "learning": "learning, too few baseline sessions",
    "new": "new, not in the baseline",
    "gone": "gone, in the baseline only",
}
# What a reader looks at first.
ORDER: tuple[Verdict, ...] = (
    "regressed", "improved", "cannot tell", "not comparable", "gone", "new", "learning", "same",
)  # fmt: skip
COMPARED = ("same", "improved", "regressed")
# What a check is called in which nothing was decided.
OPEN: tuple[tuple[Verdict, str, str], ...] = (
    ("cannot tell", "CANNOT TELL", "neither a slowdown nor the lack of one is sure; each says why"),
    ("learning", "LEARNING", "the baseline has too few sessions to know how much they spread"),
)


def outcome(checked: Checked) -> tuple[str, str]:
    """Return the check in a word and in a sentence; "estimated:" leads where no deciding number was measured."""
    word, sentence, deciding = _outcome(checked)
    estimated = sum(one.estimated for one in deciding)
    if estimated and estimated == len(deciding):
        return word, ESTIMATED + sentence
    return word, sentence + (f" ({estimated} of them estimated)" if estimated else "")


def _outcome(checked: Checked) -> tuple[str, str, list[Finding]]:
    found, counts = checked.findings, checked.counts()
    total = "1 metric" if len(found) == 1 else f"{len(found)} metrics"
    alarms = [one for one in found if one.alarm]
    failed = failed_now(found, checked.left_out)
    broken = f"{len(failed)} case{'' if len(failed) == 1 else 's'} of the baseline failed" if failed else ""
    if alarms:
        return "FAIL", _alarms(alarms, total) + (f"; {broken}" if failed else ""), alarms
    if failed:
        return "CASE FAILED", f"{broken}, left out below; no alarm", []
    apart = [one for one in found if one.verdict == "not comparable"]
    if apart:
        return "NOT COMPARABLE", f"{len(apart)} of {total} cannot be compared; no alarm in the others", apart
    told = [one for one in found if one.verdict in COMPARED]
    if told:
        return "OK", f"no alarm in {total}: {_counted(counts)}", told
    for verdict, word, why in OPEN:
        same = [one for one in found if one.verdict == verdict]
        if same:
            others = {other: count for other, count in counts.items() if other != verdict}
            return word, f"{len(same)} of {total}: {why}" + (f"; {_counted(others)}" if others else ""), same
    if found:
        return "NOTHING JUDGED", f"nothing was checked, no metric is on both sides: {_counted(counts)}", []
    return "NOTHING JUDGED", "nothing was checked, neither side has a number to compare", []


def _counted(counts: dict[Verdict, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _alarms(alarms: list[Finding], total: str) -> str:
    verdicts = [one.verdict for one in alarms]
    kinds = [f"{verdicts.count(verdict)} {verdict}" for verdict in ORDER if verdict in verdicts]
    if len(kinds) == 1:
        sentence = f"{len(alarms)} of {total} {verdicts[0]}"
    else:
        sentence = f"{len(alarms)} of {total} raise an alarm: {', '.join(kinds)}"
    slower = [one for one in alarms if one.verdict == "regressed"]
    again = sum(one.confirmed == "confirmed" for one in slower)
    if slower and again == len(slower):
        return f"{sentence}, confirmed by a second look"
    if slower:
        return f"{sentence}, {again or 'none'} of them confirmed by a second look"
    return sentence


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings as they are read: alarms first, then by verdict, then the largest change."""
    return sorted(findings, key=lambda one: (not one.alarm, ORDER.index(one.verdict), -_size(one)))


def _size(one: Finding) -> float:
    # In steps that are visible: a last digit must not decide the order.
    return round(abs(math.log(one.ratio)), 3) if one.ratio and math.isfinite(one.ratio) and one.ratio > 0 else 0.0


def changed(checked: Checked) -> list[Finding]:
    """Return what moved, or raises an alarm for another reason; the worst first."""
    return ranked(one for one in checked.findings if one.alarm or one.verdict in ("regressed", "improved"))


def with_verdict(checked: Checked, verdict: Verdict) -> list[Finding]:
    """Return the findings of one verdict that are not among `changed`."""
    return ranked(one for one in checked.findings if one.verdict == verdict and not one.alarm)


def not_confirmed(checked: Checked) -> list[Finding]:
    """Return the alarms of the first look that the second did not bear out."""
    return ranked(
        one
        for one in checked.findings
        if one.confirmed == "withdrawn" and (one.first is None or one.first.verdict in ("regressed", "improved"))
    )


def on_several(checked: Checked) -> bool:
    """Whether a case has to be named with its device."""
    return len({one.device for one in checked.findings} | {one.device for one in checked.left_out}) > 1


def place(one: Finding, several: bool) -> str:
    """Return which metric of which case is meant."""
    return plain(f"{one.case_id} {one.metric}" + (f" on {one.device}" if several else ""))


def verdict_text(one: Finding) -> str:
    """Return the verdict, with "estimated:" before it where a number behind it was not measured."""
    return (ESTIMATED if one.estimated else "") + one.verdict


def source_kind(one: Finding) -> str:
    """Return "measured" or "estimated": a name that a series can keep."""
    return "estimated" if one.estimated else "measured"


def source_text(one: Finding) -> str:
    """Return what the numbers are: "measured", or "estimated" with the sources where they are known."""
    if not one.estimated:
        return "measured"
    why = one.first.why if one.first else None
    sources = [source for source in get_args(Source) if why and source in why.made_of.get("source", [])]
    return f"estimated ({' and '.join(sources)})" if sources else "estimated"


def reason_text(one: Finding) -> str:
    """Return the reason, with "estimated:" before it where a number behind it was not measured."""
    return one.reason if not one.estimated or one.reason.startswith(ESTIMATED) else ESTIMATED + one.reason


def marks_text(findings: Iterable[Finding]) -> str:
    """Return what the mark before a number says, with what the marked numbers are where that is known."""
    kinds = sorted({source_text(one) for one in findings if one.estimated})
    if not kinds:
        return "Every number in the table is measured."
    return f"{MARK} {' or '.join(kinds)}, not measured on both sides; numbers without it are measured."


def value_text(one: Finding, value: float | None) -> str:
    """Return a value of a finding with its unit, and a mark where it is not known to be measured."""
    return MISSING if value is None else (MARK if one.estimated else "") + number(value, one.unit)


def change_text(one: Finding) -> str:
    """Return the change as a share of the baseline: +4.2%."""
    return MISSING if one.ratio is None else (MARK if one.estimated else "") + signed(one.ratio - 1)


def interval_text(one: Finding) -> str:
    """Return the 95 % interval of the change."""
    return MISSING if one.interval is None else f"{signed(one.interval[0] - 1)} to {signed(one.interval[1] - 1)}"


def limit_text(one: Finding) -> str:
    """Return the change that an alarm needs."""
    return MISSING if one.limit is None else signed(one.limit)


def detects_text(one: Finding) -> str:
    """Return the slowdown from which on this look finds 95 of 100."""
    return MISSING if one.detects is None else f">= {percent(one.detects)}"


def second_look_text(one: Finding) -> str:
    """Return what became of a finding when it was run again; "" where that was not needed."""
    if one.confirmed != "withdrawn":
        return one.confirmed or ""
    # A first look that could not tell has nothing to confirm: the second one decided.
    return "decided" if one.first is not None and one.first.verdict == "cannot tell" else "not confirmed"


def sessions_text(side: Side) -> str:
    """Return how much a side rests on: "8 sessions in 5 sittings"."""
    text = f"{side.sessions} session{'' if side.sessions == 1 else 's'}"
    return text + (f" in {side.sittings} sitting{'' if side.sittings == 1 else 's'}" if side.sittings else "")


def dates_text(side: Side) -> str:
    """Return the days on which a side was measured."""
    if side.created is None:
        return ""
    first, last = (plain(when)[:10] for when in side.created)
    return first if first == last else f"{first} to {last}"


def same_text(checked: Checked) -> str:
    """Return in a sentence what "same" means for the metrics that are not shown, and how much each look could see."""
    same = with_verdict(checked, "same")
    seen = sorted(one.detects for one in same if one.detects is not None)
    budget = f" ({percent(checked.rule['budget'])}, or the case's own)" if "budget" in checked.rule else ""
    ends = list(dict.fromkeys(percent(seen[index]) for index in (0, -1))) if seen else []
    span = f"; each look detects {' to '.join(ends)} or more" if ends else ""
    marked = sum(one.estimated for one in same)
    return f"{len(same)} same: a slowdown of the budget{budget} is excluded{span}" + (
        f" ({marked} of them estimated)" if marked else ""
    )


def rule_text(checked: Checked) -> str:
    """Return the rule in a sentence: budget, floor, false alarms, number of metrics."""
    rule = checked.rule
    parts = [f"a slowdown of {percent(rule['budget'])} is to be found"] if "budget" in rule else []
    parts += [f"changes within {percent(rule['floor'])} are no news"] if "floor" in rule else []
    if "false_alarms" in rule:
        parts.append(f"{rule['false_alarms']:g} false alarms per check at most, on average")
    return "; ".join([*parts, f"{checked.metrics} judged together, {checked.looked_again} looked at again"])


def accept_command(checked: Checked) -> str | None:
    """Return the command that accepts the worst alarm, quoted for a shell; None where there is no alarm."""
    first = next((one for one in changed(checked) if one.alarm), None)
    if first is None:
        return None
    parts = ["bench", "baseline", "accept", plain(first.case_id)]
    if len(checked.candidate.files) == 1:
        parts += ["--run", plain(checked.candidate.files[0])]
    if checked.baseline.label != "main":
        parts += ["-b", plain(checked.baseline.label)]
    return f"{shlex.join(parts)} --reason '...'"
