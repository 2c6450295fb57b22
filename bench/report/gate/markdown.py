"""A check as GitHub Markdown: for a step's summary, for a comment that is updated in place, and for a page.

Whatever was typed or read somewhere (names, reasons, commits) stands in a code span. There GitHub reads no HTML, no
mention, no reference and no link, and only the closing backticks and a table's pipe need care.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.report.gate import words
from bench.report.gate.table import READING, listed
from bench.report.layout import plain
from bench.results.gate.document import Checked, Finding, Side

# GitHub refuses a step's summary above 1 MiB whole (its bytes count, other writers of the step included), and a comment
# above 65,536 characters (github.com/dead-claudia/github-limits).
MOST_SUMMARY_BYTES = 1_000_000
MOST_COMMENT_CHARACTERS = 65_536
# Of a name in the head, which cannot be left out as a row can.
LONGEST_NAME, LONGEST_COMMAND = 200, 1000
FOLDED_END = ["", "</details>", ""]
# What a number with its unit is made of; a full stop only inside a number, so that it makes no link.
NUMBERS = re.compile(r"~?(?:[A-Za-z0-9 ,+%/<>=-]|\.(?=\d))*")
HEADINGS = (
    ("verdict", ""), ("case", ""), ("on", ""), ("metric", ""), ("baseline", ":"), ("candidate", ":"), ("change", ":"),
    ("95 % interval", ":"), ("limit", ":"), ("detects", ":"), ("second look", ""),
)  # fmt: skip


@dataclass
class Part:
    """A piece of the page: lines before and after, and rows between, of which the last may be left out.

    columns: lines that stand above the rows where there is room for any. turn: lower ones get room first.
    """

    head: list[str]
    rows: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    turn: int = 0


def summary(checked: Checked) -> str:
    """Return the check for `$GITHUB_STEP_SUMMARY`, at most 1,000,000 bytes."""
    return fitted(_parts(checked), MOST_SUMMARY_BYTES, lambda text: len(text.encode()))


def comment(checked: Checked) -> str:
    """Return the check for a comment, at most 65,536 characters; its first line is the mark by which it is found."""
    return fitted([Part([marker(checked)]), *_parts(checked)], MOST_COMMENT_CHARACTERS, len)


def page(checked: Checked) -> str:
    """Return the check as Markdown with every row."""
    return "\n".join(line for part in _parts(checked) for line in _lines(part, len(part.rows)))


def marker(checked: Checked) -> str:
    """Return the hidden line that is the same for every check against one baseline."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", checked.baseline.label)[:100].strip("-.")
    return f"<!-- accelbench:check:{name or 'baseline'} -->"


def fitted(parts: list[Part], most: int, size: Callable[[str], int]) -> str:
    """Return the parts as text of at most `most`: rows that have no room go as a whole, and are counted."""
    fixed = [line for part in parts for line in (*part.head, *part.columns, *part.tail, _more(len(part.rows)))]
    room = most - sum(size(line) + 1 for line in fixed)
    shown = [0] * len(parts)
    for index in sorted(range(len(parts)), key=lambda index: parts[index].turn):
        for row in parts[index].rows:
            room -= size(row) + 1
            if room < 0:
                break
            shown[index] += 1
    return "\n".join(line for part, count in zip(parts, shown, strict=True) for line in _lines(part, count))


def _lines(part: Part, shown: int) -> list[str]:
    left = len(part.rows) - shown
    table = [*part.columns, *part.rows[:shown]] if shown else []
    return [*part.head, *table, *([_more(left)] if left else []), *part.tail]


def _more(count: int) -> str:
    # After an empty line, so that it is no row of the table above.
    return f"\n{count} more row{'' if count == 1 else 's'}; the JSON form has all."


def code(text: str, longest: int | None = None) -> str:
    """Return text of others as a code span that cannot be left from inside; for a table: `named`."""
    text = plain(text).strip()
    if longest is not None and len(text) > longest:
        text = text[: longest - 3] + "..."
    if not text:
        return "-"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def named(text: str) -> str:
    """Return text of others as a table's cell."""
    return code(text).replace("|", "\\|")


def cell(text: str) -> str:
    """Return a number with its unit as a table's cell; a unit that could be markup makes it a code span."""
    return escaped(text) if NUMBERS.fullmatch(text) else named(text)


def escaped(text: str) -> str:
    """Return words of our own without anything that could be markup: ~ would strike out, < would open a tag."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)


def _parts(checked: Checked) -> list[Part]:
    word, sentence = words.outcome(checked)
    several = words.on_several(checked)
    parts = [Part([f"### {word}: {escaped(sentence)}", "", _sides(checked), ""])]
    changed = words.changed(checked)
    if changed:
        parts.append(_table([], changed, several, [""], turn=1))
    accept = words.accept_command(checked)
    if accept is not None:
        parts.append(Part([f"On purpose? {code(accept, LONGEST_COMMAND)}, and commit the baseline.", ""]))
    if checked.changed:
        parts.append(
            Part(["**Changed since the baseline**", ""], [f"- {code(line)}" for line in checked.changed], [""])
        )
    else:
        parts.append(Part(["Nothing that is recorded changed since the baseline.", ""]))
    for title, entries in listed(checked, every=True):
        # What follows a reason is indented, and stays so.
        rows = [f"{'  ' if entry.startswith(' ') else ''}- {code(entry)}" for entry in entries]
        parts.append(Part([_summary(title), ""], rows, FOLDED_END, turn=2))
    notes = [f"- {escaped(words.rule_text(checked))}", *(f"- {code(note)}" for note in checked.notes)]
    parts.append(Part([_summary("rule and notes"), ""], notes, FOLDED_END))
    same, unsure = words.with_verdict(checked, "same"), words.with_verdict(checked, "cannot tell")
    if unsure:
        parts.append(_table([_summary(f"cannot tell ({len(unsure)})"), ""], unsure, several, FOLDED_END, turn=3))
        why = [f"- {code(f'{words.place(one, several)}: {words.reason_text(one)}')}" for one in unsure]
        parts.append(Part([_summary(f"why it cannot be told ({len(unsure)})"), ""], why, FOLDED_END, turn=3))
    if same:
        parts.append(_table([_summary(words.same_text(checked)), ""], same, several, FOLDED_END, turn=4))
    parts.append(Part([f"accelbench {code(checked.bench_version, 40)}, {code(checked.created, 40)}"]))
    return parts


def _summary(title: str) -> str:
    """The head of what is folded away; an empty line below makes GitHub read Markdown inside."""
    return f"<details><summary>{escaped(title)}</summary>"


def _table(head: list[str], findings: list[Finding], several: bool, tail: list[str], turn: int) -> Part:
    shown = [(name, side) for name, side in HEADINGS if several or name != "on"]
    columns = [f"| {' | '.join(name for name, _ in shown)} |", f"|{'|'.join(f'---{side}' for _, side in shown)}|"]
    reading = ["", f"{READING} {escaped(words.marks_text(findings))}"]
    return Part(head, [_row(one, several) for one in findings], [*reading, *tail], columns, turn)


def _row(one: Finding, several: bool) -> str:
    verdict = escaped(words.verdict_text(one))
    cells = [
        f"**{verdict}**" if one.alarm else verdict, named(one.case_id), *([named(one.device)] if several else []),
        named(one.metric), cell(words.value_text(one, one.baseline)), cell(words.value_text(one, one.candidate)),
        cell(words.change_text(one)), cell(words.interval_text(one)), cell(words.limit_text(one)),
        cell(words.detects_text(one)), words.second_look_text(one),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _sides(checked: Checked) -> str:
    return f"{_side(checked.candidate)} against the baseline {_side(checked.baseline)}"


def _side(side: Side) -> str:
    parts = [words.sessions_text(side)]
    parts += [code(words.dates_text(side))] if side.created else []
    for name, values in (("commit", side.commits), ("host", side.hosts)):
        if values:
            # The newest say what is compared; a baseline of twenty sessions need not name twenty.
            shown = ", ".join(code(value, 40) for value in values[-3:])
            more = f" and {len(values) - 3} before" if len(values) > 3 else ""
            parts.append(f"{name}{'s' if len(values) > 1 else ''} {shown}{more}")
    return f"{code(side.label, LONGEST_NAME)} ({', '.join(parts)})"
