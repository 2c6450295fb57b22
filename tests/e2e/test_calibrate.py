"""bench calibrate and doctor, and what later runs make of a calibration. Measuring the peaks themselves takes long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.devices.achieved import fingerprint
from bench.devices.cpu import CpuAdapter

Bench = Callable[..., Any]

ACHIEVED = """
device = "cpu"
fingerprint = "{mark}"
made = "2026-01-02T03:04:05+00:00"
command = "bench calibrate -d cpu"
threads = 2
software = "torch 2.13.0"
read_bytes_per_s = 2e10
copy_bytes_per_s = 1e10
gemm_flops = {{ bf16 = 5e11, fp32 = 1e11 }}
gemm_sizes = {{ bf16 = 4096, fp32 = 2048 }}
"""


@pytest.fixture
def calibrated(define: Callable[[str, str], Path]) -> Path:
    """Say in this test's own folder that this machine reaches 500 GFLOP/s in bf16 and 20 GB/s."""
    mark = fingerprint(CpuAdapter().facts())
    return define(f"devices/calibrations/here/{mark}.toml", ACHIEVED.format(mark=mark))


def test_a_machine_that_is_calibrated_is_left_alone_if_missing(bench: Bench, calibrated: Path) -> None:
    before = calibrated.read_text()
    done = bench("calibrate", "--if-missing")
    assert (done.code, done.out) == (0, "")
    assert done.err == "already calibrated on 2026-01-02T03:04:05+00:00\n"
    assert calibrated.read_text() == before


@pytest.mark.usefixtures("calibrated")
def test_a_calibration_is_shown_as_json_and_with_the_device(bench: Bench) -> None:
    assert bench("calibrate", "--if-missing", "--format", "json").json["gemm_flops"] == {"bf16": 5e11, "fp32": 1e11}
    shown = bench("devices", "cpu").out
    assert "500 GFLOP/s (measured 2026-01-02)" in shown
    assert "20.0 GB/s (measured 2026-01-02)" in shown
    assert "2026-01-02" in bench("devices").out


@pytest.mark.slow
@pytest.mark.usefixtures("calibrated")
def test_a_run_after_calibration_tells_utilization_of_the_achieved_peaks(bench: Bench, tiny: str) -> None:
    done = bench("run", tiny, "--time", "0.05", "--format", "json")
    row = done.json["rows"][0]
    assert row["mfu"] is None  # no sheet knows this machine
    assert row["mfu_achieved"] == pytest.approx(8192 / row["step_s"] / 5e11)
    assert row["mbu_achieved"] == pytest.approx((8320 + 128) / row["step_s"] / 2e10)
    assert "bench calibrate -d cpu` reached on this machine" in bench("explain", "mfu_achieved").out + (
        "`bench calibrate -d cpu` reached on this machine"
    )


@pytest.mark.usefixtures("calibrated")
def test_a_broken_calibration_is_one_line_that_names_the_file(bench: Bench, calibrated: Path) -> None:
    calibrated.write_text("made = 3")
    done = bench("devices")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: devices/calibrations/here/")
    assert done.err.count("\n") == 1


def test_the_doctor_looks_at_load_and_torch_and_never_fails(bench: Bench) -> None:
    done = bench("doctor")
    assert (done.code, done.err) == (0, "")
    for subject in ("load", "torch", "memory", "threads", "governor"):
        assert f"  {subject} " in done.out
    levels = {finding["level"] for finding in bench("doctor", "--format", "json").json}
    assert levels <= {"ok", "note", "warn"}


def test_the_doctor_names_a_thread_setting_that_disturbs(bench: Bench) -> None:
    found = bench("doctor", "--format", "json", OMP_NUM_THREADS="64").json
    (threads,) = [finding for finding in found if finding["subject"] == "threads"]
    assert threads["level"] == "warn"
    assert threads["advice"] == "unset OMP_NUM_THREADS"
