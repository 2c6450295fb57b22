"""The fake torch_npu's fused operators: right by plain formulas, as strict as the vendor's pages say, and recorded."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from .fakes import environment, run_here, run_script

CASES = (
    "attention_of_one_query_over_grouped_heads_bnsd",
    "attention_of_a_whole_prompt_bsh_with_the_compressed_mask",
    "attention_after_a_prefix_bsnd_looks_at_the_prefix",
    "attention_with_a_mask_of_its_own",
    "attention_over_pages_of_packed_sequences",
    "attention_of_packed_prompts_with_wide_keys",
    "latent_attention_over_pages",
    "attention_with_sinks_and_a_window",
    "grouped_products_by_counts_and_by_ends",
    "grouped_products_in_int8",
    "quantized_product",
    "transposed_batched_product",
    "quantized_rows",
    "norms",
    "gates",
    "rotary_embeddings",
    "gating_with_sigmoid_and_groups",
    "gating_with_softmax",
    "routing_there_and_back",
    "routing_to_a_part_of_the_experts",
    "formats_keep_values",
    "latent_prolog_v2",
    "latent_prolog_v3",
    "latent_prolog_v3_in_int8",
    "latent_cache_of_norm_and_rope",
)
# bf16 keeps 8 bits: an answer rounded once is off by at most 2^-9, a chain of roundings by a little more.
LIMIT = 5e-3

HEAD = """
import json, torch, torch_npu as t
BF, F32, I8 = torch.bfloat16, torch.float32, torch.int8
def m(*shape, dtype=BF): return torch.ones(*shape, dtype=dtype, device="npu")
mask = torch.ones(2048, 2048, dtype=torch.bool, device="npu").triu(1)
q, k = m(2, 4, 6, 64), m(2, 4, 10, 64)
fia = lambda **given: t.npu_fused_infer_attention_score(**{**dict(query=q, key=k, value=k, num_heads=4, input_layout="BNSD"), **given})
gmm = lambda x, w, **given: t.npu_grouped_matmul([x], [w], **{**dict(split_item=2, group_type=0, group_list=torch.tensor([3, 3], device="npu"), group_list_type=1), **given})
"""
REFUSED = {
    "gamma of another type": ("t.npu_rms_norm(m(4, 8), m(8, dtype=F32))", "gamma is torch.float32"),
    "gamma of another width": ("t.npu_rms_norm(m(4, 8), m(6))", "last dimensions"),
    "an unknown argument": ("t.npu_rms_norm(m(4, 8), m(8), eps=1e-5)", "Unknown keyword argument 'eps'"),
    "tensors of the CPU": ("t.npu_swiglu(torch.ones(4, 8))", "'CPU' backend"),
    "an odd gate": ("t.npu_swiglu(m(4, 7))", "odd"),
    "attention in float32": ("fia(query=q.float(), key=k.float(), value=k.float())", "query is torch.float32"),
    "attention that is not contiguous": ("fia(key=k.transpose(1, 2).contiguous().transpose(1, 2))", "not contiguous"),
    "attention with another number of heads": ("fia(num_heads=8)", "4 heads, 8 announced"),
    "a causal mask of the prompt's own size": ("fia(sparse_mode=3, atten_mask=mask[:6, :10].contiguous())", "2048 by 2048"),
    "a causal mask the other way round": ("fia(sparse_mode=3, atten_mask=~mask)", "above the diagonal"),
    "a causal mode without a mask": ("fia(sparse_mode=3)", "2048 by 2048"),
    "packed attention without lengths": ("fia(query=m(6, 4, 64), key=m(6, 4, 64), value=m(6, 4, 64), input_layout='TND')", "running ends"),
    "latent attention of 16 heads": (
        "fia(query=m(2, 16, 1, 512), key=m(4, 128, 512), value=m(4, 128, 512), query_rope=m(2, 16, 1, 64), key_rope=m(4, 128, 64), num_heads=16, num_key_value_heads=1,"
        " block_table=m(2, 2, dtype=torch.int32), block_size=128, actual_seq_lengths_kv=[9, 9])", "32, 64 or 128 over 1"),
    "latent attention without pages": (
        "fia(query=m(2, 32, 1, 512), key=m(2, 1, 9, 512), value=m(2, 1, 9, 512), query_rope=m(2, 32, 1, 64), key_rope=m(2, 1, 9, 64), num_heads=32, num_key_value_heads=1)", "needs pages"),
    "a head size that is no multiple of 16": ("fia(query=m(2, 4, 1, 24), key=m(2, 4, 9, 24), value=m(2, 4, 9, 24))", "multiple of 16"),
    "groups counted in int32": ("gmm(m(6, 8), m(2, 8, 4), group_list=torch.tensor([3, 3], dtype=torch.int32, device='npu'))", "group_list is torch.int32"),
    "groups that do not add up": ("gmm(m(7, 8), m(2, 8, 4))", "group_list says 6 rows, x has 7"),
    "int8 experts without scale": ("gmm(m(6, 8, dtype=I8), m(2, 8, 4, dtype=I8), output_dtype=BF)", "int8 needs scale"),
    "experts of another type": ("gmm(m(6, 8), m(2, 8, 4, dtype=torch.float16))", "x is torch.bfloat16"),
    "a bias in bfloat16": ("gmm(m(6, 8), m(2, 8, 4), bias=[m(2, 4)])", "bias is torch.bfloat16"),
    "a scale for the wrong output": (
        "t.npu_quant_matmul(m(4, 8, dtype=I8), m(8, 4, dtype=I8), m(4), pertoken_scale=m(4, dtype=F32), output_dtype=torch.float16)", "scale torch.bfloat16 with output torch.float16"),
    "experts named in int64": ("t.npu_moe_init_routing_v2(m(4, 8), m(4, 2, dtype=torch.int64), active_num=8, expert_num=4, expert_tokens_num_type=1, expert_tokens_num_flag=True, active_expert_range=[0, 4])", "expert_idx is torch.int64"),
    "groups of two experts": ("t.npu_moe_gating_top_k(m(4, 8), 2, group_count=4, k_group=2)", "4 groups of 8"),
    "a rotary embedding of three dimensions": ("t.npu_rotary_mul(m(4, 2, 64), m(4, 1, 64), m(4, 1, 64))", "four dimensions"),
    "an interleaved embedding of 32": ("t.npu_interleave_rope(m(4, 2, 1, 32), m(4, 1, 1, 32), m(4, 1, 1, 32))", "must be 64"),
    "a batched product of 96": ("t.npu_transpose_batchmatmul(m(2, 4, 96), m(2, 96, 128))", "multiples of 128"),
    "a prolog without format": ("t.npu_mla_prolog_v3(*[m(4, 4)] * 11)", "FRACTAL_NZ"),
    "an int8 prolog without scales": (
        "t.npu_mla_prolog_v3(m(4, 4), *[t.npu_format_cast(m(4, 4), 29)] * 4, *[m(4, 4)] * 6, weight_quant_mode=2)", "takes 4 scales, not 0"),
    "scales of a prolog that is not in int8": (
        "t.npu_mla_prolog_v3(m(4, 4), *[t.npu_format_cast(m(4, 4), 29)] * 4, *[m(4, 4)] * 6, dequant_scale_w_dq=m(1, 4, dtype=F32))", "takes 0 scales, not 1"),
    "an argument that the fake does not know": ("fia(pse_shift=m(2, 4, 6, 10))", "does not know what pse_shift"),
}  # fmt: skip


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """Errors of every call against its plain formula, and the recorded lines."""
    folder = tmp_path_factory.mktemp("ascend")
    done = run_script("ascend_calls.py", environment("torch_npu", folder / "site", FAKE_RECORD=folder / "calls.jsonl"))
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    return json.loads(done.stdout), lines


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What each wrong call raised."""
    code = HEAD + "said = {}\n"
    for name, (call, _) in REFUSED.items():
        code += (
            f"try:\n    {call}\n    said[{name!r}] = ''\nexcept Exception as error:\n    said[{name!r}] = str(error)\n"
        )
    done = run_here(code + "print(json.dumps(said))", environment("torch_npu", tmp_path_factory.mktemp("refused")))
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_a_fused_operator_agrees_with_its_plain_formula(called, case):
    assert max(called[0][case]) < LIMIT


def test_every_case_is_asked_for(called):
    assert set(called[0]) == set(CASES)


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_fused_operator_refuses(refusals, wrong):
    assert REFUSED[wrong][1] in refusals[wrong]


def test_a_recorded_call_tells_what_went_in_and_came_out(called):
    line = next(line for line in called[1] if line["operator"] == "npu_rms_norm")
    half = {"shape": [6, 48], "dtype": "bfloat16"}
    assert line == {
        "operator": "npu_rms_norm",
        "overload": "",
        "arguments": {"input": half, "gamma": {"shape": [48], "dtype": "bfloat16"}, "epsilon": 1e-5},
        "outputs": [half, {"shape": [6, 1], "dtype": "float32"}],
    }


def test_a_fused_operator_is_part_of_a_graph(tmp_path):
    code = """
import json, torch, torch_npu
x, cache = torch.ones(2, 8).bfloat16().npu(), torch.zeros(2, 4).bfloat16().npu()
graph = torch.npu.NPUGraph()
with torch.npu.graph(graph):
    cache.copy_(torch_npu.npu_swiglu(x))
before = cache.tolist()
x.fill_(0)
graph.replay()
zero = cache.tolist()
x.fill_(1)
graph.replay()
print(json.dumps([before, zero, torch.equal(cache, torch_npu.npu_swiglu(x))]))
"""
    done = run_here(code, environment("torch_npu", tmp_path))
    assert json.loads(done.stdout) == [[[0, 0, 0, 0]] * 2, [[0, 0, 0, 0]] * 2, True]
