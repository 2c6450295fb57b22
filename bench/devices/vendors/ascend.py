"""Huawei Ascend NPUs through torch_npu: NPU events and graphs, fused operators, npu-smi or DCMI."""

from __future__ import annotations

from typing import Any

from bench.devices.accelerator import Accelerator
from bench.devices.telemetry import dcmi
from bench.devices.telemetry.reading import Reading
from bench.operators.interface import Step

TOOLKIT = "source /usr/local/Ascend/ascend-toolkit/set_env.sh"


class AscendAdapter(Accelerator):
    """One Ascend device: a whole 910B, one die of a 910C. The chip's SoC name is what torch calls the device."""

    adapter = "ascend"
    vendor = "Huawei"
    family = "npu"
    plugin = "torch_npu"
    drivers = ("davinci[0-9]*", "davinci_manager")
    visible = "ASCEND_RT_VISIBLE_DEVICES"
    graph = "NPUGraph"
    collectives = "hccl"
    # fp32 products run on the vector units or as HF32: not what a sheet's fp32 peak means, but they run.
    dtypes = ("bf16", "fp16", "fp32", "int8")
    advice = f"load CANN ({TOOLKIT}), install the torch_npu of this torch's version, and compare with npu-smi info"

    def operators(self, step: Step, dtype: str, copies: int, layers: int | None) -> Any:
        from bench.devices.vendors.ascend_latent import AscendLatentOperators

        return self.make(AscendLatentOperators, step, dtype, copies, layers)

    def read(self) -> Reading:
        return dcmi.ascend(self.physical())
