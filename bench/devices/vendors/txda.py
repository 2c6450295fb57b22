"""Tsingmicro reconfigurable accelerators through torch_txda."""

from __future__ import annotations

from bench.devices.accelerator import Accelerator
from bench.devices.telemetry import tsm_smi
from bench.devices.telemetry.reading import Reading


class TxdaAdapter(Accelerator):
    """One Tsingmicro device. No graph class is known in its plugin: every launch is eager, and rows say so."""

    adapter = "txda"
    vendor = "Tsingmicro"
    family = "txda"
    plugin = "torch_txda"
    drivers = ("tsm*",)
    visible = "TXDA_VISIBLE_DEVICES"
    collectives = "tccl"
    advice = "compare with tsm_smi; torch_txda and txops must match the driver"

    def read(self) -> Reading:
        return tsm_smi.read(self.physical())
