"""What all fake vendor tools share: how many devices, their figures, and how a tool misbehaves.

Environment:
    FAKE_TOOL=hang|fail|garbage   never answers | exits with the vendor's complaint | prints what is no table
    FAKE_DEVICES=N                how many devices (1), as the fake plugins read it
    FAKE_DEVICE_NAME=TEXT         their name
    FAKE_POWER_W, FAKE_TEMPERATURE_C, FAKE_UTILIZATION_PCT, FAKE_MEMORY_USED_MIB    what is shown of each
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

NOISE = b"\x00\xff\x1b[31m| 0     ??? | \xe6\x98\xaf | nan /\n" * 40


class Shown:
    """Figures of every device."""

    def __init__(self, name: str, power_w: float) -> None:
        env = os.environ
        self.count = 0 if env.get("FAKE_NO_DEVICE") == "1" else int(env.get("FAKE_DEVICES", "1"))
        self.name = env.get("FAKE_DEVICE_NAME", name)
        self.power_w = float(env.get("FAKE_POWER_W", power_w))
        self.temperature_c = int(env.get("FAKE_TEMPERATURE_C", "43"))
        self.utilization_pct = int(env.get("FAKE_UTILIZATION_PCT", "87"))
        self.used_mib = int(env.get("FAKE_MEMORY_USED_MIB", "3318"))


def serve(complaint: str, answer: Callable[[list[str]], str | None]) -> int:
    """Print the answer to the command line; None is answered as an unknown option is. Returns the exit status."""
    mode = os.environ.get("FAKE_TOOL")
    if mode == "hang":
        time.sleep(3600)
    if mode == "fail":
        print(complaint, file=sys.stderr)
        return 1
    if mode == "garbage":
        sys.stdout.buffer.write(NOISE)
        return 0
    text = answer(sys.argv[1:])
    if text is None:
        print(f"{sys.argv[0]}: invalid option: {' '.join(sys.argv[1:])}", file=sys.stderr)
        return 2
    sys.stdout.write(text)
    return 0
