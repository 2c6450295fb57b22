"""What every torch accelerator has in common: events, graphs, a cache to flush, memory. A vendor's file adds the rest.

Calls go through torch.<family> (`torch.cuda`, `torch.npu`), never through torch.accelerator: several of its functions
fail on backends that are defined in Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from bench.devices.adapter import Launch
from bench.devices.detect import Present, Seen, installed, look, nodes
from bench.devices.sheet import load_sheet, match_sheet
from bench.devices.telemetry.reading import Reading
from bench.errors import DeviceError, Unsupported
from bench.operators.interface import Step
from bench.units import MEGA

# Taken where neither torch nor a sheet knows the cache: as large as the common ones, an assumption.
UNKNOWN_CACHE_BYTES = 96 * 1024 * 1024
# Engines and the allocator need a part of what is free.
USABLE_MEMORY = 0.92


class Accelerator:
    """One torch device. Subclasses name their vendor's parts; what a vendor lacks stays empty and is told as such."""

    # The adapter's name in sheets and in the entry-point group, and the vendor's as people write it.
    adapter: ClassVar[str]
    vendor: ClassVar[str]
    # torch.<family>, and the package that brings it.
    family: ClassVar[str]
    plugin: ClassVar[str] = ""
    # Device files that show a driver, and what to do when torch cannot reach it.
    drivers: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[str] = ""
    # Environment variable that narrows and renumbers the devices.
    visible: ClassVar[str] = ""
    # Class of torch.<family> that captures a graph of launches; empty where the vendor has none.
    graph: ClassVar[str] = ""
    # What torch.distributed calls the vendor's collectives.
    collectives: ClassVar[str] = ""
    dtypes: ClassVar[tuple[str, ...]] = ("bf16", "fp16", "fp32")

    def __init_subclass__(cls) -> None:
        """Refuse a vendor's class that leaves out a name which everything else is told by."""
        lacking = [name for name in ("adapter", "vendor", "family") if not getattr(cls, name, None)]
        if lacking:
            raise TypeError(
                f"{cls.__name__} gives no {', '.join(lacking)}: an Accelerator needs adapter, vendor, family"
            )

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = f"{self.family}:{index}"
        self._scratch: Any = None

    # -- what is here, without importing torch -------------------------------------------------------------------------

    @classmethod
    def seen(cls) -> Seen:
        """Return torch's answer about this family; nothing is asked where neither plugin nor driver is here."""
        here = installed(cls.plugin) if cls.plugin else nodes(*cls.drivers)
        return look(cls.family, cls.plugin) if here else Seen(cls.family)

    @classmethod
    def claims(cls, seen: Seen, present: Present) -> bool:
        """Whether a device that torch shows under this family is of this vendor; several answer as torch.cuda."""
        return True

    @classmethod
    def available(cls) -> list[str]:
        seen = cls.seen()
        return [f"{cls.family}:{each.index}" for each in seen.devices if cls.claims(seen, each)]

    @classmethod
    def problem(cls) -> str | None:
        """Return why this vendor's devices cannot be used although something of them is here, and what to do."""
        seen = cls.seen()
        if seen.error:
            return f"{cls.vendor}: {seen.error}; {cls.advice}"
        if seen.devices or not nodes(*cls.drivers):
            if seen.torch and cls.plugin and not seen.devices:
                return f"{cls.vendor}: {cls.plugin} is installed and shows no device; {cls.advice}"
            return None
        if cls.plugin and not installed(cls.plugin):
            return f"{cls.vendor}: a driver is here, {cls.plugin} is not installed; {cls.advice}"
        return f"{cls.vendor}: a driver is here and torch shows no device; {cls.advice}"

    @property
    def present(self) -> Present:
        """This device as torch shows it."""
        for each in self.seen().devices:
            if each.index == self.index:
                return each
        raise DeviceError(f"{self.name} is not here any more")

    @cached_property
    def matched(self) -> tuple[str | None, str]:
        """The sheet that describes this device and why, or None and why not."""
        each = self.present
        return match_sheet(self.adapter, each.name, each.memory_bytes, each.cores)

    def sheet(self) -> str | None:
        return self.matched[0]

    @property
    def unit(self) -> str:
        sheet = self.sheet()
        return "package" if sheet is None else load_sheet(sheet).unit

    def facts(self) -> dict[str, str]:
        each, seen = self.present, self.seen()
        sheet, why = self.matched
        facts = {"name": each.name, "vendor": self.vendor}
        if each.memory_bytes:
            facts["memory"] = f"{each.memory_bytes / 1e9:.1f} GB"
        if each.cores:
            facts["cores"] = str(each.cores)
        if each.arch:
            facts["arch"] = each.arch
        facts["sheet"] = f"{sheet} (by {why})" if sheet else f"none: {why}"
        facts["runtime"] = ", ".join(f"{name} {version}" for name, version in seen.runtime.items()) or "not told"
        facts["graphs"] = self.graph or "none: every launch is eager"
        facts["collectives"] = self.collectives or "none known"
        return facts

    def physical(self) -> int:
        """Return the number the vendor's tool gives this device, which counts hidden ones too."""
        chosen = [part.strip() for part in os.environ.get(self.visible, "").split(",") if part.strip()]
        if self.index < len(chosen) and chosen[self.index].isdigit():
            return int(chosen[self.index])
        return self.index

    def read(self) -> Reading:
        """Return what the device says of itself now; a vendor's file asks the vendor's tool."""
        return Reading(missing={"power_w": f"no telemetry tool of {self.vendor} is known"})

    # -- in the worker, with torch -------------------------------------------------------------------------------------

    @property
    def api(self) -> Any:
        """torch.<family>, with this device made current once."""
        import torch

        if self.plugin:
            __import__(self.plugin)
        api = getattr(torch, self.family)
        if not getattr(self, "_current", False):
            api.set_device(self.index)
            self._current = True
        return api

    def operators(self, step: Step, dtype: str, copies: int, layers: int | None) -> Any:
        from bench.devices.accelerator_operators import AcceleratorOperators

        return self.make(AcceleratorOperators, step, dtype, copies, layers)

    def make(self, kind: Any, step: Step, dtype: str, copies: int, layers: int | None) -> Any:
        """Return operators of a class, on this device.

        Raises: Unsupported for a dtype that this vendor's software has no path for.
        """
        import torch

        if dtype not in self.dtypes:
            raise Unsupported(f"{self.vendor} {self.present.name} has no {dtype} path here; it runs {self._paths()}")
        _ = self.api
        return kind(step, dtype, torch.device(self.family, self.index), copies, layers)

    def _paths(self) -> str:
        return ", ".join(self.dtypes)

    def time(self, step: Callable[[], Any], repeats: int) -> list[float]:
        """Seconds of each run between two events on the device's own clock, the cache flushed before each."""
        api = self.api
        pairs = []
        for _ in range(repeats):
            self.flush()
            start, end = api.Event(enable_timing=True), api.Event(enable_timing=True)
            start.record()
            step()
            end.record()
            pairs.append((start, end))
        api.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in pairs]

    def flush(self) -> None:
        """Write more than the last-level cache holds, so that a run finds none of its operands there."""
        import torch

        with torch.inference_mode():
            if self._scratch is None:
                self._scratch = torch.empty(2 * self.cache_bytes(), dtype=torch.int8, device=self.name)
            self._scratch.zero_()

    def capture(self, step: Callable[[], Any]) -> Launch:
        """Return the step as one graph of launches, or as it is with the reason why not."""
        api = self.api
        graph_class = getattr(api, self.graph, None) if self.graph else None
        if graph_class is None:
            lacks = f"has no {self.graph}" if self.graph else "captures no graphs"
            return Launch(step, "eager", f"torch.{self.family} {lacks}")
        try:
            # Libraries take their workspaces on the first runs, which a capture forbids.
            side = api.Stream()
            side.wait_stream(api.current_stream())
            with api.stream(side):
                step()
                step()
            api.current_stream().wait_stream(side)
            api.synchronize()
            graph = graph_class()
            with api.graph(graph):
                step()
            graph.replay()
            api.synchronize()
        except (RuntimeError, NotImplementedError) as error:
            first = str(error).strip().split("\n")[0]
            return Launch(step, "eager", f"a graph could not be captured: {first[:200]}")
        return Launch(graph.replay, "graph")

    def cache_bytes(self) -> int:
        if self.present.cache_bytes:
            return self.present.cache_bytes
        sheet = self.sheet()
        figure = None if sheet is None else load_sheet(sheet).memory.cache_mb
        return UNKNOWN_CACHE_BYTES if figure is None or figure.value is None else int(figure.value * MEGA)

    def memory_room(self) -> int:
        api = self.api
        if hasattr(api, "mem_get_info"):
            return int(api.mem_get_info(self.index)[0] * USABLE_MEMORY)
        total = self.present.memory_bytes
        if total is None:
            sheet = self.sheet()
            size = None if sheet is None else load_sheet(sheet).memory_bytes
            if size is None:
                raise DeviceError(f"{self.name}: neither torch.{self.family} nor a sheet says how much memory it has")
            total = int(size)
        return int(total * USABLE_MEMORY)

    def memory_peak(self) -> int | None:
        api = self.api
        return int(api.max_memory_allocated(self.index)) if hasattr(api, "max_memory_allocated") else None
