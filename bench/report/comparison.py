"""A comparison as people read it: what differs first, then one line a case with ratio, interval and reading."""

from __future__ import annotations

from bench.report.layout import Column, Table
from bench.report.rows import by_reason, short_names
from bench.results.answer import answers, other_pairs
from bench.results.axes import every_verdict
from bench.results.compare import Compared, Comparison, Operand
from bench.results.doubt import MARK, explained
from bench.results.measures import SAME_BATCH
from bench.results.verdict import AXES, Verdict, summary
from bench.units import MISSING, seconds, three_digits, times

MARKS = {"modelled": "~", "published": "^", "interpolated": "≈"}
KINDS = {"prompt_tokens_per_s": "prompt tok/s", "output_tokens_per_s": "output tok/s", "step_s": "step time"}


def comparison_table(comparison: Comparison) -> Table:
    """Return the lines of a comparison; the ratio is the first operand over the other."""
    several = len(comparison.operands) > 2
    labels = [operand.label for operand in comparison.operands]
    right = "other" if several else labels[1]
    table = Table([
        Column("case"), Column("against", keep=9 if several else 1), Column("metric", keep=8),
        Column("per"), Column(labels[0], right=True, long=True), Column(right, right=True, long=True),
        Column("step", right=True, keep=3), Column("ratio", right=True), Column("interval", right=True, keep=8),
        Column("reading", wrap=True), Column("source", keep=4),
    ])  # fmt: skip
    short, table.notes = short_names([line.case_id for line in comparison.lines])
    for line in comparison.lines:
        table.rows.append([
            short[line.case_id], line.b_label if several else "", KINDS[line.metric], _units(line),
            _value(line, line.a, line.a_source, line.a_doubt), _value(line, line.b, line.b_source, line.b_doubt),
            _step(line), _ratio(line), _interval(line), line.reading, _source(line),
        ])  # fmt: skip
    table.notes += _in_doubt(comparison)
    return table


def target_table(comparison: Comparison) -> Table:
    """Return what each side yields at each target: the most with every token in time."""
    several = len(comparison.operands) > 2
    labels = [operand.label for operand in comparison.operands]
    right = "other" if several else labels[1]
    table = Table([
        Column("most in time"), Column("against", keep=9 if several else 1), Column("per"), Column("dtype"),
        Column(labels[0], right=True, long=True), Column(right, right=True, long=True),
        Column("batch", right=True, keep=6), Column("ratio", right=True), Column("interval", right=True, keep=8),
        Column("reading", wrap=True),
        Column("per TFLOP/s", right=True, keep=5), Column("bound", keep=4),
    ])  # fmt: skip
    table.title = "At service targets (output tok/s of a unit; of prefill, prompt tok/s):"
    short, table.notes = short_names([line.case_id for line in comparison.lines])
    for line in comparison.lines:
        table.rows.append([
            short[line.case_id], line.b_label if several else "", _units(line), _pair(line.a_dtype, line.b_dtype),
            _value(line, line.a, line.a_source, line.a_doubt), _value(line, line.b, line.b_source, line.b_doubt),
            _pair(str(line.a_batch), str(line.b_batch)), _ratio(line), _interval(line), line.reading,
            f"{_rate(line.a_per_tflops)} | {_rate(line.b_per_tflops)}",
            _pair(line.a_bound or MISSING, line.b_bound or MISSING),
        ])  # fmt: skip
    table.notes += [
        "8-bit: each device's own 8-bit path, which may differ (dtype column); other lines have one precision on both.",
        "per TFLOP/s: output tok/s for each TFLOP/s of published dense peak in that dtype (INT8: TOP/s).",
    ]
    if any(None in (line.a_per_tflops, line.b_per_tflops) for line in comparison.lines):
        table.notes.append("- per TFLOP/s: no published peak of that precision, or read between two measured batches.")
    if any(not line.a_bound or not line.b_bound for line in comparison.lines):
        table.notes.append("- bound: not known of what was measured without peaks, or lies between two others.")
    if any("interpolated" in (line.a_source, line.b_source) for line in comparison.lines):
        table.notes.append("≈ interpolated: on a straight line between two measured batches, not measured itself.")
    table.notes += _in_doubt(comparison)
    if comparison.apart:
        table.notes += ["", f"no batch in time, or not to be modelled ({len(comparison.apart)}):"]
        table.notes += _reasons(comparison)
    return table


def _pair(a: str, b: str) -> str:
    return a if a == b else f"{a} | {b}"


def _rate(value: float | None) -> str:
    return MISSING if value is None else f"~{three_digits(value)}"


def head_lines(comparison: Comparison) -> list[str]:
    """Return what is not the same on all sides, to be read before any number."""
    labels = " | ".join(operand.label for operand in comparison.operands)
    files = [f"{each.label}: {each.origin}{_made(each)}" for each in comparison.operands if each.origin]
    if not comparison.differences:
        return [*files, f"the same machine, device and software on all sides ({labels})"]
    return [*files, f"! not the same on all sides ({labels}):", *(f"    {line}" for line in comparison.differences)]


def _made(operand: Operand) -> str:
    made = operand.environment.created[:16].replace("T", " ") if operand.environment else ""
    return f", of {made} UTC" if made and made not in operand.label else ""


def answer_lines(comparison: Comparison, targets: Comparison | None) -> list[str]:
    """Return the answers to what was asked, for each two sides."""
    found = verdicts_of(comparison, targets)
    several = len(found) > 1
    return [
        (f"{a} against {b}, " if several else "") + each.text
        for a, b, verdicts in found for each in answers(verdicts)
    ]  # fmt: skip


def axis_lines(comparison: Comparison, targets: Comparison | None) -> list[str]:
    """Return what each axis says of the first side against each other one, by the rules that reports use."""
    lines: list[str] = []
    for a, b, found in verdicts_of(comparison, targets):
        lines += [f"on each axis, {a} against {b} (bench report has the readings):"]
        lines += [f"    {axis:<19}{summary(axis, found)}" for axis in AXES]
    left_out = other_pairs([operand.label for operand in comparison.operands])
    return [*lines, left_out] if left_out else lines


def verdicts_of(comparison: Comparison, targets: Comparison | None) -> list[tuple[str, str, list[Verdict]]]:
    """Return (first side, other side, their verdicts) for each pair of a comparison."""
    first, *others = comparison.operands
    solved = [None] * len(others) if targets is None else [(targets.operands[0], each) for each in targets.operands[1:]]
    return [
        (first.label, other.label, every_verdict(first, other, in_time))
        for other, in_time in zip(others, solved, strict=True)
    ]


def tail_lines(comparison: Comparison) -> list[str]:
    """Return what was not put side by side, with reasons, and how to read the ratios."""
    sources = {row.source for operand in comparison.operands for row in operand.rows}
    lines = ["~ modelled, not measured; its interval is P10 to P90."] if "modelled" in sources else []
    lines += ["ratio = first over other, of throughput per unit (or of step time for kernels, where lower is better)."]
    if any(line.metric != "step_s" for line in comparison.lines):
        lines += [f"tok/s of a case: {SAME_BATCH}; --at has what each side yields in time."]
    notes = dict.fromkeys(note for operand in comparison.operands for row in operand.rows for note in row.notes)
    lines += list(notes)
    if comparison.apart:
        lines += ["", f"not put side by side ({len(comparison.apart)}):", *_reasons(comparison)]
    return lines


def _reasons(comparison: Comparison) -> list[str]:
    """Why cases were left out, each reason once."""
    split = (text.partition("]: ") for text in comparison.apart)
    return [f"    {line}" for line in by_reason((f"{case}]", reason) for case, _, reason in split)]


def _units(line: Compared) -> str:
    return line.a_unit if line.a_unit == line.b_unit else f"{line.a_unit} | {line.b_unit}"


def _source(line: Compared) -> str:
    return line.a_source if line.a_source == line.b_source else f"{line.a_source} | {line.b_source}"


def _value(line: Compared, value: float | None, source: str, in_doubt: str) -> str:
    if value is None:
        return MISSING
    return _mark(source, in_doubt) + (seconds(value) if line.metric == "step_s" else three_digits(value))


def _step(line: Compared) -> str:
    a, b = (
        MISSING if step_s is None else _mark(source, in_doubt) + seconds(step_s)
        for step_s, source, in_doubt in (
            (line.a_step_s, line.a_source, line.a_doubt), (line.b_step_s, line.b_source, line.b_doubt)
        )
    )  # fmt: skip
    return f"{a} | {b}"


def _ratio(line: Compared) -> str:
    if line.ratio is None:
        return MISSING
    return f"{MARK if line.a_doubt or line.b_doubt else ''}{times(line.ratio)}"


def _mark(source: str, in_doubt: str) -> str:
    return MARKS.get(source.partition(":")[0], "") + (MARK if in_doubt else "")


def _in_doubt(comparison: Comparison) -> list[str]:
    return explained(word for line in comparison.lines for word in (line.a_doubt, line.b_doubt))


def _interval(line: Compared) -> str:
    return MISSING if line.interval is None else " - ".join(times(end).removesuffix("x") for end in line.interval)
