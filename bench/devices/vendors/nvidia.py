"""NVIDIA GPUs through torch.cuda: events, CUDA graphs, 8-bit products of the tensor cores, NVML."""

from __future__ import annotations

from typing import Any

from bench.devices.accelerator import Accelerator
from bench.devices.detect import Present, Seen, torch_builds
from bench.devices.telemetry import nvml
from bench.devices.telemetry.reading import Reading
from bench.operators.interface import Step

NAMES = ("nvidia", "geforce", "tesla", "quadro")
# First compute capability with the 8-bit product: Turing for int8, Ada and Hopper for fp8 (torch._scaled_mm).
FIRST = {"int8": (7, 5), "fp8": (8, 9)}


class NvidiaAdapter(Accelerator):
    """One NVIDIA GPU."""

    adapter = "nvidia"
    vendor = "NVIDIA"
    family = "cuda"
    drivers = ("nvidiactl", "nvidia[0-9]*", "dxg")
    visible = "CUDA_VISIBLE_DEVICES"
    graph = "CUDAGraph"
    collectives = "nccl"
    advice = "compare `nvidia-smi` with CUDA_VISIBLE_DEVICES, and install a torch built for CUDA (pytorch.org)"

    @classmethod
    def claims(cls, seen: Seen, present: Present) -> bool:
        # AMD and Hygon answer as torch.cuda with a HIP runtime; MetaX and Iluvatar with a CUDA one and their own names.
        return "hip" not in seen.runtime and any(name in present.name.lower() for name in NAMES)

    @classmethod
    def problem(cls) -> str | None:
        if "hip" in torch_builds():
            return None  # a driver file of another vendor's card; this torch is not meant for it
        return super().problem()

    @property
    def dtypes(self) -> tuple[str, ...]:  # type: ignore[override]
        parts = (self.present.arch or "").split(".")
        level = tuple(int(part) for part in parts if part.isdigit())
        return (*Accelerator.dtypes, *(dtype for dtype, first in FIRST.items() if level >= first))

    def operators(self, step: Step, dtype: str, copies: int, layers: int | None) -> Any:
        from bench.devices.vendors.nvidia_operators import NvidiaOperators

        return self.make(NvidiaOperators, step, dtype, copies, layers)

    def read(self) -> Reading:
        # NVML counts in PCI order and shows hidden devices too: the UUID is the one name both know.
        return nvml.read(self.present.uuid or self.physical())
