"""The devices of this process: which is current, which stream, how many kernels ran, and whether one is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from fake_accelerator.memory import Memory
from fake_accelerator.settings import Settings, Vendor

T = TypeVar("T")
LAUNCH_S = 100e-6
# A device that needs longer than the host needs to ask: work queues up, and whoever does not synchronize sees it.
SLOWNESS = 2.0


class Machine:
    """All devices of the one vendor of this process."""

    def __init__(self, vendor: Vendor, settings: Settings) -> None:
        from fake_accelerator.clock import Stream

        self.vendor, self.settings = vendor, settings
        self.current = 0
        self.kernels = 0
        self.capturing: Any = None  # the Tape of the capture under way
        self.initialized = False
        self.memories = [Memory(vendor, settings.memory_bytes, index) for index in range(settings.devices)]
        self.streams: list[list[Stream]] = [[] for _ in range(settings.devices)]
        self.default_streams = [Stream(self, index, default=True) for index in range(settings.devices)]
        self.current_streams = list(self.default_streams)

    def alive(self) -> None:
        """Raise what every call raises when there is no device, or it is lost."""
        if not self.settings.devices:
            raise RuntimeError(f"No {self.vendor.label} devices are available")
        self.initialized = True
        if self.settings.lost_after is not None and self.kernels >= self.settings.lost_after:
            raise RuntimeError(self.vendor.lost)

    def index_of(self, device: Any) -> int:
        """Device, index, name or None to an index; raises for a device that is not there."""
        import torch

        if device is None:
            return self.current
        if isinstance(device, str):
            device = torch.device(device)
        index = device.index if isinstance(device, torch.device) else int(device)
        index = self.current if index is None or index < 0 else index
        if index >= self.settings.devices:
            raise RuntimeError(
                f"{self.vendor.label} error: invalid device ordinal {index}, {self.settings.devices} here"
            )
        return index

    def not_while_capturing(self, what: str) -> None:
        """Raise what a call that must not run during a capture raises; the capture is spoilt."""
        if self.capturing is not None:
            self.capturing.spoilt = True
            raise RuntimeError(f"{self.vendor.label} error: operation not permitted when stream is capturing ({what})")

    def run(self, index: int, compute: Callable[[], T], launch_s: float = LAUNCH_S) -> T:
        """Run a kernel now, and put the time it takes on the current stream of its device."""
        self.alive()
        self.kernels += 1
        start = time.perf_counter()
        result = compute()
        spent = time.perf_counter() - start
        if self.capturing is None:
            fixed = self.settings.op_seconds
            self.current_streams[index].push(start, launch_s + SLOWNESS * spent if fixed is None else fixed)
        return result

    def synchronize(self, device: Any = None) -> None:
        """Wait for all streams of a device."""
        self.alive()
        self.not_while_capturing("synchronize")
        for stream in self.streams[self.index_of(device)]:
            stream.wait_here()

    def host_reads(self, index: int, what: str) -> None:
        """The host copies from the device: it waits for the current stream, whatever `synchronize` does."""
        self.alive()
        self.not_while_capturing(what)
        self.current_streams[index].wait_here(honest=True)
