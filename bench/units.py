"""All scaling between stored SI base units and what people read and type.

Stored values are seconds, bytes, FLOP and tokens; nothing else in the project multiplies by 1e3 or 1024.
"""

from __future__ import annotations

import math
import re

from bench.errors import DefinitionError

MISSING = "-"

MEGA = 1e6
GIGA = 1e9
TERA = 1e12

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
# Longer numbers are no count of anything here.
MOST_DIGITS = 15
MOST_VALUES = 10_000
_COUNT = re.compile(r"^(\d+)([kKmM]?)$")
_COUNT_FACTOR = {"": 1, "k": 1024, "m": 1024 * 1024}


def three_digits(value: float) -> str:
    """Return `value` with three significant digits and no exponent: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0:
        return "0"
    # Rounded first: 9.999 is 10.0, not 10.00.
    value = float(f"{value:.3g}") if abs(value) < 1000 else value
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 100:
        return f"{value:.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    if magnitude >= 1:
        return f"{value:.2f}"
    if magnitude >= 0.001:
        return f"{value:.3g}"
    return f"{value:.2e}"


def times(value: float) -> str:
    """Return a ratio with two decimals, and below a tenth with three digits: 1.67x, 0.60x, 0.00266x."""
    return f"{value:,.2f}x" if not 0 < abs(value) < 0.1 else f"{three_digits(value)}x"


def scaled(value: float | None, unit: str) -> str:
    """Return a base-unit value with a decimal prefix, for example 9.894e14 "FLOP/s" as "989 TFLOP/s"."""
    if value is None:
        return MISSING
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{three_digits(value / factor)} {prefix}{unit}"
    return f"{three_digits(value)} {unit}"


def seconds(value: float | None) -> str:
    """Return a time as people read it: 12.3 us, 4.56 ms, 7.89 s, 3 min 20 s."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return f"{value} s"
    # Rounded first: 0.9999 s is 1.00 s, not 1000 ms.
    value = float(f"{value:.3g}") if value < 100 else value
    if value >= 120:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest} s"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= factor:
            return f"{three_digits(value / factor)} {unit}"
    return f"{three_digits(value / 1e-9)} ns"


def as_given(value: float) -> str:
    """Return a limit in seconds as a person gives it: 30 ms, 2 s, 1.234 s; with three digits where it is not even."""
    given = float(f"{value:.4g}")
    value = given if math.isclose(given, value, rel_tol=1e-9) else float(f"{value:.3g}")
    return f"{value:g} s" if value >= 1 else f"{float(f'{value * 1000:.4g}'):g} ms"


def data_size(value: float | None) -> str:
    """Return a number of bytes in decimal units, as memory and bandwidth sheets use them."""
    return scaled(value, "B")


def percent(value: float | None) -> str:
    """Return a ratio as a percentage; above 100 % is shown, not clipped."""
    if value is None:
        return MISSING
    share = value * 100
    return f"{share:.1f}%" if share < 10 else f"{share:.0f}%"


def parse_share(text: str, where: str) -> float:
    """Return the share of "5%" or "0.05".

    Raises: DefinitionError for anything else: a bare 5 could mean both.
    """
    body, is_percent = (text.strip()[:-1], True) if text.strip().endswith("%") else (text.strip(), False)
    try:
        value = float(body) / (100 if is_percent else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise DefinitionError(f"{where}: '{text}' is no share; write 5% or 0.05")
    return value


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number of things as people say it: "1 reading", "1,204 readings"; plural: where an "s" does not do."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def signed(share: float) -> str:
    """Return a change as people read it: +4.2%, -12%."""
    return ("-" if share < 0 else "+") + percent(abs(share))


def plus_or_ends(spread: str) -> str:
    """Return a spread as it stands behind its value: "+- 1.0%"; where it is two ends, "-7% to +31%", these alone."""
    return spread if " to " in spread else f"+- {spread}"


def short_count(value: int) -> str:
    """Return a size as it is written in a case id: 4096 as "4k", 2**20 as "1M", 1000 as "1000"."""
    if value >= 1024 * 1024 and value % (1024 * 1024) == 0:
        return f"{value // (1024 * 1024)}M"
    if value >= 1024 and value % 1024 == 0:
        return f"{value // 1024}k"
    return str(value)


def parse_count(text: str, where: str) -> int:
    """Read "8", "4k" (4096) or "1m" (1048576) as a positive whole number.

    Raises: DefinitionError naming `where` and the text.
    """
    match = _COUNT.match(text.strip())
    if match is None or len(match[1]) > MOST_DIGITS or int(match[1]) == 0:
        raise DefinitionError(f"{where}: {text!r} is not a positive whole number such as 8, 512 or 4k")
    return int(match[1]) * _COUNT_FACTOR[match[2].lower()]


def parse_counts(text: str, where: str) -> list[int]:
    """Read a list "1,8,32" or a range "1k:32k:x2" / "64:256:+64" as whole numbers in order.

    A range runs from its first to its last value, both included, in steps that multiply (`x2`) or add (`+64`).
    Raises: DefinitionError naming `where` and the part that cannot be read.
    """
    values: list[int] = []
    for part in text.split(","):
        pieces = part.split(":")
        if len(pieces) == 1:
            values.append(parse_count(part, where))
        elif len(pieces) == 3:
            values += _stepped(pieces, part, where)
        else:
            raise DefinitionError(f"{where}: {part!r} is not a range; write FIRST:LAST:xFACTOR or FIRST:LAST:+STEP")
    return list(dict.fromkeys(values))


def _stepped(pieces: list[str], part: str, where: str) -> list[int]:
    first, last = parse_count(pieces[0], where), parse_count(pieces[1], where)
    kind, step = pieces[2][:1], parse_count(pieces[2][1:], where)
    if kind not in ("x", "+") or (kind == "x" and step < 2):
        raise DefinitionError(f"{where}: step {pieces[2]!r} in {part!r} is neither x2 or more nor +1 or more")
    if last < first:
        raise DefinitionError(f"{where}: range {part!r} ends below its start")
    values: list[int] = []
    value = first
    while value <= last:
        values.append(value)
        if len(values) > MOST_VALUES:
            raise DefinitionError(f"{where}: range {part!r} has more than {MOST_VALUES} values; take a larger step")
        value = value * step if kind == "x" else value + step
    return values
