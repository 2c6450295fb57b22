"""Which machine a number is of: the facts that decide speed and that no change of software makes."""

from __future__ import annotations

import hashlib
import re

from bench.results.record import Environment

# What a device's facts may hold of this; a driver counts as part of the machine, an engine or a library does not.
DEVICE_FACTS = (
    "name", "cores", "extensions", "threads", "arch", "driver", "power limit", "highest clock", "clock limit", "turbo",
    "cpu quota",
)  # fmt: skip
MODELLED = "a modelled device"


def machine(environment: Environment, device: str) -> dict[str, str]:
    """Return fact -> value of the machine that `device` was measured in; of a modelled device only its name.

    Left out: the host's name (two of one kind are alike), the software, and what changes by the minute (load, heat).
    """
    told = environment.devices.get(device, {})
    if "modelled" in told:
        return {"device": f"{MODELLED}: {told.get('name', device)}"}
    facts = {key: told[key] for key in DEVICE_FACTS if told.get(key)}
    size = re.match(r"\d+(\.\d+)?", told.get("memory", ""))
    if size:
        # Firmware keeps some for itself, a little more or less of it.
        facts["memory"] = f"{round(float(size[0]))} GB"
    facts |= {"host cpu": environment.cpu, "host cores": str(environment.cores)}
    facts |= {"governor": environment.governor} if environment.governor else {}
    facts |= {"container": environment.container} if environment.container else {}
    return facts


def fingerprint(environment: Environment, device: str) -> str:
    """Return a short hash of `machine`: equal where numbers may be compared as one machine's."""
    text = "\n".join(f"{key}={value}" for key, value in sorted(machine(environment, device).items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
