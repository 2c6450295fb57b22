"""Prints tables and messages on a terminal: nothing is cut, whole columns go when the window is narrow."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TextIO

from bench.errors import ResultError
from bench.report.layout import Column, Table

PIPE_WIDTH = 160
GAP = "  "
NARROWEST_WRAP = 30


def width_of(stream: TextIO) -> int:
    """Return the width to print for: COLUMNS, else the terminal's, else a wide page for pipes and files."""
    if os.environ.get("COLUMNS", "").isdigit():
        return max(20, int(os.environ["COLUMNS"]))
    if stream.isatty():
        try:
            return os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            return 80
    return PIPE_WIDTH


def colored(stream: TextIO, no_color: bool = False) -> bool:
    """Return whether styles may be used; meaning never hangs on them."""
    return stream.isatty() and not no_color and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def emit(text: str, stream: TextIO | None = None) -> None:
    """Write text, replacing what the stream's encoding cannot hold instead of failing.

    A reader that went away (| head) is no error: what a command found, its exit code, stands.
    Raises: ResultError where the stream cannot be written, such as a full disk's file.
    """
    out = stream or sys.stdout
    encoding = out.encoding or "utf-8"
    try:
        out.write(text.encode(encoding, errors="replace").decode(encoding) + "\n")
        out.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        if not isinstance(error, BrokenPipeError):
            raise ResultError(f"{out.name}: cannot be written ({(error.strerror or 'error').lower()})") from None


def table_text(table: Table, width: int, *, bold: bool = False) -> str:
    """Return a table as aligned text; columns with the lowest `keep` go until it fits, and it says which.

    Below what even the most needed columns take, each row becomes a block of "name  value" lines.
    """
    dropped: list[str] = []
    table = table.one_line_each()
    fitted = table.without_empty()
    while _width(fitted, NARROWEST_WRAP) > width:
        index = min(range(len(fitted.columns)), key=lambda i: fitted.columns[i].keep)
        if fitted.columns[index].keep >= 9:
            return _blocks(table.without_empty())
        dropped.append(fitted.columns[index].name)
        fitted = fitted.without(index)
    lines = [table.title, ""] if table.title else []
    sizes = _sizes(fitted)
    wrapped = [index for index, column in enumerate(fitted.columns) if column.wrap]
    if wrapped and (over := sum(sizes) + len(GAP) * (len(sizes) - 1) - width) > 0:
        widest = max(wrapped, key=lambda index: sizes[index])
        sizes[widest] = max(NARROWEST_WRAP, sizes[widest] - over)
    lines += [f"\033[1m{head}\033[0m" if bold else head for head in _heads(fitted.columns, sizes)]
    lines.append(GAP.join("-" * size for size in sizes))
    for row in fitted.rows:
        lines += _row_lines(fitted.columns, row, sizes)
    if dropped:
        lines.append(f"(left out, the window is narrow: {', '.join(dropped)}; --format md or csv has all)")
    return "\n".join([*lines, *_noted(table)])


def _heads(columns: list[Column], sizes: list[int]) -> list[str]:
    """The headings as text; those of several lines end at the bottom."""
    depth = max(len(column.heading) for column in columns)
    padded = [[""] * (depth - len(column.heading)) + column.heading for column in columns]
    return [
        GAP.join(p.rjust(s) if c.right else p.ljust(s) for p, c, s in zip(parts, columns, sizes, strict=True)).rstrip()
        for parts in zip(*padded, strict=True)
    ]


def _row_lines(columns: list[Column], row: list[str], sizes: list[int]) -> list[str]:
    """One row as text; cells that may wrap go on below."""
    cells = [
        (textwrap.wrap(cell, size, break_long_words=False, break_on_hyphens=False) or [""]) if column.wrap else [cell]
        for cell, size, column in zip(row, sizes, columns, strict=True)
    ]
    lines = []
    for depth in range(max(len(cell) for cell in cells)):
        parts = [cell[depth] if depth < len(cell) else "" for cell in cells]
        each = zip(parts, sizes, columns, strict=True)
        lines.append(GAP.join(p.rjust(size) if column.right else p.ljust(size) for p, size, column in each).rstrip())
    return lines


def _blocks(table: Table) -> str:
    size = max(len(column.name) for column in table.columns)
    blocks = []
    for row in table.rows:
        named = zip(table.columns, row, strict=True)
        blocks.append(
            "\n".join(f"{column.name.ljust(size)}{GAP}{cell}" for column, cell in named if cell not in ("", "-"))
        )
    head = [table.title] if table.title else []
    return "\n".join([*head, "\n\n".join(blocks), *_noted(table)])


def _noted(table: Table) -> list[str]:
    return ["", *table.notes] if table.notes else []


def _sizes(table: Table) -> list[int]:
    return [
        max([*map(len, column.heading), *(len(row[index]) for row in table.rows)])
        for index, column in enumerate(table.columns)
    ]


def _width(table: Table, narrowest_wrap: int) -> int:
    """Width a table needs, where its widest wrapping column is as narrow as it may be."""
    sizes = _sizes(table)
    wrapped = [size for size, column in zip(sizes, table.columns, strict=True) if column.wrap]
    spared = max(0, max(wrapped, default=0) - narrowest_wrap)
    return sum(sizes) - spared + len(GAP) * (len(sizes) - 1)


def markdown(table: Table) -> str:
    """Return a table as GitHub Markdown, all columns."""
    full = table.one_line_each().without_empty()
    lines = [f"**{_escaped(table.title)}**", ""] if table.title else []
    lines.append("| " + " | ".join(_escaped(c.name) for c in full.columns) + " |")
    lines.append("|" + "|".join("---:" if c.right else "---" for c in full.columns) + "|")
    lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in full.rows]
    if table.notes:
        lines += ["", *(f"- {_item(note)}" for note in full.notes if note)]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _item(note: str) -> str:
    """A note as a list item; its own leading star would open a list inside the list."""
    return ("\\" if note.startswith("* ") else "") + _escaped(note)
