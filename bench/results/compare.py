"""Puts results side by side: joined on case_id, with a ratio, its interval and a reading in words (see reading.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from bench.results.doubt import doubt, unstable
from bench.results.machine import fingerprint, machine
from bench.results.normalize import rate_factors
from bench.results.reading import Basis, Interval, reading
from bench.results.record import Environment, Row
from bench.results.target import ACROSS

# An interval that reaches further, as a logarithm, was not measured by any clock.
WIDEST = 50.0

# A row between two measured ones carries this flag.
INTERPOLATED = "interpolated"
# What grows with the step's time; anything else goes with its inverse.
TIMES = ("step_s", "ttft_s", "tpot_s", "joules_per_token")
# What of `differences` a side tells without having been measured.
OF_EVERY_SIDE = ("device", "unit", "source")
RATES = {"prefill": "prompt_tokens_per_s", "decode": "output_tokens_per_s"}


@dataclass(frozen=True)
class Operand:
    """One side of a comparison: a label, its rows, and the environment and file where there is a run file."""

    label: str
    rows: list[Row]
    environment: Environment | None = None
    origin: str = ""

    @property
    def units(self) -> list[str]:
        return list(dict.fromkeys(row.unit for row in self.rows))

    def row(self, case_id: str, unit: str) -> Row | None:
        for row in self.rows:
            if row.case_id == case_id and row.unit == unit:
                return row
        return None


class Compared(msgspec.Struct, kw_only=True):
    """One line: a case on two sides. `ratio` is A over B in the direction of the metric."""

    case_id: str
    metric: str
    a_label: str
    b_label: str
    a_unit: str
    b_unit: str
    a: float | None = None
    b: float | None = None
    a_step_s: float | None = None
    b_step_s: float | None = None
    a_batch: int | None = None
    b_batch: int | None = None
    a_dtype: str = ""
    b_dtype: str = ""
    a_per_tflops: float | None = None
    b_per_tflops: float | None = None
    a_bound: str | None = None
    b_bound: str | None = None
    a_source: str = ""
    b_source: str = ""
    # Why a side's numbers are in doubt, see bench.results.doubt; then so is the ratio.
    a_doubt: str = ""
    b_doubt: str = ""
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    reading: str


@dataclass
class Comparison:
    """All lines, what differs between the sides, and what could not be put side by side."""

    operands: list[Operand]
    lines: list[Compared] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)


def compare(operands: list[Operand]) -> Comparison:
    """Compare the first operand with each of the others, case by case, per unit."""
    result = Comparison(operands, differences=differences(operands))
    first = operands[0]
    for other in operands[1:]:
        pairs = _unit_pairs(first, other)
        for case_id in _case_ids([first, other]):
            for a_unit, b_unit in pairs:
                a, b = first.row(case_id, a_unit), other.row(case_id, b_unit)
                problem = _apart(a, b, first.label, other.label)
                if problem is None and a is not None and b is not None:
                    result.lines.append(_line(a, b, first.label, other.label))
                elif problem is not None:
                    text = f"{case_id}: {problem}"
                    if text not in result.apart:
                        result.apart.append(text)
    return result


def _case_ids(operands: list[Operand]) -> list[str]:
    return list(dict.fromkeys(row.case_id for operand in operands for row in operand.rows))


def _unit_pairs(a: Operand, b: Operand) -> list[tuple[str, str]]:
    """Same unit with same unit where both have them; else every unit of one with the only unit of the other."""
    if set(a.units) == set(b.units):
        return [(unit, unit) for unit in a.units]
    return [(x, y) for x in a.units for y in b.units]


def _apart(a: Row | None, b: Row | None, a_label: str, b_label: str) -> str | None:
    """Why two rows cannot be compared, or None."""
    if a is not None and b is not None and a.status == b.status != "ok" and a.reason == b.reason:
        return f"both {a.status}: {a.reason}"
    problems: list[str] = []
    for row, label in ((a, a_label), (b, b_label)):
        if row is None:
            problems.append(f"{label} has no such case")
        elif row.status != "ok":
            problems.append(f"{label} {row.status}: {row.reason}")
    if problems or a is None or b is None:
        return "; ".join(problems)
    if a.definition_hash != b.definition_hash:
        return "the definition differs between the two sides; run both again with the same files"
    return None


def _line(a: Row, b: Row, a_label: str, b_label: str) -> Compared:
    metric = RATES.get(a.phase, "step_s")
    higher = metric != "step_s"
    x, y = _value(a, metric), _value(b, metric)
    line = Compared(
        case_id=a.case_id, metric=metric, a_label=a_label, b_label=b_label, a_unit=a.unit, b_unit=b.unit,
        a=x, b=y, a_step_s=a.step_s, b_step_s=b.step_s, a_source=source_of(a), b_source=source_of(b),
        a_batch=a.batch, b_batch=b.batch, a_dtype=a.dtype, b_dtype=b.dtype, a_bound=a.bound, b_bound=b.bound,
        a_per_tflops=a.tokens_per_s_per_tflops, b_per_tflops=b.tokens_per_s_per_tflops,
        a_doubt=doubt(a), b_doubt=doubt(b),
        reading="cannot tell: a number is missing",
    )  # fmt: skip
    line.ratio, line.interval = ratio_of(a, b, metric)
    if line.ratio is None:
        return line
    names = (_named(a_label, a.unit, b.unit), _named(b_label, b.unit, a.unit))
    line.reading = reading(line.ratio, line.interval, names, higher=higher, basis=basis_of(a, b))
    return line


def basis_of(*rows: Row) -> Basis:
    """Return what a ratio of these rows rests on; rows: of the first side and of the other, in turn."""
    cited = any(row.source == "published" and row.interval is None for row in rows)
    late = frozenset(index % 2 for index, row in enumerate(rows) if ACROSS in row.flags)
    return Basis(not all(map(is_measured, rows)), unstable(*rows), doubt(*rows), cited, late)


def ratio_of(a: Row, b: Row, metric: str) -> tuple[float | None, Interval | None]:
    """Return A over B of a metric, and its interval from those of both; None where a number is missing.

    There is no interval either where B may be 0: what may not keep its target at all has no most to be divided by.
    """
    x, y = _value(a, metric), _value(b, metric)
    if not x or not y or not x / y:
        return None, None
    below, above = _spread(a, metric), _spread(b, metric)
    if not (below and above) or above[0] == math.inf:
        return x / y, None
    # Independent errors add up in squares of logarithms.
    low = math.hypot(below[0], above[1])
    high = math.hypot(below[1], above[0])
    return x / y, (x / y * math.exp(-low), x / y * math.exp(high))


def one_sided(a: Row, b: Row, metric: str) -> Interval | None:
    """Return A over B at the ends of the one interval that there is; None where both sides have one, or neither."""
    ratio, interval = ratio_of(a, b, metric)
    below, above = (_spread(row, metric) for row in (a, b))
    known = below or above
    if ratio is None or interval is not None or known is None or (below and above) or math.inf in known:
        return None
    low, high = known if below else (known[1], known[0])
    return ratio * math.exp(-low), ratio * math.exp(high)


def is_measured(row: Row) -> bool:
    """Return whether a row's numbers were measured at this very point."""
    return row.source == "measured" and INTERPOLATED not in row.flags


def _named(label: str, unit: str, other_unit: str) -> str:
    return label if unit == other_unit else f"{label} ({unit})"


def _value(row: Row, metric: str) -> float | None:
    value = getattr(row, metric)
    return None if value is None else float(value)


def _spread(row: Row, metric: str) -> tuple[float, float] | None:
    """How far below and above the value its interval reaches, as logarithms; infinitely below where it reaches 0."""
    if metric in RATES.values() and row.rate_interval is not None:
        low, high = rate_factors(row) or (1.0, 1.0)
        return math.inf if low <= 0 else max(-math.log(low), 0.0), max(math.log(high), 0.0)
    if row.interval is None or not row.step_s or min(row.step_s, *row.interval) <= 0:
        return None
    time, low, high = math.log(row.step_s), math.log(row.interval[0]), math.log(row.interval[1])
    below, above = max(time - low, 0.0), max(high - time, 0.0)
    if max(below, above) > WIDEST:
        return None
    return (below, above) if metric in TIMES else (above, below)


def source_of(row: Row) -> str:
    """Return where a row's numbers come from, as it is printed: measured, or modelled with its tier."""
    if INTERPOLATED in row.flags:
        return INTERPOLATED
    return row.source if row.tier is None else f"{row.source}:{row.tier}"


def differences(operands: list[Operand]) -> list[str]:
    """Return the settings that are not the same on all sides, one line each.

    What a side is modelled or cited by has no machine or software, and so no other one than a measured side.
    """
    sides: list[dict[str, str]] = [_settings(operand) for operand in operands]
    keys = list(dict.fromkeys(key for side in sides for key in side))
    lines = []
    for key in keys:
        told = [side.get(key, "-") for side in sides if key in OF_EVERY_SIDE or len(side) > len(OF_EVERY_SIDE)]
        if len(set(told)) > 1:
            lines.append(f"{key}: " + " | ".join(side.get(key, "-") for side in sides))
    return lines


def _settings(operand: Operand) -> dict[str, str]:
    settings = {
        "device": ", ".join(dict.fromkeys(row.device_name for row in operand.rows)) or "-",
        "unit": ", ".join(operand.units) or "-",
        "source": ", ".join(dict.fromkeys(source_of(row) for row in operand.rows if row.status == "ok")) or "-",
    }
    env, devices = operand.environment, dict.fromkeys(row.device for row in operand.rows if row.source == "measured")
    if env is not None and devices:
        settings["sessions"] = str(max(row.sessions for row in operand.rows))
        settings |= {"commit": env.commit} if env.commit else {}
        settings["machine"] = ", ".join(fingerprint(env, device) for device in devices)
        for device in devices:
            settings |= {name: value for name, value in machine(env, device).items() if name != "name"}
        settings |= {"image": env.image} if env.image else {}
        settings |= {"os": env.os, "accelbench": env.bench_version} | env.packages
    return settings
