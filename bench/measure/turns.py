"""Two versions measured in turns: A B, B A, A B ..., case by case, so that what the machine does to both cancels.

Each side is a process of its own that speaks lines of JSON (`python -m bench.measure.turns`: a case in, its row out),
with its own Python, folder and code; for every pair both start afresh, as two sessions would.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from bench.errors import BenchError
from bench.measure.others import DISTURBED_CORES
from bench.measure.runner import LIMIT_BASE_S, LIMIT_FACTOR, Planned, measure_once
from bench.results.record import Row
from bench.units import counted, seconds

# Loading torch on a slow disk, before the first case.
START_S = 120.0
MODULE = "bench.measure.turns"
MOST_TRIES = 3


@dataclass(frozen=True)
class Place:
    """Where one side's code is: a folder whose `bench`, definitions and packages come first, and a Python."""

    folder: Path
    python: str = sys.executable
    # The folder that a checkout was made of may be below its root.
    root: Path | None = None

    def environment(self) -> dict[str, str]:
        if self.root is None:
            return dict(os.environ)
        first = [str(self.root), str(self.root / "src")]
        before = os.environ.get("PYTHONPATH")
        return os.environ | {"PYTHONPATH": os.pathsep.join([*first, *([before] if before else [])])}


@dataclass
class Pairs:
    """Rows of interleaved sessions: position i of both sides of a case is a pair; a pair that failed is in neither.

    rounds: those that are whole. ended: why there are not as many as were asked for, "" where there are.
    """

    baseline: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    candidate: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    rounds: int = 0
    ended: str = ""

    def add(self, each: Planned, old: Row | None, new: Row) -> None:
        bad = next((row for row in (old, new) if row is not None and row.status != "ok"), None)
        if bad is not None:
            self.failed[each.key] = f"{bad.status}: {bad.reason}"
            return
        if old is not None:
            self.baseline.setdefault(each.key, []).append(old)
        self.candidate.setdefault(each.key, []).append(new)

    def disturbed(self) -> str:
        """Return how many of the pairs that count others took cores beside, in words; "" where none."""
        worst = [
            _disturbance(pair)
            for key, every in self.candidate.items()
            for pair in zip_longest(self.baseline.get(key, []), every)
        ]
        moved = sum(cores > DISTURBED_CORES for cores in worst)
        return f"others took cores {moved} of {counted(len(worst), 'time')}" if moved else ""


class Speaker:
    """One side, running; use as a context manager."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._errors: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                [place.python, "-m", MODULE], cwd=place.folder, env=place.environment(),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise BenchError(f"{place.python}: cannot be started ({(error.strerror or 'error').lower()})") from None

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def measure(self, each: Planned) -> Row:
        """Measure one case there.

        Raises: BenchError when that side cannot do it, with the last thing it said.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(msgspec.json.encode(each) + b"\n")
            stdin.flush()
            line = self._line(stdout, START_S + LIMIT_BASE_S + LIMIT_FACTOR * each.case.time_s)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise BenchError(f"{self.place.folder}: cannot measure there ({self._last_word()})")
        try:
            return msgspec.json.decode(line, type=Row)
        except msgspec.DecodeError as error:
            raise BenchError(f"{self.place.folder}: its rows are of another version than is here ({error})") from None

    def _line(self, stdout: Any, limit_s: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(limit_s):
                self._process.kill()
                raise BenchError(f"{self.place.folder}: no answer within {seconds(limit_s)}; measuring there was ended")
        return bytes(stdout.readline())

    def _last_word(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return " ".join(lines[-1].split())[:200] if lines else f"it ended with {self._process.poll()}"


def in_turns(
    planned: Sequence[Planned], rounds: int, candidate: Place, baseline: Place | None,
    listen: Callable[[int, Planned], object] = lambda *_: None, time_s: float = math.inf,
) -> Pairs:  # fmt: skip
    """Measure every case `rounds` times on each side, the order of the two changing; without a baseline, one side only.

    A pair beside which others took the CPU is measured again, at most `rounds` times a case; of its tries the least
    disturbed counts. Chosen by what others did and never by the outcome, so that it favours neither side.
    time_s: no round begins after this, and no pair is measured again where the rounds are behind their share of it.
    What ends it is the clock alone, never an outcome.
    A side that cannot go on ends it too; the pairs from before stay.
    listen: told the round (from 0) and the case before it is measured.
    Raises: BenchError when a side cannot measure at all.
    """
    pairs, start = Pairs(), time.monotonic()
    spare = dict.fromkeys((each.key for each in planned), rounds)

    def measure_round(turn: int) -> None:
        with contextlib.ExitStack() as stack:
            new_side = stack.enter_context(Speaker(candidate))
            old_side = None if baseline is None else stack.enter_context(Speaker(baseline))
            for index, each in enumerate(planned):
                listen(turn, each)
                tries = [_pair(each, new_side, old_side, old_first=(turn + index) % 2 == 0)]
                while (
                    _disturbance(tries[-1]) > DISTURBED_CORES and len(tries) < MOST_TRIES and spare[each.key]
                    and time.monotonic() - start < time_s * (turn + 1) / rounds
                ):  # fmt: skip
                    spare[each.key] -= 1
                    tries.append(_pair(each, new_side, old_side, old_first=(turn + index) % 2 == 0))
                pairs.add(each, *min(tries, key=_disturbance))

    for turn in range(rounds):
        gone = time.monotonic() - start
        if turn and gone * (turn + 1) / turn > time_s:
            # Another round of their length would not be over in time.
            pairs.ended = "the time was over"
            break
        try:
            measure_round(turn)
        except BenchError as error:
            if not pairs.candidate and not pairs.failed:
                raise
            pairs.ended = str(error)
            break
        pairs.rounds += 1
    return pairs


def _pair(each: Planned, new_side: Speaker, old_side: Speaker | None, *, old_first: bool) -> tuple[Row | None, Row]:
    if old_side is not None and old_first:
        old = old_side.measure(each)
        return old, new_side.measure(each)
    new = new_side.measure(each)
    return None if old_side is None else old_side.measure(each), new


def _disturbance(pair: tuple[Row | None, Row]) -> float:
    """How many cores others took beside the worse of a pair; a failed row is not to be tried again."""
    if any(row is not None and row.status != "ok" for row in pair):
        return 0.0
    return max(row.others_cores or 0.0 for row in pair if row is not None)


def speak() -> None:
    """Answer each line, a planned case, with a line, its row, until nobody asks any more."""
    import signal

    # Ctrl-C reaches the whole group; who asks decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a driver prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        each = msgspec.json.decode(line, type=Planned)
        answers.write(msgspec.json.encode(measure_once(each)) + b"\n")
        answers.flush()


if __name__ == "__main__":
    speak()
