"""NVIDIA's NVML, through nvidia-ml-py (module pynvml).

Calls, units and the bits of the clock event reasons: NVIDIA, NVML API Reference Guide. Power and energy are those of
the GPU with its memory and circuitry. From Ampere on (GA100 aside) the power is an average over the last second, so the
energy counter is what a short window needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from bench.devices.telemetry.reading import Missing, Process, Reading, nothing, sensed

CLOCK_SM = 1
TEMPERATURE_GPU = 0
MILLI, MEGA = 1e-3, 1e6

# Bit 0 is an idle GPU: its clock is low because nothing is asked of it.
IDLE = 0x1
REASONS = {
    0x2: "application clocks set",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown by the driver",
    0x40: "thermal slowdown by the hardware",
    0x80: "power brake by the hardware",
    0x100: "display clock set",
}


@cache
def _load() -> Any:
    """Return pynvml, initialised, or why it cannot be used."""
    try:
        module: Any = importlib.import_module("pynvml")
    except ImportError:
        return Missing("cannot be asked: Python has no pynvml (pip install nvidia-ml-py)")
    return initialised(module)


def initialised(module: Any) -> Any:
    """Return the module after nvmlInit, or why that failed."""
    try:
        module.nvmlInit()
    except Exception as error:
        return Missing(f"cannot be asked: {error}")
    return module


def read(device: int | str = 0, module: Any = None) -> Reading:
    """Return the reading of one GPU.

    device: NVML's index, which is PCI order and not always CUDA's, or the GPU's UUID, with or without "GPU-";
    module: pynvml, where the caller has its own.
    """
    nvml = _load() if module is None else initialised(module)
    if isinstance(nvml, Missing):
        return nothing("NVML", nvml)
    if isinstance(device, str):
        handle = _ask(nvml.nvmlDeviceGetHandleByUUID, device if device.startswith("GPU-") else f"GPU-{device}")
    else:
        handle = _ask(nvml.nvmlDeviceGetHandleByIndex, device)
    return nothing("NVML", handle) if isinstance(handle, Missing) else _reading(nvml, handle, str(device))


def _ask(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call answers, or why it does not."""
    try:
        return call(*arguments)
    except Exception as error:  # NVMLError, or a version of the bindings that differs
        return Missing(f"answers '{error}'")


def _reading(nvml: Any, gpu: Any, device: str) -> Reading:
    def ask(name: str, *arguments: Any, then: Callable[[Any], Any] | None = None) -> Any:
        call = getattr(nvml, name, None)
        if call is None:
            return Missing(f"has no {name} in these bindings")
        answer = _ask(call, *arguments)
        return answer if then is None or isinstance(answer, Missing) else _ask(then, answer)

    reasons = "nvmlDeviceGetCurrentClocksEventReasons"
    if not hasattr(nvml, reasons):
        reasons = "nvmlDeviceGetCurrentClocksThrottleReasons"
    return sensed(
        "NVML",
        device=device,
        name=ask("nvmlDeviceGetName", gpu, then=_text),
        driver=ask("nvmlSystemGetDriverVersion", then=_text),
        power_w=ask("nvmlDeviceGetPowerUsage", gpu, then=lambda mw: mw * MILLI),
        power_limit_w=ask("nvmlDeviceGetEnforcedPowerLimit", gpu, then=lambda mw: mw * MILLI),
        power_basis="GPU with its memory",
        energy_j=ask("nvmlDeviceGetTotalEnergyConsumption", gpu, then=lambda mj: mj * MILLI),
        utilization=ask("nvmlDeviceGetUtilizationRates", gpu, then=lambda rates: rates.gpu * 0.01),
        temperature_c=ask("nvmlDeviceGetTemperature", gpu, TEMPERATURE_GPU, then=float),
        clock_hz=ask("nvmlDeviceGetClockInfo", gpu, CLOCK_SM, then=lambda mhz: mhz * MEGA),
        max_clock_hz=ask("nvmlDeviceGetMaxClockInfo", gpu, CLOCK_SM, then=lambda mhz: mhz * MEGA),
        memory_used_bytes=ask("nvmlDeviceGetMemoryInfo", gpu, then=lambda memory: int(memory.used)),
        memory_total_bytes=ask("nvmlDeviceGetMemoryInfo", gpu, then=lambda memory: int(memory.total)),
        throttle=ask(reasons, gpu, then=throttle_words),
        processes=ask("nvmlDeviceGetComputeRunningProcesses", gpu, then=lambda rows: _processes(nvml, rows)),
    )


def throttle_words(bits: int) -> tuple[str, ...]:
    """Return what holds the clocks back, in words; an idle GPU is not held back."""
    known = [word for bit, word in REASONS.items() if bits & bit]
    unknown = bits & ~sum(REASONS) & ~IDLE
    return (*known, f"reason {unknown:#x}") if unknown else tuple(known)


def _text(found: str | bytes) -> str:
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _processes(nvml: Any, rows: Any) -> tuple[Process, ...]:
    found: list[Process] = []
    for row in rows:
        name = _ask(nvml.nvmlSystemGetProcessName, row.pid)
        # NVML has no memory of a process in some virtualised set-ups; never 0 for it.
        held = row.usedGpuMemory
        found.append(Process(row.pid, "" if isinstance(name, Missing) else _text(name), held))
    return tuple(found)
