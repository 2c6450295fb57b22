"""DeepSeek's decode step on Ascend: all that precedes latent attention is one kernel, or says why it is not."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from . import wheel_check
from .fakes import environment, run_script

KERNEL = "torch_npu.npu_mla_prolog_v3"
APART = "one kernel for each part instead"
REASONS = {
    "fp16": "float16",
    "indexer": "an indexer",
    "hidden": "hidden 5120, queries and keys of rank 1536 and 512, heads of 128 + 64",
    "no compression": "queries that are not compressed",
    "heads": "24 heads",
    "several tokens": "2 new tokens a sequence",
    "context": "a context of 200 is not whole pages of 128",
    "format": "weights that are not in FRACTAL_NZ",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the script found out, and the file of its calls."""
    folder = tmp_path_factory.mktemp("prolog")
    env = environment("torch_npu", folder / "site", FAKE_CACHE_BYTES=4096, FAKE_RECORD=folder / "calls.jsonl")
    done = run_script("ascend_prolog.py", env | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), folder / "calls.jsonl"


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_a_layer_of_deepseek_r1_is_right_with_the_kernel_and_without(found, dtype):
    told = found[0][dtype]
    for each in (told, told["without"]):
        assert each["correct"], each["detail"]
    assert told["used"]["mla_prolog"] == KERNEL
    assert "rope" not in told["used"]
    assert told["without"]["used"]["npu_mla_prolog_v3"] == f"missing in the installed torch_npu: {APART}"
    assert told["without"]["used"]["rope"] == "torch_npu.npu_rotary_mul"


# Roundings to bf16 between the parts; in int8 also compressed queries that round to the next whole number.
@pytest.mark.parametrize(("dtype", "limit"), [("bf16", 1e-2), ("int8", 2e-2)])
def test_attention_gets_from_the_kernel_what_it_gets_from_its_parts(found, dtype, limit):
    differences = found[0][dtype]["differences"]
    assert len(differences) == 4
    assert max(differences) < limit


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_only_the_kernels_own_layout_of_its_weights_is_kept(found, dtype):
    told = found[0][dtype]
    kept, apart = told["bytes"]
    assert kept == apart
    assert not {"dense0.qkv_a", "dense0.q_b"} & set(told["names"])
    assert told["formats"] == {"weight_dq": 29, "weight_uq_qr": 29, "weight_dkv_kr": 29}
    assert told["made once"]


def test_a_captured_step_writes_its_tokens_into_the_cache_at_every_replay(found):
    told = found[0]["graph"]
    assert told == {"how": "graph", "same": [True, True], "row": ["ok", True, "graph"], "kernel": KERNEL}


@pytest.mark.parametrize("what", REASONS)
def test_what_the_kernel_does_not_take_runs_part_by_part_and_says_so(found, what):
    ran, said = found[0]["reasons"][what]
    assert ran == "its parts"
    assert said == {"mla_prolog, not npu_mla_prolog_v3": f"{REASONS[what]}: {APART}"}


def test_every_reason_is_asked_for_and_a_missing_kernel_is_one(found):
    reasons = found[0]["reasons"]
    assert set(reasons) == {*REASONS, "missing"}
    assert reasons["missing"] == [
        "its parts", {"npu_mla_prolog_v3": f"missing in the installed torch_npu: {APART}"}
    ]  # fmt: skip


@pytest.mark.parametrize("case", ["small", "short"])
def test_a_step_that_runs_part_by_part_is_right(found, case):
    told = found[0][case]
    assert told["correct"], told["detail"]
    assert "mla_prolog" not in told["used"]


@pytest.mark.slow
def test_its_calls_are_ones_that_the_wheel_takes(found):
    try:
        outcomes = wheel_check.check_calls(found[1])
    except wheel_check.Unavailable as reason:
        pytest.skip(str(reason))
    assert [(o.operator, o.problems) for o in outcomes if o.status == "wrong"] == []
    assert {o.status for o in outcomes if o.operator == "npu_mla_prolog_v3"} == {"ok"}
