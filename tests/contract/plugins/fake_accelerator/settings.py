"""What distinguishes one vendor's plugin from another, and the faults that the environment asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

DEFAULT_MEMORY_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Vendor:
    """One vendor's plugin.

    device: torch's device type. label: how its error messages call it. name: of the device. package: import name.
    graph: class name of its graphs, or None. memory: whether it tells what memory is in use. lost: message of a lost
    device. properties: of get_device_properties beside name and total_memory. lacks: further functions that it does not have.
    """

    device: str
    label: str
    name: str
    package: str
    missing_library: str
    lost: str
    graph: str | None = None
    memory: bool = True
    properties: dict[str, Any] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()


class Settings:
    """The environment, read when the plugin is imported."""

    def __init__(self) -> None:
        env = os.environ
        self.devices = 0 if env.get("FAKE_NO_DEVICE") == "1" else int(env.get("FAKE_DEVICES", "1"))
        self.name = env.get("FAKE_DEVICE_NAME")
        self.memory_bytes = int(env.get("FAKE_MEMORY_BYTES", DEFAULT_MEMORY_BYTES))
        self.cache_bytes = int(env["FAKE_CACHE_BYTES"]) if "FAKE_CACHE_BYTES" in env else None
        self.op_seconds = float(env["FAKE_OP_SECONDS"]) if "FAKE_OP_SECONDS" in env else None
        self.clock = env.get("FAKE_CLOCK", "honest")
        self.lost_after = int(env["FAKE_LOST_AFTER"]) if "FAKE_LOST_AFTER" in env else None
        self.missing = frozenset(filter(None, env.get("FAKE_MISSING_OP", "").split(",")))
        self.missing_api = frozenset(filter(None, env.get("FAKE_MISSING_API", "").split(",")))
        self.record = env.get("FAKE_RECORD")
        if self.clock not in ("honest", "lies", "stuck", "unsynchronized"):
            raise ValueError(f"FAKE_CLOCK={self.clock}: lies, stuck or unsynchronized")
