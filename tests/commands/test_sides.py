"""What the sides of a report hold: paper figures, targets, sweeps that stop where memory ends."""

from __future__ import annotations

import pytest

from bench.commands.sides import BATCHES, gather
from bench.results.compare import Operand
from bench.results.target import parse_targets

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(scope="module")
def gathered():
    return gather(("ascend-910c", "h100-sxm"), ("deepseek-r1-decode",), {}, parse_targets("50ms"))


def test_paper_figures_are_the_sheet_s_per_torch_device(gathered):
    ascend, h100 = gathered
    assert (ascend.paper.peak_flops["bf16"], ascend.paper.memory_bytes_per_s) == (353.9e12, 1.6e12)
    assert (ascend.paper.devices_per_package, h100.paper.devices_per_package) == (2, 1)
    assert (ascend.paper.tdp_w, ascend.paper.facts["design power (TDP)"]) == (None, "not published")
    assert h100.paper.tdp_w == 700.0


def test_curves_over_the_batch_are_of_every_common_precision_and_of_the_own_8_bit_path_over_context_of_the_smallest(
    gathered,
):
    for side, own in zip(gathered, ("int8", "fp8"), strict=True):
        assert {row.dtype for row in side.sweep if row.batch == 2} == {"int8", "bf16", own}
        assert {row.dtype for row in side.sweep if row.context == 2048} == {"int8"}


def test_a_sweep_ends_where_the_memory_is_full(gathered):
    for side in gathered:
        batches = {row.batch for row in side.sweep if row.dtype == "int8" and row.context == 4096}
        assert 1 in batches
        assert max(batches) < BATCHES[-1]
        assert all(row.status == "ok" for row in side.sweep if row.batch == 2)


def test_routings_grow_from_even_experts(gathered):
    for side in gathered:
        assert [row.routing for row in side.routings][:2] == ["uniform", "zipf0.2"]
        steps = [row.step_s for row in side.routings]
        assert steps == sorted(steps)


def test_a_dense_model_has_no_routings():
    (side,) = gather(("h100-sxm",), ("llama-3.1-8b-decode",), {}, [])
    assert side.routings == []


def test_at_targets_holds_the_asked_one_only(gathered):
    assert {row.case_id.partition(",")[0] for row in gathered[1].at_targets} == {"deepseek-r1-decode[tpot<=50ms"}


def test_a_measured_device_that_matched_a_sheet_has_that_sheet_s_figures(row, environment, monkeypatch):
    told = {"cuda:0": {"name": "NVIDIA H200", "sheet": "h200-sxm (by the name 'NVIDIA H200' and 141 GB)"}}
    ran = Operand("run", [row(device="cuda:0")], environment(devices=told))
    monkeypatch.setattr("bench.commands.sides.read_operands", lambda *_: [ran])
    (side,) = gather(("run.json",), (), {}, [])
    assert side.paper.peak_flops["bf16"] == 989.4e12
    assert (side.paper.facts["name"], side.paper.sheet) == ("NVIDIA H200", "h200-sxm")
