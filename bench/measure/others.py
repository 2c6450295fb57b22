"""How much of the CPU others took while a case was timed: other processes, other guests of the host."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from types import TracebackType

import psutil

# A tenth of a core taken by others is what an idle machine shows; from here on timings are moved by it.
DISTURBED_CORES = 0.25
# A window shorter than this has too few ticks of the system's clock (10 ms) to say anything.
SHORTEST_S = 0.2
# An accelerator's step is launched from one core; others are in its way where they leave fewer than this.
LEFT_TO_LAUNCH = 2.0


def disturbed(cores: float | None, *, on_cpu: bool) -> bool:
    """Whether what others took can have moved a timing.

    on_cpu: of a step that runs on these cores, all of them; an accelerator's leaves most of them idle.
    """
    if cores is None or cores <= DISTURBED_CORES:
        return False
    return on_cpu or cores > len(os.sched_getaffinity(0)) - LEFT_TO_LAUNCH


class Others:
    """Counts what others took of the cores that this process may use; a context manager around the timed work.

    `cores`: cores' worth of CPU time per second that was neither this process's nor idle, the hypervisor's steal
    included; None where the system does not tell or the window was too short. Source: proc_stat(5).
    """

    def __init__(self) -> None:
        self.cores: float | None = None

    def __enter__(self) -> Others:
        self._start = _taken()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = _taken()
        if self._start is None or end is None or end[0] - self._start[0] < SHORTEST_S:
            return
        seconds, all_of_it, own = (after - before for after, before in zip(end, self._start, strict=True))
        self.cores = round(max(0.0, all_of_it - own) / seconds, 3)


def _taken() -> tuple[float, float, float] | None:
    """Return the time, the CPU seconds that the allowed cores were busy or stolen, and this process's own."""
    with suppress(OSError, AttributeError, IndexError, psutil.Error):
        every = psutil.cpu_times(percpu=True)
        busy = sum(
            times.user + times.nice + times.system + times.irq + times.softirq + times.steal
            for times in (every[core] for core in os.sched_getaffinity(0))
        )
        own = time.process_time()
        return time.monotonic(), busy, own
    return None
