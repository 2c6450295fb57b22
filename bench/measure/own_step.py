"""Times a person's own step in the process it is called in: a case's clock, graphs, warm-up and stopping rule."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.devices.adapter import Adapter
from bench.measure.case import fill_roofs, time_into
from bench.measure.launch import prepare
from bench.results.record import Row

SCOPE = "what the test calls, its operands as it leaves them: small ones stay in a cache"


@dataclass(frozen=True)
class Alone:
    """What is asked of an operator set before its program is timed; a step that is no program runs once as it is."""

    layers: None = None
    copies: int = 1


def measure_step(step: Callable[[], Any], row: Row, adapter: Adapter, time_s: float, *, graph: bool = True) -> Any:
    """Time a step for `time_s` seconds and fill its row; return what its first call gave.

    row: says what the step is, and what one call of it computes and moves, as far as its author knows.
    graph: launch it as one captured graph where the device can.
    Raises: DeviceError when the device's clock cannot be believed; whatever the step itself raises.
    """
    __tracebackhide__ = True  # where a test's own step fails, its author looks for the step
    start = time.perf_counter()
    answer = step()
    timed = prepare(lambda _: step(), Alone(), adapter, eager=not graph)
    time_into(row, timed, adapter, time_s)
    fill_roofs(row, adapter)
    row.scope = SCOPE
    row.wall_s = time.perf_counter() - start
    return answer
