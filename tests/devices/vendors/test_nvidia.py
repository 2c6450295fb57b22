"""NVIDIA's adapter: told from the others that answer as torch.cuda, its 8-bit dtypes by architecture, NVML by UUID."""

from __future__ import annotations

import pytest

from bench.devices.detect import Present, Seen
from bench.devices.telemetry.reading import Reading
from bench.devices.vendors import nvidia
from bench.devices.vendors.nvidia import NvidiaAdapter

DRIVER = ("nvidiactl",)


def claims(name, **runtime):
    return NvidiaAdapter.claims(Seen("cuda", "2.13.0", runtime), Present(0, name))


@pytest.mark.parametrize("name", ["NVIDIA H200", "NVIDIA GeForce RTX 4090", "Tesla V100-SXM2-16GB", "Quadro RTX 8000"])
def test_a_cuda_runtime_and_an_nvidia_name_are_nvidias(name):
    assert claims(name, cuda="12.8")


@pytest.mark.parametrize("name", ["BW1000", "AMD Instinct MI300X", "NVIDIA H200"])
def test_a_hip_runtime_is_never_nvidias(name):
    assert not claims(name, hip="6.3.42134")


@pytest.mark.parametrize("name", ["MetaX C500", "Iluvatar BI-V150", "Device 4000"])
def test_a_cuda_runtime_under_another_name_is_another_vendors(name):
    assert not claims(name, cuda="11.6")


@pytest.mark.parametrize(
    ("arch", "eight_bit"), [("7.0", ()), ("7.5", ("int8",)), ("8.0", ("int8",)), ("8.9", ("int8", "fp8")),
                            ("9.0", ("int8", "fp8")), ("12.0", ("int8", "fp8")), (None, ()), ("gfx936", ())],
)  # fmt: skip
def test_the_8_bit_dtypes_come_with_the_architecture(pretend, arch, eight_bit):
    pretend({"name": "NVIDIA X", "arch": arch}, drivers=DRIVER)
    assert NvidiaAdapter(0).dtypes == ("bf16", "fp16", "fp32", *eight_bit)


def test_a_driver_without_a_device_in_torch_is_told(pretend, monkeypatch):
    monkeypatch.setattr(nvidia, "torch_builds", dict)
    pretend(drivers=DRIVER)
    assert NvidiaAdapter.problem().startswith(
        "NVIDIA: a driver is here and torch shows no device; compare `nvidia-smi`"
    )
    pretend()
    assert NvidiaAdapter.problem() is None


def test_a_torch_for_hip_is_not_meant_for_nvidia(pretend, monkeypatch):
    monkeypatch.setattr(nvidia, "torch_builds", lambda: {"hip": "6.3"})
    pretend(drivers=DRIVER)
    assert NvidiaAdapter.problem() is None


def test_nvml_is_asked_by_the_name_that_both_know(pretend, monkeypatch):
    asked = []
    monkeypatch.setattr(nvidia.nvml, "read", lambda device: asked.append(device) or Reading())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    pretend({"uuid": "abc-1"}, drivers=DRIVER)
    NvidiaAdapter(0).read()
    pretend({}, drivers=DRIVER)
    NvidiaAdapter(0).read()
    assert asked == ["abc-1", 3]
