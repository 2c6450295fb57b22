"""RAPL's counters, in a folder that looks like Linux' powercap."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.devices.telemetry import rapl
from bench.devices.telemetry.rapl import Rapl


@pytest.fixture
def zone(tmp_path):
    """Return a function that writes a zone's name, counter and range in microjoules."""

    def write(folder: str, name: str, energy_uj: int | str, range_uj: int = 262_143_328_850) -> Path:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / "name").write_text(f"{name}\n")
        (path / "energy_uj").write_text(f"{energy_uj}\n")
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        return path

    return write


def test_energy_rises_from_the_first_reading_over_all_packages(tmp_path, zone):
    zone("intel-rapl:0", "package-0", 1_000_000)
    zone("intel-rapl:1", "package-1", 5_000_000)
    cpu = Rapl(tmp_path)
    assert cpu.read().energy_j == 0.0
    zone("intel-rapl:0", "package-0", 3_500_000)
    zone("intel-rapl:1", "package-1", 6_000_000)
    reading = cpu.read()
    assert reading.energy_j == pytest.approx(3.5)
    assert (reading.device, reading.power_basis) == ("intel-rapl:0 intel-rapl:1", "CPU packages without memory")
    assert reading.missing["power_w"] == "RAPL has a counter of energy only"


def test_parts_of_a_package_and_the_whole_platform_do_not_count(tmp_path, zone):
    zone("intel-rapl:0", "package-0", 0)
    zone("intel-rapl:0:0", "core", 0)
    zone("intel-rapl:1", "psys", 0)
    cpu = Rapl(tmp_path)
    cpu.read()
    zone("intel-rapl:0:0", "core", 9_000_000)
    zone("intel-rapl:1", "psys", 9_000_000)
    zone("intel-rapl:0", "package-0", 2_000_000)
    assert cpu.read().energy_j == pytest.approx(2.0)


def test_a_counter_that_starts_again_goes_on(tmp_path, zone):
    zone("intel-rapl:0", "package-0", 9_000_000, range_uj=10_000_000)
    cpu = Rapl(tmp_path)
    cpu.read()
    zone("intel-rapl:0", "package-0", 500_000, range_uj=10_000_000)
    assert cpu.read().energy_j == pytest.approx(1.5)
    zone("intel-rapl:0", "package-0", 700_000, range_uj=10_000_000)
    assert cpu.read().energy_j == pytest.approx(1.7)


def test_a_machine_without_counters_is_told(tmp_path):
    reason = Rapl(tmp_path / "none").read().missing["energy_j"]
    assert reason == f"RAPL is not here: {tmp_path}/none has no package (virtual machines hide it)"


def test_a_counter_that_only_root_may_read_is_told(tmp_path, zone, monkeypatch):
    zone("intel-rapl:0", "package-0", 0)
    read_text = Path.read_text

    def guarded(path: Path, *arguments, **more) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read_text(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", guarded)
    reason = Rapl(tmp_path).read().missing["energy_j"]
    assert reason == "RAPL is readable by root only (chmod a+r .../intel-rapl:*/energy_uj)"


@pytest.mark.parametrize("text", ["", "rubbish", "9" * 5000])
def test_a_counter_that_is_no_number_is_told(tmp_path, zone, text):
    zone("intel-rapl:0", "package-0", text)
    assert Rapl(tmp_path).read().missing["energy_j"].startswith("RAPL cannot be read: ")


def test_a_counter_beyond_its_range_never_falls(tmp_path, zone):
    zone("intel-rapl:0", "package-0", 9_000_000, range_uj=1_000)
    cpu = Rapl(tmp_path)
    cpu.read()
    zone("intel-rapl:0", "package-0", 1_000_000, range_uj=1_000)
    assert cpu.read().energy_j == 0.0


def test_this_machine_answers_or_says_why():
    reading = rapl.read()
    assert (reading.energy_j is None) == ("energy_j" in reading.missing)
