"""What a formula is: numbers and dimensions in, the seconds of a kernel's parts out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.operators.kernel import Dim
from bench.units import GIGA

Numbers = dict[str, float]
Dims = dict[str, Dim]
# Least, usual and most of each number are for the fit: (usual, least, most).
Bounds = dict[str, tuple[float, float, float]]
Price = Callable[[Numbers, Dims, "Peaks", float], "Parts"]

MICRO = 1e-6
# Where no deployment states its network: one 400 Gbit/s card a device.
USUAL_NETWORK_GB_PER_S = 50.0
# Where a sheet gives no cache.
USUAL_CACHE_MB = 40.0
# Clock at which fitted launch times are told (an H100's); a device with a slower one takes longer in proportion.
USUAL_CLOCK_HZ = 1.83e9


@dataclass(frozen=True)
class Peaks:
    """What a kernel runs against: FLOP/s of its dtype, bytes/s, cache, links, clock."""

    flops: float
    bytes_per_s: float
    cache_bytes: float
    link_bytes_per_s: float = 0.0
    domain: float | None = None
    network_bytes_per_s: float = USUAL_NETWORK_GB_PER_S * GIGA
    clock_hz: float = USUAL_CLOCK_HZ

    def launch(self, usual_us: Dim) -> Dim:
        """Seconds of what takes this many microseconds at the usual clock: starting and waiting are cycles."""
        return usual_us * MICRO * (USUAL_CLOCK_HZ / self.clock_hz)


@dataclass(frozen=True)
class Parts:
    """Seconds of a kernel's parts, each as if alone, and of the whole."""

    seconds: Dim
    compute: Dim = 0.0
    memory: Dim = 0.0
    link: Dim = 0.0
    launch: Dim = 0.0


@dataclass(frozen=True)
class Form:
    """A formula with its numbers (start, least, most for the fit) and the features its residuals may depend on."""

    name: str
    numbers: Bounds
    price: Price
    features: Callable[[Dims], list[Dim]]
    matrix: bool = True
    # Further beginnings of a fit, for a formula with a kink where one beginning ends in the nearest hollow.
    starts: tuple[Numbers, ...] = ()


def logs(*names: str) -> Callable[[Dims], list[Dim]]:
    """Return the features that are the logarithms of these dimensions."""
    return lambda d: [np.log(np.asarray(d[name], dtype=np.float64)) for name in names]
