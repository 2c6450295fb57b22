"""Graphs: a capture writes kernels down without running them, a replay runs them on the same storages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from fake_accelerator.machine import Machine

_pools = itertools.count(1)
REPLAYED_LAUNCH_S = 30e-6


def storage_key(raw: torch.Tensor) -> int:
    """What tells storages apart while they live."""
    return int(raw.untyped_storage()._cdata)


class Tape:
    """What a capture saw: kernels with their payloads, and what storages held before, for a capture changes nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.spoilt = stream, False
        self.steps: list[tuple[int, Callable[..., Any], Any, Any, Any]] = []
        self.before: dict[int, tuple[Any, Any]] = {}
        self.fresh: dict[int, Any] = {}

    def keep(self, raw: torch.Tensor) -> None:
        """Remember a storage that a kernel is about to write to."""
        storage = raw.untyped_storage()
        if storage._cdata not in self.fresh:
            self.before.setdefault(storage._cdata, (storage, storage.clone()))

    def add(self, index: int, func: Callable[..., Any], args: Any, kwargs: Any, result: Any) -> None:
        self.steps.append((index, func, args, kwargs, result))

    def end(self) -> None:
        """Put everything back, and leave in new storages what no one may read before a replay: all bits set, NaN."""
        for storage, content in self.before.values():
            storage.copy_(content)
        for storage in self.fresh.values():
            storage.fill_(255)


class Graph:
    """A captured graph (NPUGraph, MUSAGraph, GCUGraph, CUDAGraph)."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.tape: Tape | None = None
        self.begun: Tape | None = None
        self._pool = (0, next(_pools))

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        self.machine.alive()
        if self.machine.capturing is not None:
            raise RuntimeError("Only one graph can be captured at a time")
        stream = self.machine.current_streams[self.machine.current]
        if stream.default:
            raise RuntimeError(f"{self.machine.vendor.label} graphs must be captured on a non-default stream.")
        if pool is not None:
            self._pool = tuple(pool)
        self.begun = self.machine.capturing = Tape(stream)

    def capture_end(self) -> None:
        tape, self.begun = self.begun, None
        if tape is None:
            raise RuntimeError("capture_end without capture_begin")
        self.machine.capturing = None
        tape.end()
        if tape.spoilt:
            raise RuntimeError(
                f"{self.machine.vendor.label} error: operation failed due to a previous error during capture"
            )
        self.tape = tape

    def replay(self) -> None:
        self.machine.alive()
        self.machine.not_while_capturing("graph replay")
        if self.tape is None:
            raise RuntimeError("Called replay without a preceding successful capture.")
        for index, func, args, kwargs, kept in self.tape.steps:
            self.machine.run(index, lambda f=func, a=args, k=kwargs, o=kept: _again(f, a, k, o), REPLAYED_LAUNCH_S)

    def reset(self) -> None:
        self.tape = None

    def pool(self) -> tuple[int, int]:
        return self._pool  # type: ignore[return-value]


def _again(func: Callable[..., Any], args: Any, kwargs: Any, kept: Any) -> None:
    """Run a kernel of a graph once more; what it makes goes where it went in the capture."""
    made = func(*args, **kwargs)
    for old, new in zip(tree_leaves(kept), tree_leaves(made), strict=True):
        if isinstance(old, torch.Tensor) and storage_key(old) != storage_key(new):
            old.copy_(new)


class Capture:
    """The context `torch.<device>.graph(graph, pool=None, stream=None, ...)`."""

    default_stream: Any = None

    def __init__(self, machine: Machine, graph: Graph, pool: Any, stream: Any, mode: str) -> None:
        from fake_accelerator.clock import Stream

        if Capture.default_stream is None:
            Capture.default_stream = Stream(machine, machine.current)
        self.machine, self.graph, self.pool, self.mode = machine, graph, pool, mode
        self.stream = Capture.default_stream if stream is None else stream

    def __enter__(self) -> None:
        self.machine.synchronize()
        self.machine.memories[self.machine.current].empty_cache()
        index = self.stream.index
        self.before = (index, self.machine.current_streams[index])
        self.machine.current_streams[index] = self.stream
        try:
            self.graph.capture_begin(self.pool, self.mode)
        except RuntimeError:
            self.machine.current_streams[index] = self.before[1]
            raise

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.graph.capture_end()
        finally:
            index, stream = self.before
            self.machine.current_streams[index] = stream
