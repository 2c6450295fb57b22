"""NVML through a pynvml of our own: no driver is needed, and none is asked."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from bench.devices.telemetry import nvml
from bench.devices.telemetry.reading import Process

GIB = 2**30


class NVMLError(Exception):
    """As pynvml raises it."""


def refuse(*_):
    raise NVMLError("Not Supported")


def module(**changes):
    """Return a pynvml of one H100 under load, with functions changed as named; None takes one away."""
    functions = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: f"gpu{index}" if index == 0 else refuse(),
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid if uuid == "GPU-5af8" else refuse(),
        "nvmlDeviceGetName": lambda gpu: "NVIDIA H100 80GB HBM3",
        "nvmlSystemGetDriverVersion": lambda: b"570.86.15",
        "nvmlDeviceGetPowerUsage": lambda gpu: 612345,
        "nvmlDeviceGetEnforcedPowerLimit": lambda gpu: 700000,
        "nvmlDeviceGetTotalEnergyConsumption": lambda gpu: 123456789,
        "nvmlDeviceGetUtilizationRates": lambda gpu: SimpleNamespace(gpu=97, memory=40),
        "nvmlDeviceGetTemperature": lambda gpu, sensor: 64,
        "nvmlDeviceGetClockInfo": lambda gpu, clock: 1755 if clock == 1 else 2619,
        "nvmlDeviceGetMaxClockInfo": lambda gpu, clock: 1980 if clock == 1 else 2619,
        "nvmlDeviceGetMemoryInfo": lambda gpu: SimpleNamespace(used=3 * GIB, total=80 * GIB),
        "nvmlDeviceGetCurrentClocksEventReasons": lambda gpu: 0x44,
        "nvmlDeviceGetComputeRunningProcesses": lambda gpu: [SimpleNamespace(pid=7, usedGpuMemory=2 * GIB)],
        "nvmlSystemGetProcessName": lambda pid: b"python",
    } | changes
    return SimpleNamespace(**{name: call for name, call in functions.items() if call is not None})


def test_figures_in_si_units():
    reading = nvml.read(0, module())
    assert (reading.source, reading.name, reading.driver) == ("NVML", "NVIDIA H100 80GB HBM3", "570.86.15")
    assert (reading.power_w, reading.power_limit_w) == (pytest.approx(612.345), 700.0)
    assert (reading.energy_j, reading.utilization) == (pytest.approx(123456.789), pytest.approx(0.97))
    assert (reading.temperature_c, reading.clock_hz, reading.max_clock_hz) == (64.0, 1755e6, 1980e6)
    assert (reading.memory_used_bytes, reading.memory_total_bytes) == (3 * GIB, 80 * GIB)
    assert reading.throttle == ("power cap", "thermal slowdown by the hardware")
    assert reading.processes == (Process(7, "python", 2 * GIB),)


def test_one_call_that_is_refused_costs_one_figure():
    reading = nvml.read(0, module(nvmlDeviceGetTotalEnergyConsumption=refuse))
    assert (reading.energy_j, reading.missing["energy_j"]) == (None, "NVML answers 'Not Supported'")
    assert reading.power_w == pytest.approx(612.345)


@pytest.mark.parametrize(
    "name", sorted(set(vars(module())) - {"nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByUUID"})
)
def test_no_call_is_needed(name):
    assert nvml.read(0, module(**{name: refuse})).temperature_c == (
        None if name == "nvmlDeviceGetTemperature" else 64.0
    )
    without = nvml.read(0, module(**{name: None}))
    assert without.device == "0"


def test_a_gpu_is_found_by_its_uuid_with_and_without_prefix():
    assert nvml.read("GPU-5af8", module()).power_w == nvml.read("5af8", module()).power_w == pytest.approx(612.345)


def test_a_gpu_that_is_not_there_is_told():
    assert nvml.read(1, module()).missing["power_w"] == "NVML answers 'Not Supported'"


def test_older_bindings_call_the_reasons_throttle_reasons():
    old = module(
        nvmlDeviceGetCurrentClocksEventReasons=None, nvmlDeviceGetCurrentClocksThrottleReasons=lambda gpu: 0x20
    )
    assert nvml.read(0, old).throttle == ("thermal slowdown by the driver",)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, ()),
        (0x1, ()),
        (0x4, ("power cap",)),
        (0x88, ("hardware slowdown", "power brake by the hardware")),
        (0x401, ("reason 0x400",)),
    ],
)
def test_reasons_in_words(bits, words):
    assert nvml.throttle_words(bits) == words


def test_memory_of_a_process_that_is_not_told_is_none():
    rows = [SimpleNamespace(pid=7, usedGpuMemory=None)]
    processes = nvml.read(0, module(nvmlDeviceGetComputeRunningProcesses=lambda gpu: rows)).processes
    assert processes == (Process(7, "python", None),)


def test_a_name_that_is_not_told_is_empty():
    assert nvml.read(0, module(nvmlSystemGetProcessName=refuse)).processes == (Process(7, "", 2 * GIB),)


def test_a_driver_that_is_not_there_is_told():
    def absent():
        raise NVMLError("NVML Shared Library Not Found")

    assert nvml.read(0, module(nvmlInit=absent)).missing["power_w"] == (
        "NVML cannot be asked: NVML Shared Library Not Found"
    )


def test_without_bindings_everything_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    nvml._load.cache_clear()
    reading = nvml.read()
    nvml._load.cache_clear()
    assert set(reading.missing.values()) == {
        "NVML cannot be asked: Python has no pynvml (pip install nvidia-ml-py)",
    }


def test_bindings_are_found_when_they_are_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", module())
    nvml._load.cache_clear()
    reading = nvml.read()
    nvml._load.cache_clear()
    assert reading.clock_hz == 1755e6
