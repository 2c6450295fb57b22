"""What torch sees of one family of devices; run in a process of its own, where a driver may hang, print or crash.

Usage: python -c "from bench.devices.probe import main; main()" FAMILY PLUGIN
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import Any

# Drivers print what they like on stdout; the answer is the line that begins so.
MARK = "bench-probe:"


def main() -> None:
    """Print one line of JSON: torch's version, the runtime's, the devices, or the error that came instead."""
    family, plugin = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    found: dict[str, Any] = {"family": family, "runtime": {}, "devices": []}
    try:
        _ask(found, family, plugin)
    except Exception as error:  # whatever a driver's start raises is the answer
        first = str(error).strip().split("\n")[0]
        found["error"] = f"{type(error).__name__}: {first}"
    print(MARK + json.dumps(found), flush=True)


def _ask(found: dict[str, Any], family: str, plugin: str) -> None:
    import torch

    found["torch"] = torch.__version__
    if plugin:
        module = importlib.import_module(plugin)
        found["runtime"][plugin] = str(getattr(module, "__version__", "unknown"))
    for runtime in ("cuda", "hip", "cann", "musa", "gcu"):
        version = getattr(torch.version, runtime, None)
        if version:
            found["runtime"][runtime] = str(version)
    api = getattr(torch, family)
    for index in range(api.device_count()):
        found["devices"].append(_device(api, index))


def _device(api: Any, index: int) -> dict[str, Any]:
    """Name and size of one device; what a plugin cannot tell stays out."""
    properties: Any = None
    with contextlib.suppress(Exception):
        properties = api.get_device_properties(index)
    named = getattr(api, "get_device_name", None)
    name = named(index) if named is not None else getattr(properties, "name", None)
    device: dict[str, Any] = {"index": index, "name": str(name or "a device without a name").strip()}
    for key, names in {
        "memory_bytes": ("total_memory",),
        "cores": ("cube_core_num", "multi_processor_count"),
        "cache_bytes": ("L2_cache_size",),
        "arch": ("gcnArchName",),
    }.items():
        for name in names:
            value = getattr(properties, name, None)
            if value:
                device.setdefault(key, value)
    if getattr(properties, "uuid", None):
        device["uuid"] = str(properties.uuid)
    if "arch" not in device and hasattr(properties, "major"):
        device["arch"] = f"{properties.major}.{properties.minor}"
    if "memory_bytes" not in device and hasattr(api, "mem_get_info"):
        device["memory_bytes"] = int(api.mem_get_info(index)[1])
    return device
