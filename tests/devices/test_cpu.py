"""The CPU adapter: facts without torch, bounded cache, plain timing, threads as they are asked for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.devices import cpu
from bench.devices.cpu import CpuAdapter, cpu_model, matrix_extensions, physical_cores, threads
from bench.errors import Unsupported
from bench.operators.interface import Step

STEP = Step("decode", 1, 1, 8)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a folder in which absolute paths are looked up, instead of the machine's own root."""
    monkeypatch.setattr(cpu, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_facts_are_collected_without_importing_torch():
    code = (
        "import sys; from bench.devices.cpu import CpuAdapter; a = CpuAdapter();"
        "a.facts(); a.available(); a.cache_bytes(); a.memory_room(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_there_is_one_cpu_and_it_is_called_cpu():
    assert CpuAdapter.available() == ["cpu"]
    assert CpuAdapter().name == "cpu"
    assert CpuAdapter().unit == "machine"


def test_no_sheet_describes_a_host_cpu():
    assert CpuAdapter().sheet() is None


def test_facts_are_texts_with_a_name():
    facts = CpuAdapter().facts()
    assert set(facts) >= {"name", "cores", "threads", "memory", "extensions"}
    assert all(isinstance(value, str) and value for value in facts.values())


def test_facts_hold_what_bounds_the_clock_where_the_machine_shows_it(monkeypatch):
    monkeypatch.setattr(cpu, "cpu_limits", lambda: {"highest clock": "3500 MHz"})
    assert CpuAdapter().facts()["highest clock"] == "3500 MHz"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("model name\t: Intel(R) Xeon(R) Platinum 8480+", "Intel(R) Xeon(R) Platinum 8480+"),
        ("Hardware\t: Kunpeng 920", "Kunpeng 920"),
        ("Model Name : HUAWEI: Kunpeng", "HUAWEI: Kunpeng"),
    ],
)
def test_the_model_is_what_the_system_calls_it(line, name, machine):
    write(machine / "proc/cpuinfo", f"processor\t: 0\n{line}\nmodel name\t: second core\n")
    assert cpu_model() == name


def test_a_system_without_cpuinfo_still_names_its_machine(machine, monkeypatch):
    monkeypatch.setattr(platform, "processor", str)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert cpu_model() == "arm64"
    assert matrix_extensions() == []


def test_extensions_that_decide_matrix_speed_are_listed_best_first(machine):
    write(machine / "proc/cpuinfo", "flags\t\t: fpu avx2 sse amx_bf16 avx512f avx512_bf16\n")
    assert matrix_extensions() == ["amx_bf16", "avx512_bf16", "avx512f", "avx2"]


def test_arms_features_are_read_too(machine):
    write(machine / "proc/cpuinfo", "Features\t: fp asimd sve bf16 i8mm\n")
    assert matrix_extensions() == ["bf16", "i8mm", "sve", "asimd"]


def test_a_process_that_may_use_fewer_cores_counts_those(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert physical_cores() == 3


def test_hyper_threads_are_counted_once(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert physical_cores() == 4


def test_a_machine_that_does_not_tell_its_cores_has_those_it_may_use(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert physical_cores() == 2


@pytest.mark.parametrize(("asked", "used"), [("3", 3), ("5,2", 5), ("", 7), ("0", 7), ("many", 7), (None, 7)])
def test_threads_are_what_the_environment_asks_for_else_the_cores(asked, used, monkeypatch):
    monkeypatch.setattr(cpu, "physical_cores", lambda: 7)
    if asked is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() == used


CACHE = "sys/devices/system/cpu/cpu0/cache"


def test_the_cache_is_the_largest_level(machine):
    for index, size in enumerate(("48K", "2048K", "33792K")):
        write(machine / CACHE / f"index{index}" / "size", size + "\n")
    assert CpuAdapter().cache_bytes() == 33792 * 1024


def test_a_hosts_huge_cache_is_taken_as_128_mib(machine):
    write(machine / CACHE / "index3" / "size", "1048576K\n")
    assert CpuAdapter().cache_bytes() == 128 * 2**20


def test_a_machine_that_does_not_show_its_cache_is_taken_to_have_32_mib(machine):
    assert CpuAdapter().cache_bytes() == 32 * 2**20


def test_this_machines_cache_is_within_bounds():
    assert 2**15 <= CpuAdapter().cache_bytes() <= 128 * 2**20


def test_timing_runs_the_step_as_often_as_asked_and_gives_each_time(monkeypatch):
    # The clock moves by 1, 2, 3, ... at each look: steps take 1, 3 and 5.
    looks = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(cpu.time, "perf_counter", lambda: next(looks))
    runs = []
    assert CpuAdapter().time(lambda: runs.append(1), 3) == [1.0, 3.0, 5.0]
    assert len(runs) == 3


def test_a_tenth_of_the_free_memory_is_left_to_others(monkeypatch):
    class Memory:
        available = 10_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert CpuAdapter().memory_room() == 9000


def test_the_peak_of_memory_is_more_than_python_itself():
    assert CpuAdapter().memory_peak() > 5_000_000


def test_what_cannot_be_read_is_missing_with_the_reason():
    told = CpuAdapter().read()
    assert (told.clock_hz, told.temperature_c) == (None, None)
    assert "RAPL" in told.missing["clock_hz"]


def test_operators_compute_with_the_threads_asked_for(monkeypatch):
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        operators = CpuAdapter().operators(STEP, "bf16", 3, 2)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert (operators.copies, operators.layers, operators.step) == (3, 2, STEP)


def test_a_precision_without_a_path_is_unsupported_with_those_that_have_one():
    with pytest.raises(Unsupported, match=r"dtype fp8 has no path on cpu here; it runs fp32, fp16, bf16"):
        CpuAdapter().operators(STEP, "fp8", 1, None)
