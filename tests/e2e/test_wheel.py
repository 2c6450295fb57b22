"""The wheel, installed where there is neither a repository nor torch: everything but measuring works."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UNREACHABLE = ("NewConnectionError", "Temporary failure in name resolution", "Network is unreachable")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository as it is now."""
    return _built(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function that runs the installed command of a fresh environment from an empty folder."""
    home = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    _pip("--python", str(home / "venv" / "bin" / "python"), "install", str(wheel))
    empty = tmp_path_factory.mktemp("empty")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV", "BENCH_RESULTS")}

    def run(*words: str) -> Any:
        return subprocess.run(
            [home / "venv" / "bin" / "bench", *words], cwd=empty, env=env, capture_output=True, text=True, check=False
        )

    return run


def _built(source: Path, folder: Path) -> Path:
    isolated = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    _pip("wheel", "--no-deps", *isolated, "-w", str(folder), str(source))
    (path,) = folder.glob("*.whl")
    return path


def _pip(*words: str) -> None:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-m", "pip", *words], env=env, capture_output=True, text=True, check=False)
    if any(text in done.stderr for text in UNREACHABLE):
        pytest.skip("no package registry can be reached from here")
    assert done.returncode == 0, done.stderr


def test_the_wheel_ships_the_package_and_its_definitions_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"bench", "accelbench"}
    for wanted in (
        "bench/results/store.py", "bench/_shelf/workloads/gemm.toml", "bench/_shelf/workloads/models/deepseek-r1.toml",
        "bench/_shelf/workloads/README.md", "bench/_shelf/devices/huawei/ascend-910c.toml",
        "bench/_shelf/devices/calibrations/generic/average.toml",
    ):  # fmt: skip
        assert wanted in names


def test_the_wheel_does_not_ship_the_calibration_of_the_machine_it_was_built_on(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("bench", "workloads", "devices", "results/reference"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source)
    (source / "devices" / "calibrations" / "cpu").mkdir(exist_ok=True)
    (source / "devices" / "calibrations" / "cpu" / "0123456789ab.toml").write_text('device = "cpu"')
    names = zipfile.ZipFile(_built(source, tmp_path / "wheel")).namelist()
    assert "bench/_shelf/devices/calibrations/generic/average.toml" in names
    assert not [name for name in names if "/calibrations/here/" in name]


def test_devices_workloads_and_comparisons_work_without_torch_and_without_a_repository(
    installed: Callable[..., Any],
) -> None:
    devices = installed("devices")
    assert (devices.returncode, devices.stderr) == (0, "")
    assert "ascend-910c" in devices.stdout
    workloads = installed("workloads")
    assert (workloads.returncode, workloads.stderr) == (0, "")
    assert "suite smoke:" in workloads.stdout
    compared = installed("compare", "ascend-910c", "h100-sxm")
    assert (compared.returncode, compared.stderr) == (0, "")
    assert "estimated: " in compared.stdout
    assert installed("run", "gemm", "-d", "h100-sxm").returncode == 0


def test_measuring_without_torch_is_one_line_that_says_how_to_get_it(installed: Callable[..., Any]) -> None:
    for words in (("run", "rms-norm"), ("calibrate",)):
        done = installed(*words)
        assert done.returncode in (2, 3)
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert "torch is not installed, and measuring needs it: pip install 'accelbench[torch]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_where_other_devices_are_modelled_a_missing_torch_is_a_row(installed: Callable[..., Any]) -> None:
    done = installed("run", "rms-norm", "-d", "cpu", "-d", "h100-sxm", "--format", "csv")
    assert done.returncode == 4
    assert done.stdout.count("torch is not installed, and measuring needs it") == 3
    assert done.stdout.count(",modelled,") == 3
    assert "Traceback" not in done.stderr


def test_the_doctor_says_that_torch_is_missing(installed: Callable[..., Any]) -> None:
    done = installed("doctor")
    assert done.returncode == 0
    assert "not installed" in done.stdout
    assert "pip install 'accelbench[torch]'" in done.stdout
