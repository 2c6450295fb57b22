"""What precedes latent attention on the fake Ascend device, at DeepSeek-R1's sizes with fewer heads; prints JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
import torch_npu
from adapter_setup import MODELS, WORKLOADS, case_of, changed, opened, row_of, stand_in_a_project

from bench.measure.correctness import Plan, check
from bench.operators.interface import LatentSizes, Step

PROLOG = "npu_mla_prolog_v3"
R1 = LatentSizes(7168, 32, 1536, 512, 128, 64, 1e-6, 1e4, False)
# One layer of DeepSeek-R1 with a quarter of its heads, and little behind its attention.
MODELS["r1"] = (
    "layers = 1\nhidden = 7168\nheads = 32\nintermediate = 96\nvocab = 97\nnorm_eps = 1e-6\n"
    "[mla]\nq_lora_rank = 1536\nkv_lora_rank = 512\nqk_nope_dim = 128\nqk_rope_dim = 64\nv_head_dim = 128\n"
)
WORKLOADS["r1-decode"] = 'phase = "decode"\nmodel = "r1"\nbatch = 2\ncontext = 256\n'


def ran(device: Any, workload: str, dtype: str, **overrides: Any) -> tuple[dict[str, Any], Any, tuple[Any, ...]]:
    """(answer against the float32 reference, the operators, what latent attention was given)."""
    case = case_of(workload, dtype, **overrides)
    operators = device.operators(case.step(), dtype, 1, None)
    attention, given = operators.mla_attention, []

    def seen(*tensors: Any, **options: Any) -> Any:
        given.extend(tensors)
        return attention(*tensors, **options)

    operators.mla_attention = seen
    checked = check(case.program(), operators, Plan(case.step(), None, "all"), dtype)
    return {"correct": checked.correct, "detail": checked.detail, "used": dict(operators.used)}, operators, tuple(given)


def differences(fused: tuple[Any, ...], apart: tuple[Any, ...]) -> list[float]:
    """Relative error of each operand of attention, one kernel against its parts; of the caches, the newest rows."""
    found = []
    for one, other in zip(fused, apart, strict=True):
        a, b = (x.cpu().float() for x in (one, other))
        a, b = (x[:, :, -1] if x.dim() == 4 else x.flatten(1) for x in (a, b))
        found.append(float((a - b).norm() / b.norm()))
    return found


def alike(device: Any, dtype: str) -> dict[str, Any]:
    """The kernel beside its parts, and what is kept of the weights."""
    told, operators, fused = ran(device, "r1-decode", dtype)
    kept = operators._prologs["dense0"]
    with changed(torch_npu, PROLOG, ...):
        without, parts, apart = ran(device, "r1-decode", dtype)
    if dtype == "int8":
        originals = [parts._weights_8bit[f"dense0.{name}"].values for name in ("qkv_a", "q_b")]
    else:
        originals = [parts._kept[f"dense0.{name}"] for name in ("qkv_a", "q_b")]
    return {
        **told, "without": without, "differences": differences(fused, apart),
        "bytes": [sum(each.nbytes for key, each in kept.items() if key.startswith("weight_")), sum(m.nbytes for m in originals)],
        "formats": {key: torch_npu.get_npu_format(each) for key, each in kept.items() if key.startswith("weight_")},
        "names": sorted(name for name in (*operators._kept, *operators._weights_8bit) if name.startswith("dense0.")),
        "made once": operators._prolog_weights("dense0", R1) is kept,
    }  # fmt: skip


def replayed(device: Any) -> dict[str, Any]:
    """A captured step writes the caches again: its newest rows before, after they were wiped, and after a replay."""
    case = case_of("r1-decode")
    program = case.program()
    operators = device.operators(case.step(), "bf16", 1, None)
    answer = {}

    def step() -> None:
        answer["logits"] = program(operators)

    with torch.inference_mode():
        step()
        cache = operators._kept["dense0.latent"]
        before, right = cache[:, :, -1].cpu().float(), answer["logits"].cpu()
        launch = device.capture(step)
        cache[:, :, -1] = 0
        launch.run()
        torch.npu.synchronize()
        same = torch.equal(cache[:, :, -1].cpu().float(), before), torch.equal(answer["logits"].cpu(), right)
    row = row_of(device, "r1-decode")
    return {
        "how": launch.how, "same": same, "row": [row.status, row.correct, row.launch],
        "kernel": row.operators.get("mla_prolog"),
    }  # fmt: skip


def reasons(device: Any) -> dict[str, Any]:
    """What is said where the kernel does not take a call: (what ran, the reason)."""
    found = {}

    def asked(what: str, sizes: LatentSizes = R1, step: Step | None = None, dtype: str = "bf16") -> None:
        operators = device.operators(step or Step("decode", 2, 1, 256), dtype, 1, None)
        ran = operators.mla_prolog("layer", None, sizes, lambda: "its parts")
        found[what] = [ran, {key: how for key, how in operators.used.items() if PROLOG in key}]

    asked("fp16", dtype="fp16")
    asked("indexer", replace(R1, indexer=True))
    asked("hidden", replace(R1, hidden=5120))
    asked("no compression", replace(R1, q_rank=None))
    asked("heads", replace(R1, heads=24))
    asked("several tokens", step=Step("decode", 2, 2, 256))
    asked("context", step=Step("decode", 2, 1, 200))
    with changed(torch_npu, "npu_format_cast", ...):
        asked("format")
    with changed(torch_npu, PROLOG, ...):
        asked("missing")
    return found


def main() -> None:
    stand_in_a_project()
    device = opened("ascend")
    small, *_ = ran(device, "latent-decode", "bf16")
    short, *_ = ran(device, "r1-decode", "bf16", context=[200])
    found = {
        "bf16": alike(device, "bf16"), "int8": alike(device, "int8"), "graph": replayed(device),
        "reasons": reasons(device), "small": small, "short": short,
    }  # fmt: skip
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
