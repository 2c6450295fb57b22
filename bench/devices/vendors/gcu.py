"""Enflame GCUs through torch_gcu."""

from __future__ import annotations

from bench.devices.accelerator import Accelerator
from bench.devices.telemetry import efsmi
from bench.devices.telemetry.reading import Reading


class GcuAdapter(Accelerator):
    """One Enflame GCU."""

    adapter = "gcu"
    vendor = "Enflame"
    family = "gcu"
    plugin = "torch_gcu"
    drivers = ("gcu*",)
    visible = "TOPS_VISIBLE_DEVICES"
    graph = "GCUGraph"
    collectives = "eccl"
    advice = "compare with efsmi; the TopsRider runtime must be installed and visible (TOPS_VISIBLE_DEVICES)"

    def read(self) -> Reading:
        return efsmi.read(self.physical())
