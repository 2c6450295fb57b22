"""How a test runs code on a fake device: a process of its own, with the vendor's fake plugin where Python looks first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
TOOLS = HERE / "tools"

# Package -> torch's device type.
VENDORS = {"torch_npu": "npu", "torch_musa": "musa", "torch_gcu": "gcu", "torch_txda": "txda", "fake_gpu": "fakegpu"}


def environment(
    package: str, folder: Path, *, tools: bool = False, installed: bool = False, **faults: object
) -> dict[str, str]:
    """The environment of a machine with one vendor's plugin (and its command-line tools); faults: FAKE_* variables.

    folder: an empty one, which gets links to the plugin, so that no other vendor's can be found.
    installed: with the metadata of a distribution, so that `import torch` loads torch_npu by itself, as it really does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (package, "fake_accelerator"):
        link = folder / name
        if not link.exists():
            link.symlink_to(PLUGINS / name, target_is_directory=True)
    if installed:
        about = folder / f"{package}-2.13.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 2.13.0\n")
        (about / "entry_points.txt").write_text(f"[torch.backends]\n{package} = {package}:_autoload\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")}
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    if tools:
        kept["PATH"] = f"{TOOLS}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **{key: str(value) for key, value in faults.items()}}


def run_script(name: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder in a process of its own."""
    command = [sys.executable, HERE / name, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def run_here(code: str, env: dict[str, str], timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=timeout_s, check=False
    )
