"""Hygon DCUs: a HIP build of torch (DTK) that answers as torch.cuda, told from AMD's by name or by hy-smi."""

from __future__ import annotations

from bench.devices.accelerator import Accelerator
from bench.devices.detect import Present, Seen, torch_builds
from bench.devices.sheet import match_sheet
from bench.devices.telemetry import hy_smi
from bench.devices.telemetry.reading import Reading


class HygonAdapter(Accelerator):
    """One Hygon DCU. Its kernels are those that torch's HIP build brings; 8-bit products are not known to be there."""

    adapter = "hygon"
    vendor = "Hygon"
    family = "cuda"
    drivers = ("kfd",)
    visible = "HIP_VISIBLE_DEVICES"
    graph = "CUDAGraph"
    collectives = "nccl (RCCL)"
    advice = "load the DTK environment (source /opt/dtk/env.sh) and compare with hy-smi"

    @classmethod
    def claims(cls, seen: Seen, present: Present) -> bool:
        named = match_sheet(cls.adapter, present.name, None, None)[0] is not None
        return "hip" in seen.runtime and (named or hy_smi.TOOL.find() is not None)

    @classmethod
    def problem(cls) -> str | None:
        # /dev/kfd is AMD's as well: without the vendor's tool nothing says that a Hygon card is here.
        if hy_smi.TOOL.find() is None:
            return None
        if "hip" not in torch_builds():
            return f"{cls.vendor}: hy-smi is here, the installed torch is not the vendor's HIP build; {cls.advice}"
        return super().problem()

    def read(self) -> Reading:
        return hy_smi.read(self.physical(), self.present.memory_bytes)
