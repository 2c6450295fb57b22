"""How a test runs code on a fake device: a process of its own, with the vendor's fake plugin where Python looks first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
AUTOLOAD = HERE / "autoload"
TOOLS = HERE / "tools"

# Package -> torch's device type.
VENDORS = {"torch_npu": "npu", "torch_musa": "musa", "torch_gcu": "gcu", "torch_txda": "txda", "fake_gpu": "fakegpu"}


def environment(package: str, folder: Path, *, tools: bool = False, **faults: object) -> dict[str, str]:
    """The environment of a machine with one vendor's plugin (and its command-line tools); faults: FAKE_* variables.

    folder: an empty one, which gets links to the plugin, so that no other vendor's can be found.
    """
    for name in (package, "fake_accelerator"):
        link = folder / name
        if not link.exists():
            link.symlink_to(PLUGINS / name, target_is_directory=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")}
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    if tools:
        kept["PATH"] = f"{TOOLS}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **{key: str(value) for key, value in faults.items()}}


def run_here(code: str, env: dict[str, str], timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=timeout_s, check=False
    )
