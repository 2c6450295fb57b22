"""Which measured numbers are in doubt whatever their interval says, and in which words; nobody else decides this.

A row's flags say what was odd while it was timed. Of these "disturbed" (others took the CPU's cores) and "busy" (others
used the device) put its numbers in doubt: others may have made it slower by any factor, and took part in every sample,
so that its interval knows nothing of them. Such a number is shown with its mark, and no verdict rests on it. An
unstable row is in doubt where nobody knows whether others were at work; elsewhere its interval is wide and says so, and
its verdict carries the word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.errors import listed
from bench.results.record import Row
from bench.units import counted

# What stands before a number in doubt.
MARK = "?"
WORDS = {
    "disturbed": "others took cores while it was timed (bench explain others_cores); measure again on a quiet machine",
    "busy": "others used the device while it was timed; measure again when it is free (bench doctor)",
    "unstable": "the time did not settle, and what others took meanwhile is not known; measure longer (--time)",
}
UNSTABLE = "unstable"
# What runs on the cores that others may take; an accelerator's step does not.
ON_CORES = ("machine", "socket")
UNSTABLE_WORDS = "the interval is wider than 3 % to a side; see: bench doctor"


def doubt(*rows: Row) -> str:
    """Return why numbers that rest on all these rows are in doubt, a word of WORDS, or ""."""
    return next((word for word in WORDS if any(_doubted(word, row) for row in rows)), "")


def of_sessions(words: Sequence[str]) -> str:
    """Return why a number of several sessions is in doubt, of which each is for a reason or for none ("")."""
    return next((word for word in WORDS if 2 * sum(each == word for each in words) >= max(1, len(words))), "")


def unstable(*rows: Row) -> bool:
    """Return whether the time of one of these rows did not settle."""
    return any(_flagged(UNSTABLE, row) for row in rows)


def explained(words: Iterable[str]) -> list[str]:
    """Return a footnote for each kind of doubt."""
    found = set(words)
    return [f"{MARK} {word}: {what}" for word, what in WORDS.items() if word in found]


def left_out(words: Iterable[str], noun: str = "reading") -> str:
    """Return how many readings stand for nothing because of doubt: "2 readings left out: disturbed"."""
    every = list(words)
    return f"{counted(len(every), noun)} left out: {listed(word for word in WORDS if word in every)}"


def _doubted(word: str, row: Row) -> bool:
    """Whether a row is in doubt for a reason."""
    if word == UNSTABLE and (row.others_cores is not None or row.source != "measured" or row.unit not in ON_CORES):
        return False
    return _flagged(word, row)


def _flagged(word: str, row: Row) -> bool:
    """Whether a row carries a flag; of several sessions at least half must ("disturbed 3/8": three of eight).

    Fewer move the mean over sessions less than they widen its interval, which is between sessions.
    """
    for flag in row.flags:
        name, _, share = flag.partition(" ")
        if name == word:
            some, _, every = share.partition("/")
            return not (some.isdigit() and every.isdigit()) or 2 * int(some) >= int(every)
    return False
