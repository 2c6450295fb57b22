"""A folder of one's own with one workload and one sheet is all that is needed; its files come first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., Any]

WORKLOAD = 'summary = "Our product"\nphase = "kernel"\nkernel = "gemm"\npoints = [{ m = 256, n = 512, k = 1024 }]\n'
SHEET = """
name = "Our chip"
vendor = "Us"
adapter = "nvidia"
torch_device = "cuda"
checked = "2026-11-21"

[peak_tflops]
bf16 = { value = 100, source = "our data sheet", confidence = "A" }

[memory]
size_gb = { value = 48, source = "our data sheet", confidence = "A" }
bandwidth_gb_per_s = { value = 1000, source = "our data sheet", confidence = "A" }
"""


@pytest.fixture
def own(define: Callable[[str, str], Path], tmp_path: Path) -> Path:
    """A folder with a workload and a sheet."""
    define("workloads/our-gemm.toml", WORKLOAD)
    define("devices/our-chip.toml", SHEET)
    return tmp_path


@pytest.mark.usefixtures("own")
def test_an_own_workload_runs_on_an_own_device(bench: Bench) -> None:
    done = bench("run", "our-gemm", "-d", "our-chip", "--format", "json")
    (row,) = done.json["rows"]
    assert (row["case_id"], row["device_name"], row["status"]) == ("our-gemm[m=256,n=512,k=1k,bf16]", "Our chip", "ok")
    assert row["flops"] == 268435456  # 2 x 256 x 512 x 1024
    assert row["mfu"] == pytest.approx(268435456 / row["step_s"] / 100e12)


@pytest.mark.usefixtures("own")
def test_an_own_workload_and_device_are_compared_with_shipped_ones(bench: Bench) -> None:
    done = bench("compare", "our-chip", "h100-sxm", "--workload", "our-gemm")
    assert done.code == 0
    assert "our-gemm[m=256,n=512,k=1k,bf16]" in done.out
    assert "Our chip | H100 SXM5 80GB" in done.out


@pytest.mark.usefixtures("own")
def test_own_definitions_are_listed_with_the_shipped_ones_and_shown_with_their_file(bench: Bench) -> None:
    assert {"our-gemm", "gemm"} <= set(bench("workloads", "--format", "json").json["workloads"])
    assert {"our-chip", "h100-sxm"} <= set(bench("devices", "--format", "json").json["sheets"])
    assert "file: workloads/our-gemm.toml" in bench("workloads", "our-gemm").out
    assert "file: devices/our-chip.toml" in bench("devices", "our-chip").out
    assert "our data sheet" in bench("devices", "our-chip").out


def test_an_own_file_overrides_the_shipped_one_of_the_same_name(
    bench: Bench, define: Callable[[str, str], Path]
) -> None:
    define("workloads/gemm.toml", WORKLOAD)
    define("devices/h100-sxm.toml", SHEET)
    done = bench("run", "gemm", "-d", "h100-sxm", "--format", "json")
    assert [(row["case_id"], row["device_name"]) for row in done.json["rows"]] == [
        ("gemm[m=256,n=512,k=1k,bf16]", "Our chip")
    ]


def test_an_own_model_is_used_by_a_shipped_workload(bench: Bench, define: Callable[[str, str], Path]) -> None:
    define(
        "workloads/models/mini.toml",
        'name = "Mini"\nsource = "made up"\narchitecture = "x"\nlayers = 1\nhidden = 64\nheads = 4\nkv_heads = 2\n'
        "head_dim = 16\nintermediate = 128\nvocab = 100\n",
    )
    done = bench("run", "mini-dense-decode", "--model", "mini", "--batch", "1", "--context", "1k", "-d", "h100-sxm",
                 "--format", "json")  # fmt: skip
    (row,) = done.json["rows"]
    assert row["model"] == "mini"
    assert row["definition"]["model"] == "mini"
    assert "mini" in bench("workloads", "--models").out


def test_a_sheet_may_lie_in_a_folder_of_its_vendor(bench: Bench, define: Callable[[str, str], Path]) -> None:
    define("devices/us/our-chip.toml", SHEET)
    assert bench("run", "rms-norm", "-d", "our-chip").code == 0


def test_the_newest_run_of_the_folder_is_the_one_explained(bench: Bench, own: Path) -> None:
    bench("run", "our-gemm", "-d", "our-chip", "-q")
    done = bench("explain", "our-gemm[m=256")
    assert done.code == 0
    assert done.out.startswith("our-gemm[m=256,n=512,k=1k,bf16] on Our chip (our-chip), per package")
