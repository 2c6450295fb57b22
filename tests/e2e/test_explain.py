"""bench explain: metrics in words, rows with their inputs and kernels."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.results.metrics import METRICS

Bench = Callable[..., Any]


def test_every_metric_is_listed_and_explained_with_formula_unit_and_source(bench: Bench) -> None:
    listed = bench("explain", COLUMNS="200").out
    for name in METRICS:
        assert f"\n{name} " in listed
        done = bench("explain", name)
        assert done.code == 0
        assert done.out.startswith(f"{name}: ")
        for part in ("formula", "unit", "source"):
            assert f"\n  {part} " in done.out


def test_every_number_of_a_row_that_people_see_has_its_explanation() -> None:
    shown = {
        "step_s", "ttft_s", "tpot_s", "prompt_tokens_per_s", "output_tokens_per_s", "mfu", "mbu", "mfu_achieved",
        "mbu_achieved", "bound", "interval", "imbalance", "memory_bytes", "flops", "read_bytes", "written_bytes",
        "joules_per_token",
    }  # fmt: skip
    assert shown <= set(METRICS)


def test_metrics_are_there_as_json(bench: Bench) -> None:
    assert [metric["name"] for metric in bench("explain", "--format", "json").json] == list(METRICS)
    assert bench("explain", "mfu", "--format", "json").json["formula"] == "flops / step_s / peak_flops"


def test_a_modelled_row_shows_its_provenance_its_definition_and_its_kernels(bench: Bench) -> None:
    done = bench("explain", "deepseek-r1-decode[b=64,ctx=4k,int8", "-d", "ascend-910c")
    assert done.code == 0
    assert done.out.startswith("deepseek-r1-decode[b=64,ctx=4k,int8,dp128,ep128,uniform] on Ascend 910C")
    assert "modelled" in done.out
    assert "per die" in done.out
    assert "per package" in done.out
    for kernel in ("mla_attention", "o_proj", "absorb_q", "lm_head"):
        assert f"\n{kernel} " in done.out
    assert "time, share and bound of kernels are modelled" in done.out


def test_a_part_of_a_case_id_is_enough(bench: Bench) -> None:
    assert bench("explain", "gemm", "-d", "h100-sxm").out.startswith("gemm[m=1,n=4k,k=4k,bf16] on H100")


@pytest.mark.slow
def test_a_measured_row_shows_its_samples_warm_up_check_and_operators(bench: Bench, measured: Any) -> None:
    done = bench("explain", "mini-dense-decode[b=1", "--run", str(measured.run_files[0]))
    assert done.code == 0
    for text in ("measured", "samples; warm-up", "stopped", "correct", "relative error", "operators", "down_proj"):
        assert text in done.out
    assert "kernels are not timed one by one" in done.out


def test_a_row_as_json_is_the_row_of_the_file(bench: Bench, modelled: Any) -> None:
    done = bench("explain", "rms-norm[m=1,n=4k,bf16]", "--run", str(modelled.run_files[0]), "--format", "json")
    rows = json.loads(modelled.run_files[0].read_text())["rows"]
    assert done.json == [rows[0]]


def test_a_name_that_is_neither_metric_nor_row_gets_the_nearest(bench: Bench, modelled: Any) -> None:
    done = bench("explain", "rms-norm[m=2,n=4k,bf16]", "--run", str(modelled.run_files[0]))
    assert (done.code, done.out) == (2, "")
    assert "is neither a metric nor a row of" in done.err
    assert "did you mean " in done.err
    assert "'rms-norm[m=1,n=4k,bf16]'" in done.err
    assert done.err.count("\n") == 1
