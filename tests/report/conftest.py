"""Rows, environments and runs to test with: small, valid, and changed where a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.report.build import build
from bench.report.document import Report
from bench.report.sides import Paper, Side
from bench.results.compare import Comparison, Operand, compare
from bench.results.record import Environment, Row


@pytest.fixture
def mixed(row: Callable[..., Row]) -> list[Row]:
    """Return a row of each kind: measured, unstable, scaled, modelled, skipped, out of memory."""
    return [
        row(
            step_s=0.00812, interval=(0.00811, 0.00813), tpot_s=0.00812, output_tokens_per_s=123.1527, flops=2.84e8,
            read_bytes=2.9e8, written_bytes=1e6, mfu_achieved=0.0213, mbu_achieved=0.874, bound="memory",
            memory_bytes=3.5e8,
        ),
        row(
            case_id="tiny-decode[b=8,ctx=1k,bf16]", batch=8, step_s=0.0125, interval=(0.0115, 0.0131),
            output_tokens_per_s=640.0, mfu_achieved=0.0934, mbu_achieved=0.612, bound="memory", memory_bytes=3.71e8,
            flags=["trend +12%", "unstable"], stable=False, others_cores=0.0,
        ),
        row(
            case_id="big-prefill[b=1,in=512,bf16,layers=2]", workload="big-prefill", phase="prefill", input_len=512,
            step_s=3.21, interval=(3.2, 3.22), prompt_tokens_per_s=159.5016, mfu_achieved=0.71, mbu_achieved=0.05,
            bound="compute", memory_bytes=1.61e10, scope="2 of 32 dense layers run, scaled",
        ),
        row(
            case_id="moe-decode[b=64,ctx=4k,fp8,dp64,ep64]", workload="moe-decode", device="ascend-910c",
            device_name="Ascend 910C", unit="die", source="modelled", tier="transferred", interval=(0.024, 0.036),
            interval_kind="P10 to P90 of the calibration's residuals", step_s=0.03, output_tokens_per_s=2133.33,
            mfu=0.31, mbu=0.552, bound="link", imbalance=1.27, memory_bytes=4.8e10,
            notes=["no calibration of this device: another's residuals"],
        ),
        row(
            case_id="huge-decode[b=1,ctx=1k,bf16]", workload="huge-decode", status="skipped", memory_bytes=1.4e12,
            reason="needs 1.40 TB of memory, 21.5 GB to be had",
        ),
        row(
            case_id="gemm[m=1k,n=1k,k=1k,bf16]", workload="gemm", phase="kernel", kernel="gemm", status="oom",
            reason="the machine gave no more memory",
        ),
    ]  # fmt: skip


@pytest.fixture
def sides(row: Callable[..., Row], environment: Callable[..., Environment]) -> Comparison:
    """Return a comparison of a modelled package of two dies with a modelled and a measured device."""

    def decode(rate: float, **changes: Any) -> Row:
        step_s = changes["batch"] / rate
        interval = (step_s * 0.96, step_s * 1.04)
        return row(output_tokens_per_s=rate, step_s=step_s, interval=interval, **changes)

    small, large = "r1-decode[b=8,ctx=4k,fp8]", "r1-decode[b=64,ctx=4k,fp8]"
    modelled = {"source": "modelled", "tier": "sheet", "device": "ascend-910c", "device_name": "Ascend 910C"}
    ascend = [
        decode(400.0, case_id=small, batch=8, unit="die", **modelled),
        decode(800.0, case_id=small, batch=8, unit="package", **modelled),
        decode(1600.0, case_id=large, batch=64, unit="die", **modelled),
        decode(3200.0, case_id=large, batch=64, unit="package", **modelled),
    ]
    h100 = [
        decode(640.0, case_id=small, batch=8, unit="package", device="cuda:0", device_name="H100"),
        row(
            case_id=large, batch=64, unit="package", device="cuda:0", device_name="H100", status="oom", reason="no room"
        ),
    ]
    return compare([Operand("ascend-910c", ascend), Operand("h100", h100, environment())])


@pytest.fixture
def two(row: Callable[..., Row], environment: Callable[..., Environment]) -> list[Side]:
    """Return a measured and a modelled side of three batches each, the first twice as fast."""

    def decode(label: str, batch: int, rate: float, **changes: Any) -> Row:
        step_s = batch / rate
        return row(
            case_id=f"tiny-decode[b={batch},ctx=1k,bf16]", batch=batch, device=label, device_name=label.upper(),
            unit="package", output_tokens_per_s=rate, step_s=step_s, tpot_s=step_s, mbu=rate / 4000,
            interval=(step_s * 0.99, step_s * 1.01), flops=1e9 * batch, read_bytes=1e9, written_bytes=0.0, **changes,
        )  # fmt: skip

    rates = {1: 100.0, 8: 600.0, 32: 1600.0}
    modelled: dict[str, Any] = {"source": "modelled", "tier": "sheet"}
    paper = Paper(peak_flops={"bf16": 1e14}, memory_bytes_per_s=1e12)
    sides = [
        Side(Operand("a", [decode("a", b, 2 * r) for b, r in rates.items()], environment()), "a", paper),
        Side(Operand("b", [decode("b", b, r, **modelled) for b, r in rates.items()]), "b", paper),
    ]
    for side in sides:
        side.sweep = side.rows
    return sides


@pytest.fixture
def reported(two: list[Side]) -> Report:
    """Return the report of the two sides."""
    return build(two, targets=[], command="bench report a b", created="2026-11-22T00:00:00+00:00")
