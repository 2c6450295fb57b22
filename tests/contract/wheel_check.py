"""Holds recorded Ascend calls against the released torch-npu wheel, without CANN and without a device.

The wheel is downloaded once into the user's cache, the CANN libraries that it asks for are replaced by empty stand-ins,
and a process of its own imports it and repeats the calls on meta tensors: argument names and types are bound by the real
schemas, shapes and types of the outputs come from the real meta kernels. No numbers come out of this.

    python tests/contract/wheel_check.py CALLS.jsonl      # a file that FAKE_RECORD wrote
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RELEASE = "2.13.0"
DOWNLOAD_S, COMPILE_S, REPLAY_S = 300, 120, 300
PYTHON_API = ("Py", "_Py")
# What importing the wheel calls; everything else is never reached.
ANSWERS = """
#include <stdint.h>
int aclrtGetDeviceCount(uint32_t *count) { *count = 0; return 0; }
int aclInit(const char *path) { return 0; }
const char *aclrtGetSocName(void) { return "Ascend910B3"; }
const char *aclGetRecentErrMsg(void) { return "a stand-in for CANN"; }
"""
ANSWERED = {"aclrtGetDeviceCount", "aclInit", "aclrtGetSocName", "aclGetRecentErrMsg"}


class Unavailable(Exception):
    """Why the wheel cannot be used here."""


@dataclass(frozen=True)
class Outcome:
    """One call: `ok` where names and outputs agree, `bound` where the wheel has no meta kernel for it, else `wrong`."""

    operator: str
    status: str
    problems: tuple[str, ...]


def cache_folder() -> Path:
    """Return the folder of this user where the wheel is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "accelbench" / f"torch-npu-{RELEASE}"


def check_calls(calls: Path) -> list[Outcome]:
    """Repeat recorded calls on the wheel's meta kernels."""
    return [Outcome(o["operator"], o["status"], tuple(o["problems"])) for o in _in_wheel("replay", str(calls))]


def wheel_schemas(names: list[str]) -> dict[str, list[str]]:
    """Return the schemas of operators as the wheel prints them."""
    found: dict[str, list[str]] = _in_wheel("schemas", json.dumps(names))
    return found


def _in_wheel(*arguments: str) -> Any:
    """Run `wheel_replay.py` beside this file with the real wheel, and return what it says."""
    site = wheel_site()
    stand_ins = _stand_ins(site)
    env = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")}
    env |= {"LD_LIBRARY_PATH": str(stand_ins), "PYTHONPATH": str(site), "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    script = Path(__file__).with_name("wheel_replay.py")
    done = subprocess.run(
        [sys.executable, script, *arguments], env=env, capture_output=True, text=True, timeout=REPLAY_S, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"torch-npu {RELEASE} cannot be imported here: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def wheel_site() -> Path:
    """Return the folder with the unpacked wheel; downloads it the first time.

    Raises: Unavailable, with the reason.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Unavailable(f"the wheel is for Linux on x86-64, not {platform.system()} on {platform.machine()}")
    for tool in ("gcc", "nm", "readelf"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is missing")
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        raise Unavailable("torch is missing") from None
    if torch_version.split("+")[0].split(".")[:2] != RELEASE.split(".")[:2]:
        raise Unavailable(f"torch-npu {RELEASE} needs the same torch, here is {torch_version}")
    site = cache_folder() / f"site-{sys.implementation.cache_tag}"
    if not site.exists():
        _download(site)
    return site


def _download(site: Path) -> None:
    """Fetch and unpack beside the place, then move there: an interrupted download leaves nothing behind."""
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent) as work:
        command = [sys.executable, "-m", "pip", "download", f"torch-npu=={RELEASE}", "--no-deps", "-d", work]
        command += ["--quiet", "--retries", "1", "--timeout", "30", "--disable-pip-version-check"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"downloading torch-npu {RELEASE} took more than {DOWNLOAD_S} s") from None
        wheels = list(Path(work).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise Unavailable(
                f"torch-npu {RELEASE} cannot be downloaded: {(done.stderr.strip() or 'no wheel').splitlines()[-1]}"
            )
        unpacked = Path(work) / "site"
        with zipfile.ZipFile(wheels[0]) as archive:
            archive.extractall(unpacked)
        _move(unpacked, site)


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.exists():  # else another process was faster
            raise


def _stand_ins(site: Path) -> Path:
    """Return the folder of stand-ins for the libraries that the wheel needs and that are not here."""
    place = site.with_name(f"{site.name}-stand-ins-torch-{version('torch')}")
    if place.exists():
        return place
    own = sorted(site.glob("torch_npu/**/*.so*")) + sorted(site.glob("torch_npu.libs/*.so*"))
    torchs = _torch_libraries()
    libraries = _needed(own) - {path.name for path in own + torchs} - _of_this_machine()
    wanted = _symbols("--undefined-only", own) - _symbols("--defined-only", own + torchs) - ANSWERED
    # Symbols with a version belong to libraries of the machine.
    names = sorted(s for s in wanted if "@" not in s and not s.startswith(PYTHON_API))
    with tempfile.TemporaryDirectory(dir=site.parent) as folder:
        work = Path(folder)
        (work / "answers.c").write_text(ANSWERS)
        (work / "nothing.c").write_text("")
        (work / "rest.S").write_text(_assembly(names))
        made = work / "made"
        made.mkdir()
        for library in sorted(libraries):
            sources = ["answers.c", "rest.S"] if library == "libascendcl.so" else ["nothing.c"]
            command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", made / library, *sources]
            done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=COMPILE_S, check=False)
            if done.returncode != 0:
                raise Unavailable(f"gcc cannot make a stand-in for {library}: {done.stderr.strip().splitlines()[-1:]}")
        _move(made, place)
    return place


def _assembly(names: list[str]) -> str:
    labels = "".join(f".globl {name}\n.type {name},@function\n{name}:\n" for name in names)
    return f'.text\n{labels} xorl %eax, %eax\n ret\n.section .note.GNU-stack,"",@progbits\n'


def _torch_libraries() -> list[Path]:
    from importlib.util import find_spec

    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return sorted((Path(spec.origin).parent / "lib").glob("*.so*"))


def _symbols(which: str, libraries: list[Path]) -> set[str]:
    """Names of dynamic symbols; those wanted weakly are left out."""
    found: set[str] = set()
    for library in libraries:
        text = subprocess.run(["nm", "-D", which, library], capture_output=True, text=True, check=False).stdout
        for line in text.splitlines():
            fields = line.split()
            if len(fields) >= 2 and fields[-2] not in ("w", "v"):
                found.add(fields[-1])
    return found


def _needed(libraries: list[Path]) -> set[str]:
    """File names that libraries ask the loader for."""
    found: set[str] = set()
    for library in libraries:
        text = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=False).stdout
        found |= {line.split("[")[1].rstrip("]") for line in text.splitlines() if "(NEEDED)" in line}
    return found


def _of_this_machine() -> set[str]:
    """File names of libraries that the loader knows."""
    tool = shutil.which("ldconfig") or "/sbin/ldconfig"
    text = subprocess.run([tool, "-p"], capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in text.splitlines() if "=>" in line}


def main(calls: str) -> int:
    """Print what is wrong with a recorded file; 1 if anything is."""
    outcomes = check_calls(Path(calls))
    for outcome in outcomes:
        print(f"{outcome.status:5} {outcome.operator}", *outcome.problems, sep="  ")
    return 1 if any(outcome.status == "wrong" for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
