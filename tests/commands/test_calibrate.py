"""Keeping a calibration, and finding it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.commands.calibrate import roof_table, save
from bench.devices.achieved import Achieved, load_achieved
from bench.report.terminal import table_text

FOUND = Achieved(
    device="cpu", fingerprint="0123456789ab", made="2026-01-02T03:04:05+00:00", command="bench calibrate -d cpu",
    threads=2, software="torch 2.13.0", gemm_flops={"bf16": 5e11, "fp32": 1e11}, gemm_sizes={"bf16": 4096, "fp32": 2048},
    read_bytes_per_s=2e10, copy_bytes_per_s=1e10,
)  # fmt: skip


def test_a_calibration_is_kept_below_the_current_folder_and_found_by_its_fingerprint(folder: Path) -> None:
    assert load_achieved("0123456789ab") is None
    path = save(FOUND)
    assert path == folder / "devices" / "calibrations" / "here" / "0123456789ab.toml"
    assert path.read_text().startswith("# Best rates this machine was seen to reach; made by `bench calibrate`")
    assert load_achieved("0123456789ab") == FOUND
    assert load_achieved("ba9876543210") is None


def test_saving_again_replaces_the_file_and_leaves_nothing_beside_it(folder: Path) -> None:
    save(FOUND)
    path = save(FOUND)
    assert list(path.parent.iterdir()) == [path]


def test_the_table_tells_rate_and_size_of_each_precision() -> None:
    text = table_text(roof_table(FOUND), 120)
    assert "gemm bf16    500 GFLOP/s  4096 x 4096" in text
    assert "memory read    20.0 GB/s" in text
    assert "fastest with 2 threads" in text


@pytest.mark.usefixtures("folder")
def test_the_memory_roof_is_the_better_of_reading_and_copying() -> None:
    assert FOUND.bytes_per_s == 2e10
