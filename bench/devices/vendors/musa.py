"""Moore Threads GPUs through torch_musa."""

from __future__ import annotations

from bench.devices.accelerator import Accelerator
from bench.devices.telemetry import mthreads_gmi
from bench.devices.telemetry.reading import Reading


class MusaAdapter(Accelerator):
    """One Moore Threads GPU. Graphs need architecture 22 or later; a capture that fails leaves the step eager."""

    adapter = "musa"
    vendor = "Moore Threads"
    family = "musa"
    plugin = "torch_musa"
    drivers = ("mtgpu*", "mtgpu.*")
    visible = "MUSA_VISIBLE_DEVICES"
    graph = "MUSAGraph"
    collectives = "mccl"
    advice = "compare with mthreads-gmi; the MUSA toolkit must be on LD_LIBRARY_PATH (/usr/local/musa/lib)"

    def read(self) -> Reading:
        return mthreads_gmi.read(self.physical())
