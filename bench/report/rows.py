"""Rows as people read them: the run table, and the same rows as CSV, JSON and JSON Lines."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable

import msgspec

from bench.errors import listed
from bench.report.layout import Column, Table
from bench.results import doubt
from bench.results.compare import INTERPOLATED, source_of
from bench.results.record import Row, Run
from bench.units import MISSING, data_size, percent, scaled, seconds, three_digits

DTYPES = frozenset({"fp32", "fp16", "bf16", "fp8", "int8", "fp4"})

MOST_LISTED = 6

# Spreadsheets run a cell that starts so as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def short_names(case_ids: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return case id -> what tells it apart from its workload's other cases, and a note on what they all share."""
    parts: dict[str, dict[str, list[str]]] = {}
    for case_id in dict.fromkeys(case_ids):
        workload, _, inside = case_id.rstrip("]").partition("[")
        parts.setdefault(workload, {})[case_id] = inside.split(",")
    short: dict[str, str] = {}
    shared: list[str] = []
    for workload, each in parts.items():
        same = [part for part in next(iter(each.values())) if all(part in other for other in each.values())]
        if len(each) == 1 or len(same) < 2:
            short |= {case_id: case_id for case_id in each}
            continue
        # Sizes stay with the case; precision too, so that it is never overlooked.
        same = [part for part in same if "=" not in part and part not in DTYPES]
        for case_id, own in each.items():
            short[case_id] = f"{workload}[{','.join(part for part in own if part not in same)}]"
        if same:
            shared.append(f"every {workload}: {', '.join(same)}")
    return short, shared


def run_table(rows: list[Row]) -> Table:
    """Return the table of a run: one line a case, every number with where it comes from."""
    several = len({(row.device, row.unit) for row in rows}) > 1
    table = Table([
        Column("case"), Column("on", keep=9 if several else 8), Column("time", right=True),
        Column("+-", right=True, keep=8), Column("rate", right=True),
        Column("MFU", right=True, keep=5), Column("MBU", right=True, keep=6),
        Column("launch", keep=4), Column("energy", right=True, keep=3),
        Column("bound", keep=4), Column("imbalance", right=True, keep=2), Column("memory", right=True, keep=1),
        Column("source", keep=9),
    ])  # fmt: skip
    short, shared = short_names([row.case_id for row in rows])
    for row in rows:
        on = f"{row.device}, {row.unit}" if several else ""
        if row.status != "ok":
            table.rows.append([short[row.case_id], on, MISSING, *[""] * (len(table.columns) - 4), row.status])
            continue
        table.rows.append([
            short[row.case_id], on, mark(row) + seconds(row.step_s), plus_minus(row), mark(row) + rate(row),
            utilization(row, "mfu"), utilization(row, "mbu"), launch(row), energy(row), row.bound or "",
            MISSING if row.imbalance is None else f"{row.imbalance:.2f}",
            data_size(row.memory_bytes), marked_source(row),
        ])  # fmt: skip
    table.notes = notes(rows) + shared
    return table


def mark(row: Row) -> str:
    """Return what stands before a number that was not measured, or that is in doubt."""
    return {"modelled": "~", "published": "^"}.get(row.source, "") + (doubt.MARK if doubt.doubt(row) else "")


def rate(row: Row) -> str:
    """Return what a row yields per second: tokens by kind, FLOP/s or bytes/s for kernels."""
    if row.prompt_tokens_per_s is not None:
        return f"{three_digits(row.prompt_tokens_per_s)} prompt tok/s"
    if row.output_tokens_per_s is not None:
        return f"{three_digits(row.output_tokens_per_s)} output tok/s"
    if row.step_s is None:
        return MISSING
    moved = (row.read_bytes or 0) + (row.written_bytes or 0)
    if row.link_bytes and row.phase == "kernel":
        return scaled(row.link_bytes / row.step_s, "B/s on links")
    # A kernel under the ridge of any machine (about 20 FLOP a byte) is judged by bytes.
    if row.flops and row.flops > 20 * moved:
        return scaled(row.flops / row.step_s, "FLOP/s")
    return scaled(moved / row.step_s, "B/s") if moved else MISSING


def plus_minus(row: Row) -> str:
    """Return half the interval as a percentage, or its ends where they differ much: "-4% to +12%", "0.96x to 14.9x"."""
    if row.interval is None or not row.step_s:
        return MISSING
    below, above = 1 - row.interval[0] / row.step_s, row.interval[1] / row.step_s - 1
    if math.isclose(below, above, rel_tol=0.5) or max(below, above) < 0.02:
        return percent((below + above) / 2)
    if above > 1:
        return f"{three_digits(1 - below)}x to {three_digits(1 + above)}x"
    return f"{-below:+.0%} to {above:+.0%}"


def utilization(row: Row, key: str) -> str:
    """Return MFU or MBU: of the sheet's peak, else of the achieved one, marked "*"."""
    own, achieved = getattr(row, key), getattr(row, f"{key}_achieved")
    if own is not None:
        return mark(row) + percent(own)
    return MISSING if achieved is None else f"{mark(row)}{percent(achieved)}*"


def launch(row: Row) -> str:
    """Return how the step was launched, with the time of the other way where both were measured."""
    if row.eager_step_s is not None:
        return f"{row.launch}, eager {seconds(row.eager_step_s)}"
    return row.launch or ""


def energy(row: Row) -> str:
    """Return joules per token, else watts; nothing where no sensor could be trusted."""
    if row.joules_per_token is not None:
        return f"{three_digits(row.joules_per_token)} J/token"
    return "" if row.power_w is None else f"{three_digits(row.power_w)} W"


def marked_source(row: Row) -> str:
    """Return the source, with "scaled" or "part" where the number does not cover the whole, and what is odd."""
    marks = [source_of(row)]
    if row.scope is not None and row.source == "measured":
        marks.append("part" if "scaled" not in row.scope else "scaled")
    return ", ".join(dict.fromkeys([*marks, *row.flags]))


def notes(rows: list[Row]) -> list[str]:
    """Return what a reader must know beside the table, each thing once."""
    found: list[str] = []
    if any(row.mfu is None and row.mfu_achieved is not None for row in rows):
        found.append("* of the best rates that `bench calibrate -d cpu` reached on this machine")
    elif any(row.source == "measured" and row.status == "ok" and row.mfu is None for row in rows):
        devices = listed(sorted({row.device for row in rows if row.source == "measured" and row.mfu is None}))
        found.append(f"MFU and MBU need peaks, of a sheet or reached here: bench calibrate -d {devices}")
    tiers = {row.tier for row in rows if row.source == "modelled" and row.tier}
    if tiers:
        found.append(f"~ modelled, not measured (tier {', '.join(sorted(tiers))}); +- is P10 to P90 of its residuals")
    if any(INTERPOLATED in row.flags for row in rows):
        found.append("interpolated: on a straight line between two measured batches, not measured itself")
    found += _spreads(rows)
    for basis in dict.fromkeys(row.power_basis for row in rows if row.power_w is not None):
        found.append(f"energy is measured, over the timed window: {basis or 'what the sensor covers is not told'}")
    for reason in dict.fromkeys(row.launch_reason for row in rows if row.launch_reason):
        found.append(f"eager: {reason}")
    found += [*doubt.explained(map(doubt.doubt, rows)), *odd_notes(rows)]
    if any(row.source == "measured" and row.status == "ok" and row.interval is None for row in rows):
        found.append("no +-: too few samples for an interval; measure longer (--time)")
    if len({row.imbalance is None for row in rows if row.status == "ok"}) > 1:
        found.append("imbalance: the largest load of an expert over the mean; none without experts")
    scopes = dict.fromkeys(row.scope for row in rows if row.scope)
    found += [f"covers: {scope}" for scope in scopes]
    found += by_reason(
        (f"{row.case_id} on {row.device}", f"{'' if row.status == 'ok' else f'{row.status}: '}{row.reason}")
        for row in rows
        if row.status != "ok" or row.reason
    )
    for row in rows:
        if row.source == "modelled":
            found += [note for note in row.notes if note not in found]
    return found


def odd_notes(rows: Iterable[Row]) -> list[str]:
    """Return what the words beside a source mean, of these rows; doubt has its own footnotes."""
    flags = {flag for row in rows for flag in row.flags}
    meanings = {
        doubt.UNSTABLE: doubt.UNSTABLE_WORDS,
        "trend": "the last third of the samples lies so far from the first; the interval reaches to both",
        "two levels": "the samples fall into two groups, 5 % or more apart",
    }
    told = [f"{word}: {words}" for word, words in meanings.items() if any(flag.startswith(word) for flag in flags)]
    if any("/" in flag for flag in flags):
        told.append("1/8 behind a word: in one of eight sessions")
    return told


def _spreads(rows: list[Row]) -> list[str]:
    """What +- is of measured rows: of one process, or between sessions."""
    one = "+- is the 95 % interval of the median inside one process; between processes noise is larger"
    two = (
        "2 sessions, one row a case: +- is the span of both and of their own intervals; from 3 on it is a 95 % interval"
    )
    counts = {row.sessions for row in rows if row.source == "measured" and row.interval}
    several = "{} sessions, one row a case: +- is the 95 % interval between sessions"
    return [{1: one, 2: two}.get(count) or several.format(count) for count in sorted(counts, reverse=True)]


def by_reason(told: Iterable[tuple[str, str]]) -> list[str]:
    """Return each reason once: beside its case, or above its cases where there are several."""
    cases: dict[str, dict[str, None]] = {}
    for case, reason in told:
        cases.setdefault(reason, {})[case] = None
    lines: list[str] = []
    for reason, each in cases.items():
        if len(each) == 1:
            lines.append(f"{next(iter(each))}: {reason}")
            continue
        lines += [reason, *(f"    {case}" for case in list(each)[:MOST_LISTED])]
        if len(each) > MOST_LISTED:
            lines.append(f"    and {len(each) - MOST_LISTED} more (all in --format json)")
    return lines


def summary_line(rows: list[Row]) -> str:
    """Return the run in a sentence: how many rows of which kind, and the share of time spent timing."""
    counts: dict[str, int] = {}
    for row in rows:
        key = row.source if row.status == "ok" else row.status
        counts[key] = counts.get(key, 0) + 1
    odd = Counter(flag for row in rows for flag in row.flags)
    marks = ", ".join(f"{odd[flag]:,} {flag}" for flag in dict.fromkeys((doubt.UNSTABLE, *doubt.WORDS)) if odd[flag])
    parts = [
        f"{count:,} {key}" + (f" ({marks})" if key == "measured" and marks else "") for key, count in counts.items()
    ]
    return ", ".join(parts) or "no rows"


def as_json(run: Run) -> str:
    """Return a whole run as JSON text."""
    return msgspec.json.format(msgspec.json.encode(run), indent=2).decode()


def as_jsonl(rows: list[Row]) -> str:
    """Return rows as JSON Lines."""
    return "\n".join(msgspec.json.encode(row).decode() for row in rows)


def as_csv(rows: list[Row]) -> str:
    """Return rows as CSV: every plain column, numbers as numbers, flags joined, other lists left to JSON."""
    listed = {
        "tier_shares",
        "samples_s",
        "kernels",
        "definition",
        "operators",
        "notes",
        "flags",
        "deployment",
        "interval",
        "rate_interval",
        "throttle",
        "telemetry_missing",
    }
    names = [name for name in Row.__struct_fields__ if name not in listed]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "interval_low_s", "interval_high_s", "flags", "doubt"])
    for row in rows:
        low, high = row.interval or (None, None)
        told = _cell(", ".join(row.flags)), doubt.doubt(row)
        writer.writerow([*(_cell(getattr(row, name)) for name in names), low, high, *told])
    return out.getvalue().rstrip("\n")


def _cell(value: object) -> object:
    if isinstance(value, str):
        # The csv module leaves a lone carriage return unquoted, which ends the row for most readers.
        return ("'" if value.startswith(FORMULA_STARTS) else "") + value.replace("\r", " ")
    return value
