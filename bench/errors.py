"""Every error a person can meet, each with its exit code.

    BenchError (2)
    |-- DefinitionError (2)   a workload, model, sheet or calibration file, or a flag, is wrong
    |-- ResultError (2)       a run file cannot be read or written
    |-- DeviceError (3)       the device, its driver or its software is not usable
    |-- Unsupported (4)       the device is fine, but it cannot run this case
    `-- NotComparable (5)     two results must not be put side by side

A message is one line: where, what was found, what would be right, the next step.
Errors are raised deep down and printed once, in `bench.cli`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Base of all errors that are shown to a person as one line instead of a traceback."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        # What is quoted may hold line breaks; a message is one line.
        super().__init__(" ".join(message.split()))


class DefinitionError(BenchError):
    """A definition or a command-line value is wrong."""


class ResultError(BenchError):
    """A result file cannot be read, understood or written."""


class DeviceError(BenchError):
    """The device or its software cannot be used."""

    exit_code = 3


class Unsupported(BenchError):
    """The device cannot run this case; becomes a row with status `unsupported`, never a guess."""

    exit_code = 4


class NotComparable(BenchError):
    """Two results describe different things; comparing them is refused."""

    exit_code = 5


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return "; did you mean 'a' or 'b'?" for a misspelt name, or "" when nothing is near."""
    candidates = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, candidates, n=limit, cutoff=0.5)
    close += [c for c in candidates if name and name in c and c not in close][: limit - len(close)]
    if not close:
        return ""
    return "; did you mean " + " or ".join(f"'{c}'" for c in close) + "?"


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return names joined by commas, cut after `limit` with the number left out."""
    every = list(names)
    tail = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + tail
