"""DCMI through a small library that is compiled here and called as the real one is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.devices.telemetry import dcmi

MIB = 2**20


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here to build the library with")
    path = tmp_path_factory.mktemp("dcmi") / "libdcmi.so"
    source = Path(__file__).with_name("fake_dcmi.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, source], check=True, capture_output=True)
    return str(path)


@pytest.fixture(autouse=True)
def _fresh():
    dcmi.library.cache_clear()
    yield
    dcmi.library.cache_clear()


def test_figures_of_a_chip_in_si_units(library):
    reading = dcmi.read(0, library)
    assert (reading.source, reading.device, reading.name, reading.driver) == ("DCMI", "0/0", "910B3", "25.5.1")
    assert (reading.power_w, reading.power_basis) == (pytest.approx(162.4), "NPU")
    assert (reading.temperature_c, reading.clock_hz, reading.max_clock_hz) == (41.0, 1650e6, 1800e6)
    assert (reading.memory_used_bytes, reading.memory_total_bytes) == (3318 * MIB, 65536 * MIB)
    assert (reading.utilization, reading.health) == (0.0, "OK")
    assert [(one.pid, one.memory_bytes) for one in reading.processes] == [(1, MIB)]
    assert reading.missing["energy_j"] == "DCMI does not show it"


def test_chips_are_counted_over_the_cards(library):
    reading = dcmi.read(2, library)
    assert (reading.device, reading.health, reading.utilization) == ("3/1", "Warning", pytest.approx(0.93))
    assert reading.power_w == pytest.approx(192.5)
    assert reading.power_basis == "as DCMI tells it for one of 2 chips of a card"


@pytest.mark.parametrize("index", [3, -1])
def test_a_position_without_a_chip_is_told(library, index):
    assert dcmi.read(index, library).missing["power_w"] == f"DCMI shows 3 NPUs, none at position {index}"


def test_an_unsupported_figure_is_missing_and_the_others_are_there(library, monkeypatch):
    monkeypatch.setenv("FAKE_DCMI", "power")
    reading = dcmi.read(0, library)
    assert (reading.power_w, reading.missing["power_w"]) == (None, "DCMI answers -8255 (unsupported)")
    assert reading.temperature_c == 41.0


def test_memory_that_is_not_told_is_missing_and_not_zero(library, monkeypatch):
    monkeypatch.setenv("FAKE_DCMI", "hbm")
    reading = dcmi.read(0, library)
    assert (reading.memory_used_bytes, reading.memory_total_bytes) == (None, None)


def test_health_that_is_not_defined_is_missing(library, monkeypatch):
    monkeypatch.setenv("FAKE_DCMI", "health")
    assert dcmi.read(0, library).missing["health"] == "DCMI shows health 0xffffffff, which it does not define"


def test_where_aicore_is_not_told_the_npus_utilization_is(library, monkeypatch):
    monkeypatch.setenv("FAKE_DCMI", "aicore")
    assert dcmi.read(0, library).utilization == pytest.approx(0.77)


def test_zero_while_the_profiler_is_on_is_no_utilization(library):
    reading = dcmi.read(0, library, profiling=True)
    assert reading.utilization is None
    assert reading.missing["utilization"] == "DCMI reads 0 while the vendor's profiler is on"
    assert dcmi.read(1, library, profiling=True).utilization == pytest.approx(0.92)


@pytest.mark.parametrize(
    ("call", "reason"),
    [("init", "DCMI answers -8005 to dcmi_init"), ("cards", "DCMI answers -8005 to dcmi_get_card_list")],
)
def test_a_library_that_does_not_start_is_told(library, monkeypatch, call, reason):
    monkeypatch.setenv("FAKE_DCMI", call)
    assert dcmi.read(0, library).missing["power_w"] == reason


def test_a_library_without_a_call_is_told(tmp_path, library):
    path = tmp_path / "libempty.so"
    (tmp_path / "empty.c").write_text("int dcmi_init(void) { return 0; }\n")
    subprocess.run(
        [shutil.which("gcc") or "cc", "-shared", "-fPIC", "-o", path, tmp_path / "empty.c"],
        check=True,
        capture_output=True,
    )
    reason = dcmi.read(0, str(path)).missing["power_w"]
    assert reason == "DCMI has no dcmi_get_card_list in this version"


def test_no_library_is_told(tmp_path):
    path = str(tmp_path / "libdcmi.so")
    assert dcmi.read(0, path).missing["power_w"] == f"DCMI is not installed (no {path})"


def test_a_file_that_is_no_library_is_told(tmp_path):
    path = tmp_path / "libdcmi.so"
    path.write_bytes(b"rubbish")
    assert dcmi.read(0, str(path)).missing["power_w"] == f"DCMI is not installed (no {path})"


def test_ascend_prefers_dcmi(library, install):
    install("npu-smi", "exit 1")
    assert dcmi.ascend(0, library).source == "DCMI"


def test_ascend_falls_back_to_npu_smi_and_says_so(recorded, install, tmp_path):
    (tmp_path / "table").write_text(recorded("npu_smi/a2.txt"))
    install("npu-smi", f"cat {tmp_path}/table")
    reading = dcmi.ascend(0, "/nowhere/libdcmi.so")
    assert reading.source == "npu-smi"
    assert (reading.power_w, reading.utilization) == (101.8, 0.0)
    profiled = dcmi.ascend(0, "/nowhere/libdcmi.so", profiling=True)
    assert profiled.missing["utilization"] == "npu-smi reads 0 while the vendor's profiler is on"


def test_ascend_without_both_says_why(install):
    reading = dcmi.ascend(0, "/nowhere/libdcmi.so")
    assert reading.missing["power_w"].startswith("npu-smi is not on PATH nor in /usr/local/bin, /usr/local/sbin")
