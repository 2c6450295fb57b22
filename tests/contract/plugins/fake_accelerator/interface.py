"""The module `torch.<device>`: the part of torch.cuda's interface that the vendor's plugin has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from fake_accelerator import clock
from fake_accelerator.graph import Capture, Graph
from fake_accelerator.machine import Machine

MEMORY = (
    "mem_get_info", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved",
    "reset_peak_memory_stats", "memory_stats",
)  # fmt: skip
GRAPHS = ("graph", "graph_pool_handle")


class Interface:
    """Functions of the module; which of them a vendor has, `as_module` decides."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    # -- devices ---------------------------------------------------------------------------------------------------

    def is_available(self) -> bool:
        return self.machine.settings.devices > 0

    def is_built(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return self.machine.initialized

    def init(self) -> None:
        self.machine.alive()

    def device_count(self) -> int:
        return self.machine.settings.devices

    def current_device(self) -> int:
        self.machine.alive()
        return self.machine.current

    def set_device(self, device: Any) -> None:
        self.machine.alive()
        self.machine.current = self.machine.index_of(device)

    @contextlib.contextmanager
    def device(self, device: Any) -> Iterator[None]:
        before = self.machine.current
        self.set_device(device)
        try:
            yield
        finally:
            self.machine.current = before

    def get_device_name(self, device: Any = None) -> str:
        self.machine.alive()
        self.machine.index_of(device)
        return self.machine.settings.name or self.machine.vendor.name

    def get_device_properties(self, device: Any = None) -> Any:
        settings, told = self.machine.settings, dict(self.machine.vendor.properties)
        if settings.cache_bytes is not None and "L2_cache_size" in told:
            told["L2_cache_size"] = settings.cache_bytes
        self.machine.alive()
        self.machine.index_of(device)
        name = settings.name or self.machine.vendor.name
        return SimpleNamespace(name=name, total_memory=settings.memory_bytes, **told)

    def get_device_capability(self, device: Any = None) -> tuple[int, int]:
        properties = self.get_device_properties(device)
        return getattr(properties, "major", 0), getattr(properties, "minor", 0)

    def synchronize(self, device: Any = None) -> None:
        self.machine.synchronize(device)

    # -- streams ---------------------------------------------------------------------------------------------------

    def current_stream(self, device: Any = None) -> clock.Stream:
        self.machine.alive()
        return self.machine.current_streams[self.machine.index_of(device)]

    def default_stream(self, device: Any = None) -> clock.Stream:
        self.machine.alive()
        return self.machine.default_streams[self.machine.index_of(device)]

    def set_stream(self, stream: clock.Stream | None) -> None:
        if stream is not None:
            self.machine.current_streams[stream.index] = stream

    @contextlib.contextmanager
    def stream(self, stream: clock.Stream | None) -> Iterator[None]:
        if stream is None:
            yield
            return
        before, self.machine.current_streams[stream.index] = self.machine.current_streams[stream.index], stream
        try:
            yield
        finally:
            self.machine.current_streams[stream.index] = before

    # -- graphs ----------------------------------------------------------------------------------------------------

    def graph(
        self, graph: Graph, /, pool: Any = None, stream: Any = None, capture_error_mode: str = "global", **vendor: Any
    ) -> Capture:
        if not isinstance(graph, Graph):
            raise TypeError(f"a captured graph's class is {self.machine.vendor.graph}, not {type(graph).__name__}")
        if vendor.keys() - {"auto_dispatch_capture"}:
            raise TypeError(f"graph() got an unexpected keyword argument '{next(iter(vendor))}'")
        return Capture(self.machine, graph, pool, stream, capture_error_mode)

    def graph_pool_handle(self) -> Any:
        return Graph(self.machine).pool()

    def is_current_stream_capturing(self) -> bool:
        return self.machine.capturing is not None

    # -- memory ----------------------------------------------------------------------------------------------------

    def _memory(self, device: Any) -> Any:
        self.machine.alive()
        return self.machine.memories[self.machine.index_of(device)]

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        memory = self._memory(device)
        return memory.total - memory.reserved, memory.total

    def memory_allocated(self, device: Any = None) -> int:
        return int(self._memory(device).allocated)

    def max_memory_allocated(self, device: Any = None) -> int:
        return int(self._memory(device).peak)

    def memory_reserved(self, device: Any = None) -> int:
        return int(self._memory(device).reserved)

    def max_memory_reserved(self, device: Any = None) -> int:
        return int(self._memory(device).most_reserved)

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        memory = self._memory(device)
        memory.peak, memory.most_reserved = memory.allocated, memory.reserved

    def memory_stats(self, device: Any = None) -> dict[str, int]:
        return dict(self._memory(device).stats())

    def empty_cache(self) -> None:
        self._memory(None).empty_cache()

    # -- what torch itself asks a backend for ----------------------------------------------------------------------

    def manual_seed(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def _is_in_bad_fork(self) -> bool:
        return False


def as_module(machine: Machine) -> ModuleType:
    """The module `torch.<device>` of this vendor."""
    vendor, interface = machine.vendor, Interface(machine)
    module = ModuleType(f"torch.{vendor.device}")
    left_out = set() if vendor.memory else set(MEMORY)
    left_out |= set() if vendor.graph else set(GRAPHS)
    left_out |= vendor.lacks | machine.settings.missing_api
    for name in dir(Interface):
        if (not name.startswith("_") or name == "_is_in_bad_fork") and name not in left_out:
            setattr(module, name, getattr(interface, name))

    class Event(clock.Event):
        def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
            super().__init__(machine, enable_timing)

    class Stream(clock.Stream):
        def __init__(self, device: Any = None, priority: int = 0) -> None:
            machine.alive()
            super().__init__(machine, machine.index_of(device))

    module.Event, module.Stream = Event, Stream  # type: ignore[attr-defined]
    if vendor.graph:

        class CapturedGraph(Graph):
            def __init__(self, keep_graph: bool = False) -> None:
                super().__init__(machine)

        CapturedGraph.__name__ = CapturedGraph.__qualname__ = vendor.graph
        setattr(module, vendor.graph, CapturedGraph)
    return module
