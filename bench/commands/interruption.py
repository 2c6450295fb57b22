"""SIGTERM, which cancelled jobs and stopped containers get, ends a command as Ctrl-C does: tidily, and saying so."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

# What a shell gives for a process that SIGTERM ended.
TERMINATED = 128 + signal.SIGTERM


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the first SIGTERM, and let no second one disturb the cleaning up.

    Yields a list that is empty as long as none came.
    """
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        if not came:
            came.append(number)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
