"""Which sheet describes a device: its name, its memory and its cores must agree, or none does and the reason is told."""

from __future__ import annotations

import pytest

from bench.devices.sheet import match_sheet

GB = 10**9
GIB = 2**30


@pytest.mark.parametrize(
    ("adapter", "name", "memory", "cores", "sheet"),
    [
        ("nvidia", "NVIDIA H200", 150_754_820_096, 132, "h200-sxm"),  # 140.4 GiB of 141 GB
        ("nvidia", "NVIDIA H20", 102_010_880_000, 78, "h20"),
        ("nvidia", "NVIDIA H100 80GB HBM3", 85_029_158_912, 132, "h100-sxm"),
        ("nvidia", "NVIDIA H100 PCIe", 85_029_158_912, 114, "h100-pcie"),
        ("nvidia", "NVIDIA A100-SXM4-80GB", 84_974_239_744, 108, "a100-sxm-80"),
        ("ascend", "Ascend910B3", 65_452_113_920, 20, "ascend-910b3"),
        ("ascend", "Ascend910B4", 34_359_738_368, 20, "ascend-910b4"),
        ("ascend", "Ascend910_9392", 65_452_113_920, 24, "ascend-910c"),
        ("ascend", "Ascend910_9362", 65_452_113_920, 24, "ascend-910c"),
        ("musa", "MTT S5000", 81_920 * 2**20, 56, "mtt-s5000"),
        ("gcu", "Enflame S60", 49_120 * 2**20, 24, "enflame-s60"),
        ("txda", "TX8110", 65_536 * 2**20, None, "tsingmicro-tx81"),
        ("hygon", "BW1000", 65_520 * 2**20, None, "hygon-bw1000"),
    ],
)
def test_a_device_has_the_sheet_of_its_name_memory_and_cores(adapter, name, memory, cores, sheet):
    found, why = match_sheet(adapter, name, memory, cores)
    assert found == sheet, why
    assert why.startswith(f"the name '{name}' and ")


@pytest.mark.parametrize(
    ("adapter", "name", "memory", "cores", "reason"),
    [
        # A card of one name sold with another memory.
        ("nvidia", "NVIDIA H20", 150_754_820_096, 78, "'NVIDIA H20' has 151 GB, sheet h20 96.0 GB"),
        ("nvidia", "NVIDIA A100-SXM4-80GB", 42_505_273_344, 108, "42.5 GB, sheet a100-sxm-80 80.0 GB"),
        ("nvidia", "NVIDIA H200", 85_029_158_912, 132, "'NVIDIA H200' has 85.0 GB, sheet h200-sxm 141 GB"),
        ("ascend", "Ascend910B4", 65_452_113_920, 20, "'Ascend910B4' has 65.5 GB, sheet ascend-910b4 32.0 GB"),
        # Bins with fewer cores: another peak.
        ("ascend", "Ascend910_9382", 65_452_113_920, 20, "'Ascend910_9382' has 20 cores, sheet ascend-910c 24"),
        ("nvidia", "NVIDIA H200", 150_754_820_096, 114, "'NVIDIA H200' has 114 cores, sheet h200-sxm 132"),
        # Names that no sheet lists, though one looks alike.
        ("nvidia", "NVIDIA A100-SXM4-40GB", 42_505_273_344, 108, "lists the name 'NVIDIA A100-SXM4-40GB'"),
        ("nvidia", "NVIDIA H200 NVL", 150_754_820_096, 132, "lists the name 'NVIDIA H200 NVL'"),
        ("nvidia", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", 10 * GB, 16, "lists the name"),
        ("nvidia", "BW1000", 64 * GB, None, "no sheet of adapter 'nvidia' lists the name 'BW1000'"),
        ("ascend", "Ascend999", None, None, "no sheet of adapter 'ascend' lists the name 'Ascend999' in torch_names"),
    ],
)
def test_a_device_that_is_another_has_no_sheet_and_the_reason(adapter, name, memory, cores, reason):
    found, why = match_sheet(adapter, name, memory, cores)
    assert found is None
    assert reason in why


def test_what_torch_does_not_tell_refuses_nothing():
    assert match_sheet("nvidia", "NVIDIA H200", None, None) == ("h200-sxm", "the name 'NVIDIA H200'")


def test_cores_that_are_counted_otherwise_refuse_nothing():
    # The sheet of an S80 counts 4096 MUSA cores, torch its multiprocessors.
    assert match_sheet("musa", "MTT S80", 16 * GIB, 32)[0] == "mtt-s80"


def test_a_name_is_matched_as_it_is_written():
    assert match_sheet("nvidia", "nvidia h200", None, None)[0] is None


OWN = """
name = "Mine"
vendor = "NVIDIA"
adapter = "nvidia"
torch_device = "cuda"
torch_names = ["NVIDIA H200 NVL"]
checked = "2026-11-21"
"""


def test_a_persons_own_sheet_describes_what_no_shipped_one_does(tmp_path, monkeypatch):
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "mine.toml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert match_sheet("nvidia", "NVIDIA H200 NVL", 150_754_820_096, 132)[0] == "mine"
