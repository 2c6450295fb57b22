"""The device's clock: streams whose work ends later than it was asked for, and events that say when."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fake_accelerator.machine import Machine

_ids = itertools.count(1)


class Stream:
    """A queue of work. ready_s: when it will be done, on the host's clock; known_s: up to when the host has waited."""

    def __init__(self, machine: Machine, index: int, *, default: bool = False) -> None:
        self.machine, self.index, self.default = machine, index, default
        self.stream_id = 0 if default else next(_ids)
        self.ready_s = self.known_s = 0.0
        machine.streams[index].append(self)

    @property
    def device(self) -> Any:
        import torch

        return torch.device(self.machine.vendor.device, self.index)

    def push(self, asked_s: float, seconds: float) -> None:
        """Append work that was asked for at `asked_s`."""
        self.ready_s = max(self.ready_s, asked_s) + seconds

    def wait_here(self, *, honest: bool = False) -> None:
        """Let the host wait until everything in the queue is done, unless the fault of not waiting is asked for."""
        if honest or self.machine.settings.clock != "unsynchronized":
            sleep_until(self.ready_s)
        self.known_s = max(self.known_s, self.ready_s)

    def synchronize(self) -> None:
        self.machine.alive()
        self.machine.not_while_capturing("stream synchronize")
        self.wait_here()

    def query(self) -> bool:
        self.machine.alive()
        self.machine.not_while_capturing("stream query")
        return time.perf_counter() >= self.ready_s

    def wait_event(self, event: Event) -> None:
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        self.ready_s = max(self.ready_s, stream.ready_s)

    def record_event(self, event: Event | None = None) -> Event:
        event = Event(self.machine) if event is None else event
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.index, self.stream_id) == (other.index, other.stream_id)

    def __hash__(self) -> int:
        return hash((self.index, self.stream_id))

    def __repr__(self) -> str:
        return f"<fake stream {self.stream_id} of {self.device}>"


class Event:
    """A moment on a stream. The host knows it has passed only after it waited for it, or asked and heard yes."""

    def __init__(self, machine: Machine, enable_timing: bool = False) -> None:
        self.machine, self.timing = machine, enable_timing
        self.stream: Stream | None = None
        self.stamp_s: float | None = None
        self.passed = False

    def record(self, stream: Stream | None = None) -> None:
        self.machine.alive()
        stream = self.machine.current_streams[self.machine.current] if stream is None else stream
        self.stream, self.passed = stream, False
        # An event of a capture belongs to the graph and has no time.
        self.stamp_s = None
        if not self.machine.capturing:
            # It stands in the queue like work: whoever waits for an idle stream has waited for it, too.
            self.stamp_s = stream.ready_s = max(stream.ready_s, time.perf_counter())

    def wait(self, stream: Stream | None = None) -> None:
        stream = self.machine.current_streams[self.machine.current] if stream is None else stream
        if self.stamp_s is not None:
            stream.ready_s = max(stream.ready_s, self.stamp_s)

    def query(self) -> bool:
        self.machine.alive()
        self.machine.not_while_capturing("event query")
        if self.stamp_s is None:
            return True
        self.passed = self.known or time.perf_counter() >= self.stamp_s
        if self.passed:
            self._tell()
        return self.passed

    def _tell(self) -> None:
        """What precedes a passed event on its stream has passed, too."""
        if self.stream is not None and self.stamp_s is not None:
            self.stream.known_s = max(self.stream.known_s, self.stamp_s)

    @property
    def known(self) -> bool:
        """Whether the host has learnt that this event has passed."""
        return self.passed or (
            self.stream is not None and self.stamp_s is not None and self.stamp_s <= self.stream.known_s
        )

    def synchronize(self) -> None:
        self.machine.alive()
        self.machine.not_while_capturing("event synchronize")
        if self.stamp_s is not None:
            if self.machine.settings.clock != "unsynchronized":
                sleep_until(self.stamp_s)
            self.passed = True
            self._tell()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another; both recorded with timing, both known to have passed."""
        self.machine.alive()
        self.machine.not_while_capturing("event elapsed time")
        if not (self.timing and end_event.timing):
            raise RuntimeError("Both events must be created with argument 'enable_timing=True'.")
        if self.stamp_s is None or end_event.stamp_s is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        if not (self.known and end_event.known):
            raise RuntimeError("Both events must be completed before calculating elapsed time.")
        told = {"lies": 0.1, "stuck": 0.0}.get(self.machine.settings.clock, 1.0)
        return (end_event.stamp_s - self.stamp_s) * 1e3 * told


def sleep_until(moment_s: float) -> None:
    """Sleep until the host's clock shows a moment."""
    while (left := moment_s - time.perf_counter()) > 0:
        time.sleep(left)
