"""A device before it is measured: its facts, what it says of itself while idle, and who else uses it."""

from __future__ import annotations

import os

from bench.devices.adapter import open_device
from bench.errors import DeviceError, listed
from bench.units import data_size


def device_facts(device: str, *, allow_busy: bool, allowing: str = "--allow-busy") -> tuple[dict[str, str], str]:
    """Return a device's facts with what it says of itself while idle, and who else uses it ("" for nobody).

    allowing: the option that allows others, for the message.
    Raises: DeviceError when others use it and that is not allowed.
    """
    adapter = open_device(device)
    facts, told = dict(adapter.facts()), adapter.read()
    if told.power_w is not None:
        facts["idle power"] = f"{told.power_w:.1f} W ({told.power_basis or told.source})"
    if told.driver is not None:
        facts["driver"] = told.driver
    if told.power_limit_w is not None:
        facts["power limit"] = f"{told.power_limit_w:.0f} W"
    if told.max_clock_hz is not None:
        facts["highest clock"] = f"{told.max_clock_hz / 1e6:.0f} MHz"
    others = [p for p in told.processes or () if p.pid != os.getpid()]
    if not others:
        return facts, ""
    busy = listed(
        " ".join(f"pid {p.pid} {p.name} ({data_size(p.memory_bytes) if p.memory_bytes else 'memory not told'})".split())
        for p in others
    )
    if not allow_busy:
        raise DeviceError(f"{device} is in use by {busy}; stop it, or run with {allowing}, which marks every row")
    return facts, busy
