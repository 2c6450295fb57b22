"""workloads/README.md and devices/README.md name every key there is, and no key that there is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.devices.sheet import Cores, Figure, Link, Memory, Price, Sheet
from bench.workloads.deployment import Deployment
from bench.workloads.kernels import KERNELS
from bench.workloads.model import Indexer, Mla, Model, Moe
from bench.workloads.routing import Routing
from bench.workloads.schema import Suite, Workload

ROOT = Path(__file__).parents[2]
WORKLOADS = (ROOT / "workloads" / "README.md").read_text("utf-8")
DEVICES = (ROOT / "devices" / "README.md").read_text("utf-8")


def _section(page: str, heading: str) -> str:
    """Return the text below a heading, to the next one."""
    found = re.search(rf"^## {heading}.*?\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"no heading {heading!r}"
    return found[1]


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _first_cells(text: str) -> set[str]:
    """Return the names in code type in the first column of a section's tables."""
    return {name for row in _rows(text) for name in re.findall(r"`([^`]+)`", row[0])}


def _keys(record: Any) -> set[str]:
    return set(record.__struct_fields__)


@pytest.mark.parametrize(("heading", "records"), [
    ("A workload's keys", [Workload]), (r"`\[routing\]`", [Routing]), (r"`\[deployment\]`", [Deployment]),
    ("A model's keys", [Model, Moe]),
])  # fmt: skip
def test_a_table_of_the_workloads_page_has_every_key_of_its_record_and_no_other(
    heading: str, records: list[Any]
) -> None:
    named = _first_cells(_section(WORKLOADS, heading)) - {"[moe]"}
    assert named == set().union(*(_keys(record) for record in records))


def test_keys_of_suites_and_of_the_parts_of_a_model_are_named_in_their_place() -> None:
    suites = re.search(r"\*\*Suites\*\*.*?\n\n", WORKLOADS, flags=re.DOTALL)
    assert suites is not None
    listed = re.search(r"Keys: (.*?);", suites[0], flags=re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == _keys(Suite)
    for name, record in (("mla", Mla), ("indexer", Indexer)):
        (row,) = [row for row in _rows(WORKLOADS) if row[0] == f"`{name}`"]
        assert set(re.findall(r"`(\w+)`", row[2])) == _keys(record)


def test_every_kernel_and_all_of_its_dimensions_are_named() -> None:
    (row,) = [row for row in _rows(WORKLOADS) if row[0] == "`kernel`"]
    assert set(row[2].split(", ")) == set(KERNELS)
    dims = re.search(r"A kernel's dimensions.*?\n\n", WORKLOADS, flags=re.DOTALL)
    assert dims is not None
    named = set(" ".join(re.findall(r"`([^`]+)`", dims[0])).split())
    assert named == {dim for kernel in KERNELS.values() for dim in kernel.dims}


def test_defaults_on_the_page_are_the_defaults_of_the_records() -> None:
    told = {"batch": "1", "input_len": "512", "context": "1024", "tokens": "512", "time_s": "5.0", "dtype": '`"bf16"`'}
    fields = {field.name: field.default for field in msgspec.structs.fields(Workload)}
    rows = {row[0].strip("`"): row[1] for row in _rows(_section(WORKLOADS, "A workload's keys"))}
    for key, text in told.items():
        assert rows[key] == text
        assert str(fields[key]) == text.strip('`"')


def _example(page: str) -> str:
    found = re.search(r"```toml\n(.*?)```", _section(page, "Your own"), flags=re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_workload_on_the_page_runs_as_the_page_says(
    bench: Callable[..., Any], define: Callable[[str, str], Path]
) -> None:
    define("workloads/my-decode.toml", _example(WORKLOADS))
    done = bench("run", "my-decode", "-d", "h100-sxm", "--format", "json")
    assert done.code == 0
    assert [row["case_id"] for row in done.json["rows"]] == [
        "my-decode[llama-3.1-8b,b=1,ctx=4k,bf16,tp2]", "my-decode[llama-3.1-8b,b=1,ctx=8k,bf16,tp2]",
        "my-decode[llama-3.1-8b,b=16,ctx=4k,bf16,tp2]", "my-decode[llama-3.1-8b,b=16,ctx=8k,bf16,tp2]",
        "my-decode[llama-3.1-8b,b=1,ctx=4k,fp8,tp2]", "my-decode[llama-3.1-8b,b=1,ctx=8k,fp8,tp2]",
        "my-decode[llama-3.1-8b,b=16,ctx=4k,fp8,tp2]", "my-decode[llama-3.1-8b,b=16,ctx=8k,fp8,tp2]",
    ]  # fmt: skip
    assert {row["status"] for row in done.json["rows"]} == {"ok"}
    ours = bench("run", "ours", "-d", "h100-sxm", "--format", "json").json["rows"]
    assert {row["batch"] for row in ours} == {16}
    assert "Nothing was run." in bench("run", "my-decode", "--dry-run").out


def test_every_key_of_a_sheet_is_named_on_the_devices_page_and_every_key_there_exists() -> None:
    keys = _section(DEVICES, "Keys")
    named = {part for name in _first_cells(keys) for part in [name.replace("prices[].", "prices.")]}
    for prefix, record in (("memory", Memory), ("cores", Cores), ("link", Link)):
        for key in _keys(record):
            assert f"{prefix}.{key}" in keys or f"`{key}`" in keys, f"{prefix}.{key}"
    for key in _keys(Price):
        assert f"prices[].{key}`" in keys or f"`{key}`" in keys, f"prices.{key}"
    for key in _keys(Sheet) - {"memory", "cores", "link", "prices", "peak_tflops"}:
        assert key in named, key
    assert "peak_tflops.<dtype>" in named
    assert _first_cells(_section(DEVICES, "A figure")) >= _keys(Figure)

    known = _keys(Sheet) | {"peak_tflops.<dtype>"}
    known |= {
        f"{p}.{k}"
        for p, r in (("memory", Memory), ("cores", Cores), ("link", Link), ("prices", Price))
        for k in _keys(r)
    }
    known |= _keys(Price)  # several keys of a price stand in one cell
    assert named <= known, named - known


def test_the_example_sheet_on_the_page_is_a_device(
    bench: Callable[..., Any], define: Callable[[str, str], Path]
) -> None:
    text = _example(DEVICES)
    assert msgspec.toml.decode(text)["name"] == "My accelerator"
    define("devices/mine.toml", text)
    done = bench("devices", "mine")
    assert done.code == 0
    assert "My accelerator" in done.out
    rows = bench("run", "gemm", "-d", "mine", "--dtype", "bf16", "--format", "json").json["rows"]
    assert {row["status"] for row in rows} == {"unsupported"}
    assert "devices/mine.toml gives no memory bandwidth" in rows[0]["reason"]
