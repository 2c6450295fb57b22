"""bench report with prices and a demand, through the real command: fleets on the terminal, costs in the workbook."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

pytest.importorskip("xlsxwriter")

Bench = Callable[..., Any]
SMALL = (
    "-w",
    "llama-3.1-8b-decode",
    "-w",
    "llama-3.1-8b-prefill",
    "--batch",
    "8",
    "--context",
    "1k",
    "--input-len",
    "1k",
)

DEMAND = """
summary = "a test"
prefill = "llama-3.1-8b-prefill"
decode = "llama-3.1-8b-decode"
requests_per_s = 100
profile = "office"
input = 1000
output = 100
ttft_s = 1.0
tpot_s = 0.05
headroom = 0.2
link_gb_per_s = 25
"""


@pytest.fixture
def demand(tmp_path: Path) -> Path:
    path = tmp_path / "demand.toml"
    path.write_text(DEMAND)
    return path


def test_a_demand_shows_fleets_and_where_their_use_goes(bench: Bench, demand: Path, tmp_path: Path) -> None:
    done = bench("report", "h100-sxm", "h200-sxm", *SMALL, "--demand", str(demand), "--prices", "example",
                 "-o", str(tmp_path / "r.xlsx"))  # fmt: skip
    assert done.code == 0
    for text in ("prefill h100-sxm, decode h200-sxm", "cheapest rented: estimated:", "EXAMPLE PRICES",
                 "Where the use goes", "energy from design power (TDP), not measured"):  # fmt: skip
        assert text in done.out
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert {"Report", "Assumptions", "Cost", "Fleets for a demand"} <= set(book.sheetnames)
    cached = openpyxl.load_workbook(tmp_path / "r.xlsx", data_only=True)
    live = [cell for row in book["Cost"].iter_rows() for cell in row if cell.data_type == "f"]
    assert len(live) > 20
    assert all(cached["Cost"][cell.coordinate].value is not None for cell in live)


def test_markdown_on_stdout_holds_the_fleets_once(bench: Bench, demand: Path) -> None:
    done = bench("report", "h100-sxm", *SMALL, "--demand", str(demand), "--format", "md")
    assert done.code == 0
    assert done.out.startswith("# ")
    assert done.out.count("## Fleets for a demand") == 1
    assert "no prices are given" in done.out


def test_a_device_that_cannot_serve_is_told_and_the_others_stand(bench: Bench, demand: Path, tmp_path: Path) -> None:
    done = bench("report", "h100-sxm", "enflame-s60", *SMALL, "--demand", str(demand), "-o", str(tmp_path / "r.xlsx"))
    assert done.code == 0
    assert "prefill on enflame-s60: cannot be modelled: no published bf16 peak" in done.out


@pytest.mark.parametrize(
    ("flag", "content", "message"),
    [
        ("--demand", DEMAND.replace("headroom = 0.2", "headroom = 2"), "demand.toml: headroom is 2"),
        ("--demand", DEMAND.replace("profile", "profil"), "demand.toml: unknown key 'profil'; did you mean 'profile'"),
        ("--demand", DEMAND.replace("llama-3.1-8b-decode", "gemm"), "demand: workload 'gemm' is not one of decode"),
        ("--demand", "\x00", "demand.toml: not valid TOML"),
        ("--prices", 'currency = "USD"\n[device.h100-sx]\n', "demand.toml: unknown device 'h100-sx'; did you mean"),
        ("--prices", 'currency = "USD"\n[pue]\nvalue = nan\nsource = "x"\n', "demand.toml: pue.value is nan"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(
    bench: Bench, tmp_path: Path, flag: str, content: str, message: str
) -> None:
    path, out = tmp_path / "demand.toml", tmp_path / "r.xlsx"
    path.write_text(content)
    done = bench("report", "h100-sxm", *SMALL, flag, str(path), "-o", str(out))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("flag", ["--demand", "--prices"])
def test_a_missing_file_is_told(bench: Bench, flag: str) -> None:
    done = bench("report", "h100-sxm", *SMALL, flag, "nowhere.toml", "--format", "json")
    assert (done.code, done.out) == (2, "")
    assert "nowhere.toml: cannot be read" in done.err


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = bench("report", "h100-sxm", *SMALL, "-o", str(tmp_path / "file" / "r.xlsx"))
    assert done.code == 2
    assert "cannot be written" in done.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".r")] == []


def test_a_workbook_needs_no_chart_library(bench: Bench, tmp_path: Path) -> None:
    done = bench("report", "h100-sxm", "h200-sxm", *SMALL, "-o", str(tmp_path / "r.xlsx"))
    assert done.code == 0
    book = openpyxl.load_workbook(io.BytesIO((tmp_path / "r.xlsx").read_bytes()))
    assert "Assumptions" in book.sheetnames  # a node's packages
