"""The CPU of this machine: timed with the process clock that never goes back, through torch's CPU kernels."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.devices.adapter import Launch
from bench.devices.cpu_limits import cpu_limits
from bench.devices.telemetry import rapl
from bench.devices.telemetry.reading import Reading
from bench.operators.interface import Step

# The host may share a larger cache among its guests; operands outgrow the one that is reported, within reason.
LARGEST_CACHE_BYTES = 128 * 1024 * 1024
UNKNOWN_CACHE_BYTES = 32 * 1024 * 1024


def cpu_model() -> str:
    """Return the CPU's name as the operating system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Hardware", "Model Name")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def physical_cores() -> int:
    """Return how many cores this process may use, hyper-threads counted once where that is known."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def threads() -> int:
    """Return the threads to compute with: OMP_NUM_THREADS (its first level), else one a core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return (int(asked) if asked.isdigit() else 0) or physical_cores()


def matrix_extensions() -> list[str]:
    """Return the instruction sets that decide matrix speed, for example amx_bf16 or avx512_bf16."""
    wanted = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx512f", "avx2", "bf16", "i8mm", "sve", "asimd")
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                flags = set(line.split(":", 1)[1].split())
                return [name for name in wanted if name in flags]
    except OSError:
        pass
    return []


class CpuAdapter:
    """The host CPU as a device."""

    unit = "machine"

    def __init__(self, index: int = 0) -> None:
        self.name = "cpu"

    @classmethod
    def available(cls) -> list[str]:
        return ["cpu"]

    def facts(self) -> dict[str, str]:
        return {
            "name": cpu_model(),
            "cores": str(physical_cores()),
            "threads": str(threads()),
            "memory": f"{psutil.virtual_memory().total / 1e9:.1f} GB",
            "extensions": " ".join(matrix_extensions()) or "not known",
            **cpu_limits(),
        }

    def sheet(self) -> str | None:
        # No sheet knows a CPU in a virtual machine; its peaks are the ones that calibration reaches.
        return None

    def operators(self, step: Step, dtype: str, copies: int, layers: int | None) -> Any:
        import torch

        from bench.devices.cpu_operators import CpuOperators

        torch.set_num_threads(threads())
        return CpuOperators(step, dtype, copies, layers)

    def time(self, step: Callable[[], Any], repeats: int) -> list[float]:
        seconds: list[float] = []
        for _ in range(repeats):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        return seconds

    def cache_bytes(self) -> int:
        sizes: list[int] = []
        for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
            text = path.read_text().strip()
            if text.endswith("K"):
                sizes.append(int(text[:-1]) * 1024)
        return min(max(sizes, default=UNKNOWN_CACHE_BYTES), LARGEST_CACHE_BYTES)

    def memory_room(self) -> int:
        # A tenth is left to the rest of the machine.
        return int(psutil.virtual_memory().available * 0.9)

    def memory_peak(self) -> int | None:
        try:
            import resource
        except ImportError:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024

    def capture(self, step: Callable[[], Any]) -> Launch:
        return Launch(step)

    def read(self) -> Reading:
        return rapl.read()
