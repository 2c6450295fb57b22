"""A check on a terminal: what moved first, then what could not be judged, what differs, and the next step."""

from __future__ import annotations

import shlex
import textwrap

from bench.report.gate import words
from bench.report.layout import Column, Table, plain
from bench.report.rows import by_reason
from bench.report.terminal import PIPE_WIDTH, table_text
from bench.results.gate.document import Checked, Finding, Side

INDENT = "    "
MOST_LISTED = 6
READING = "limit: the change that an alarm needs.  detects: the slowdown that such a look finds in 95 of 100, or more."


def check_text(checked: Checked, width: int = PIPE_WIDTH, *, every: bool = False, bold: bool = False) -> str:
    """Return a check as text; `every`: a line for each metric, also for those that are the same."""
    word, sentence = words.outcome(checked)
    shown = words.ranked(checked.findings) if every else words.changed(checked)
    lines = [_wrapped(f"{word}  {sentence}", width), ""]
    if shown:
        lines += [table_text(finding_table(shown, words.on_several(checked)), width, bold=bold), ""]
        lines += [_wrapped(READING, width), _wrapped(words.marks_text(shown), width)]
    if not every and words.with_verdict(checked, "same"):
        lines.append(_wrapped(f"{words.same_text(checked)} (--all shows each)", width))
    for title, entries in listed(checked, every=every):
        lines += [f"{title}:", *(_wrapped(INDENT + entry, width) for entry in entries)]
    lines += ["", *(_wrapped(line, width, " " * 11) for line in sides(checked)), ""]
    return "\n".join([*lines, *next_steps(checked)])


def finding_table(findings: list[Finding], several: bool) -> Table:
    """Return findings as a table, one line each; `several`: with the device."""
    table = Table([
        Column("verdict"), Column("case"), Column("on", keep=9 if several else 1), Column("metric"),
        Column("baseline -> candidate", right=True), Column("change", right=True),
        Column("95 % interval", right=True, keep=7), Column("limit", right=True, keep=6),
        Column("detects", right=True, keep=5), Column("second look", keep=8),
    ])  # fmt: skip
    for one in findings:
        both = f"{words.value_text(one, one.baseline)} -> {words.value_text(one, one.candidate)}"
        table.rows.append([
            words.verdict_text(one), one.case_id, one.device if several else "", one.metric, both,
            words.change_text(one), words.interval_text(one), words.limit_text(one), words.detects_text(one),
            words.second_look_text(one),
        ])  # fmt: skip
    return table


def listed(checked: Checked, *, every: bool = False) -> list[tuple[str, list[str]]]:
    """Return what stands beside the table, as (title, entries): each entry one line, what is shown above left out."""
    several = words.on_several(checked)
    found: list[tuple[str, list[str]]] = []

    def add(title: str, findings: list[Finding], entries: list[str]) -> None:
        if findings:
            found.append((f"{title} ({len(findings)})", entries))

    again = words.not_confirmed(checked)
    add("not confirmed by the second look", again, [_told(one, several) for one in again])
    if not every:
        unsure = words.with_verdict(checked, "cannot tell")
        lines = [_told(one, several) for one in unsure[:MOST_LISTED]]
        if len(unsure) > MOST_LISTED:
            lines.append(f"and {len(unsure) - MOST_LISTED} more (--all shows each)")
        add("cannot tell", unsure, lines)
    for verdict, title in words.UNJUDGED.items():
        apart = words.with_verdict(checked, verdict)
        add(title, apart, _by_reason([(words.place(one, several), words.reason_text(one)) for one in apart]))
    accepted = words.ranked(one for one in checked.findings if one.accepted)
    add("accepted before", accepted, _by_reason([(words.place(one, several), one.accepted or "") for one in accepted]))
    if checked.left_out:
        told = [
            (f"{one.case_id} on {one.device}", f"{one.side} {one.status}" + (f": {one.reason}" if one.reason else ""))
            for one in checked.left_out
        ]
        found.append((f"left out, no number ({len(told)})", _by_reason(told)))
    return found


def _by_reason(told: list[tuple[str, str]]) -> list[str]:
    return by_reason((plain(case), plain(reason)) for case, reason in told)


def _told(one: Finding, several: bool) -> str:
    return f"{words.place(one, several)}: {plain(words.reason_text(one))}"


def sides(checked: Checked) -> list[str]:
    """Return what was compared, what differs between the sides, and the rule; one line each."""
    lines = [f"baseline   {side_text(checked.baseline)}", f"candidate  {side_text(checked.candidate)}"]
    lines.append(f"rule       {words.rule_text(checked)}")
    lines += [f"note       {plain(note)}" for note in checked.notes]
    return [
        *lines,
        f"changed since baseline: {'; '.join(map(plain, checked.changed)) or 'no setting that is recorded'}",
    ]


def side_text(side: Side) -> str:
    """Return a side in a line: its label, sessions, days, commits, hosts."""
    parts = [words.sessions_text(side), words.dates_text(side)]
    for name, values in (("commit", side.commits), ("host", side.hosts)):
        if values:
            parts.append(f"{name}{'s' if len(values) > 1 else ''} {', '.join(map(plain, values))}")
    return f"{plain(side.label)}: {', '.join(part for part in parts if part)}"


def next_steps(checked: Checked) -> list[str]:
    """Return the exit code and what to do next; commands are not wrapped, so that they can be copied."""
    lines = [f"exit {checked.exit_code}"]
    counts = checked.counts()
    first = next((one for one in words.changed(checked) if one.alarm), None)
    if first is not None:
        case, files = shlex.quote(plain(first.case_id)), shlex.join(map(plain, checked.candidate.files))
        lines += [
            f"Why?         bench check {files}{' ' if files else ''}--why {case}",
            f"On purpose?  {words.accept_command(checked)}",
        ]
        if any(one.alarm and one.confirmed == "not run" for one in checked.findings):
            lines.append(
                "Chance?      on the baseline's machine --confirm runs alarms again, as long as --confirm-time lasts"
            )
    elif counts.get("not comparable"):
        lines.append("Wanted?      --cross BORDER compares all the same; a new machine needs a baseline of its own")
    elif counts.get("new") and not set(counts) - {"new", "gone"}:
        add = shlex.join(["bench", "baseline", "save", plain(checked.baseline.label)])
        lines += [f"Next         {add} takes up these cases; --fail-on regressed,new ends in 1 where a case is new"]
    elif counts.get("learning"):
        lines.append("Next         more sessions, best on other days: bench run --sessions 3, bench baseline save NAME")
    elif counts.get("cannot tell"):
        again = "--confirm looks again, as long as --confirm-time lasts"
        lines.append(f"Next         more sessions see more: bench run --sessions N; {again}")
    return lines


def _wrapped(text: str, width: int, below: str = INDENT) -> str:
    """Return a line that goes on below where the window is narrow; words are left whole."""
    ahead = text[: len(text) - len(text.lstrip())]
    lines = textwrap.wrap(
        text.strip(), max(width - len(ahead), 20), subsequent_indent=below, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(ahead + line for line in lines)
