"""The fake vendor tools: what they print for what they are asked, how they misbehave, and that our readers read them."""

from __future__ import annotations

import os
import subprocess

import pytest

from bench.devices.telemetry import efsmi, hy_smi, mthreads_gmi, npu_smi, tsm_smi

from .fakes import TOOLS

# Tool -> a row of its only device, blanks aside.
ROWS = {
    ("npu-smi", "info"): "| 0 910B3 | OK | 101.8 43 0 / 0 |",
    ("mthreads-gmi",): "0 MTT S5000 |00000000:18:00.0 |87% 3318MiB(81920MiB)",
    ("efsmi",): "| 0 Enflame S60 | 33.6.5 | 00:2d:00.0 Enable |",
    ("hy-smi",): "0 43.0C 80.0W auto 1000.0W 5% 87.0% 0.0% 0.0% Normal",
    ("tsm_smi",): "| 0 TX8110-64GB-PCIe 11100 43C 96W / 200W | 00000000:82:00.0 | 3318M / 65536M 87% | 1 |",
    ("nvidia-smi", "--query-gpu=name,power.draw", "--format=csv,noheader"): "NVIDIA H100 80GB HBM3, 118.50 W",
    ("npu-smi", "info", "-t", "power", "-i", "0"): "NPU Real-time Power(W) : 101.8",
    ("mthreads-gmi", "-q", "--json"): '"Power Draw ": "96.66W",',
}
READERS = {"npu-smi": npu_smi, "mthreads-gmi": mthreads_gmi, "efsmi": efsmi, "hy-smi": hy_smi, "tsm_smi": tsm_smi}
EACH = ("npu-smi", "mthreads-gmi", "efsmi", "hy-smi", "tsm_smi", "nvidia-smi")


def run(tool, *arguments, timeout=60, **fakes):
    env = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")} | fakes
    return subprocess.run([TOOLS / tool, *arguments], env=env, capture_output=True, timeout=timeout, check=False)


@pytest.mark.parametrize("asked", ROWS, ids=" ".join)
def test_a_tool_prints_its_device(asked):
    done = run(*asked)
    assert done.returncode == 0
    rows = [" ".join(line.split()) for line in done.stdout.decode().splitlines()]
    assert " ".join(ROWS[asked].split()) in rows


@pytest.mark.parametrize("tool", EACH)
def test_a_tool_refuses_what_it_does_not_know(tool):
    done = run(tool, "--no-such-option")
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("tool", EACH)
def test_a_tool_may_fail_or_print_garbage_or_hang(tool):
    failed = run(tool, FAKE_TOOL="fail")
    assert failed.returncode == 1
    assert failed.stderr
    garbage = run(tool, FAKE_TOOL="garbage")
    assert garbage.returncode == 0
    assert garbage.stdout.startswith(b"\x00\xff")
    with pytest.raises(subprocess.TimeoutExpired):
        run(tool, FAKE_TOOL="hang", timeout=1)


@pytest.mark.parametrize("tool", READERS)
def test_our_reader_reads_the_tool(monkeypatch, tool):
    monkeypatch.setenv("PATH", str(TOOLS), prepend=os.pathsep)
    for name, value in {"DEVICES": "2", "POWER_W": "123", "TEMPERATURE_C": "61", "UTILIZATION_PCT": "50"}.items():
        monkeypatch.setenv(f"FAKE_{name}", value)
    reading = READERS[tool].read(1, limit_s=60)
    assert (reading.power_w, reading.temperature_c, reading.utilization) == (123, 61, 0.5)
    monkeypatch.setenv("FAKE_TOOL", "garbage")
    assert READERS[tool].read(1, limit_s=60).power_w is None


def test_an_ascend_910c_shows_two_dies_and_the_power_on_one(monkeypatch):
    monkeypatch.setenv("PATH", str(TOOLS), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_DEVICES", "4")
    monkeypatch.setenv("FAKE_DEVICE_NAME", "Ascend910_9392")
    assert [npu_smi.read(die, limit_s=60).power_w for die in range(4)] == [101.8, None, 101.8, None]
