"""What bounds a CPU's speed, read from a kernel's files of other machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.devices.cpu_limits import cpu_limits

CPU = "sys/devices/system/cpu"


@pytest.fixture
def kernel(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return a function that gives the facts of a machine whose kernel shows these files."""

    def shows(files: dict[str, str]) -> dict[str, str]:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text + "\n")
        return cpu_limits(tmp_path)

    return shows


def test_a_machine_that_shows_nothing_has_no_facts(kernel):
    assert kernel({}) == {}


def test_the_highest_clock_is_that_of_the_fastest_core(kernel):
    files = {f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "3500000", f"{CPU}/cpu11/cpufreq/cpuinfo_max_freq": "5100000"}
    assert kernel(files) == {"highest clock": "5100 MHz"}


@pytest.mark.parametrize(("allowed", "told"), [("2100000", "2100 MHz"), ("3500000", None), ("rubbish", None)])
def test_a_lower_limit_is_told_where_there_is_one(allowed, told, kernel):
    files = {f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "3500000", f"{CPU}/cpu0/cpufreq/scaling_max_freq": allowed}
    assert kernel(files).get("clock limit") == told


@pytest.mark.parametrize(
    ("path", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "1", "off"),
        ("intel_pstate/no_turbo", "0", "on"),
        ("cpufreq/boost", "0", "off"),
        ("cpufreq/boost", "1", "on"),
    ],
)
def test_turbo_is_told_by_either_driver(path, text, turbo, kernel):
    assert kernel({f"{CPU}/{path}": text}) == {"turbo": turbo}


def test_a_container_s_quota_is_its_cores_worth_of_time(kernel):
    assert kernel({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}) == {"cpu quota": "2.50 cores"}


def test_the_tightest_group_counts(kernel):
    files = {
        "proc/self/cgroup": "0::/pods/one",
        "sys/fs/cgroup/pods/cpu.max": "150000 100000",
        "sys/fs/cgroup/pods/one/cpu.max": "400000 100000",
    }
    assert kernel(files) == {"cpu quota": "1.50 cores"}


def test_version_1_has_files_of_its_own_and_a_path_that_a_container_does_not_see(kernel):
    files = {
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:cpuset:/docker/abc",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert kernel(files) == {"cpu quota": "3.00 cores"}


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100000 0"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": ""},
        {"proc/self/cgroup": "rubbish"},
        {"proc/self/cgroup": "1:cpu:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
        {"proc/self/cgroup": "5:cpuset:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "1"},
    ],
)  # fmt: skip
def test_without_a_quota_none_is_told(files, kernel):
    assert kernel(files) == {}
