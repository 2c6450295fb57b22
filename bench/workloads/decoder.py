"""Decoder programs: one forward step of a language model on one device, written once against the operators.

GQA dense (Llama, Qwen), GQA + MoE (Qwen3-MoE, Mixtral, gpt-oss) and MLA + MoE (DeepSeek, Kimi). The same functions are
executed, priced and checked. Comments give shapes: T tokens of this step, H hidden, a device's share under tp and ep.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.operators.interface import Gate, LatentSizes
from bench.workloads.deployment import Deployment
from bench.workloads.expert_plan import plan_experts
from bench.workloads.model import Model, Moe
from bench.workloads.routing import Routing

Ops = Any  # an Operators[Tensor]; the tensor type is the reader's own affair


def decoder_step(ops: Ops, model: Model, deployment: Deployment, routing: Routing) -> Any:
    """Prefill or decode, whichever the operators' step says; returns the logits of each sequence's last token."""
    tp = deployment.tp
    x = ops.embed(ops.weight("embed", (_share(model.vocab, tp), model.hidden), quantized=False))  # [T, H]
    x = ops.all_reduce(x, tp)
    h, residual = x, None
    for names in layer_groups(ops, model):
        for layer, is_moe, window in names:
            h, residual = _norm(ops, model, f"{layer}.attention_norm", h, residual)
            h = _attention(ops, model, deployment, layer, h, window)
            h, residual = _norm(ops, model, f"{layer}.mlp_norm", h, residual)
            h = (
                moe_block(ops, model, deployment, routing, layer, h)
                if is_moe
                else _mlp(ops, layer, h, model.hidden, (model.intermediate or 0) // tp, tp, model.activation_clamp)
            )
    h, residual = _norm(ops, model, "final_norm", h, residual)
    head = "embed" if model.tied_embeddings else "head"
    weight = ops.weight(head, (_share(model.vocab, tp), model.hidden), quantized=False)
    logits = ops.linear(ops.last_token(h), weight, name="lm_head")  # [batch, vocab / tp]
    ops.sample(ops.all_gather(logits, tp))
    return logits


def layer_groups(ops: Ops, model: Model) -> Any:
    """Yield, layer by layer or group by group, [(name, is MoE, window)]; alike layers are one `repeat`."""
    window = model.sliding_window
    for kind, count in (("dense", model.dense_layers), ("moe", model.moe_layers)):
        is_moe = kind == "moe"
        if window is None:
            for name in ops.repeat(kind, count):
                yield [(name, is_moe, None)]
        else:
            # gpt-oss alternates a sliding-window layer and a full one.
            for name in ops.repeat(f"{kind}_pair", count // 2):
                yield [(f"{name}.sliding", is_moe, window), (f"{name}.full", is_moe, None)]
            for name in ops.repeat(kind, count % 2):
                yield [(name, is_moe, window)]


def _norm(ops: Ops, model: Model, name: str, h: Any, residual: Any) -> Any:
    return ops.rms_norm(h, ops.weight(name, (model.hidden,), quantized=False), model.norm_eps, residual)


def _share(size: int, ranks: int) -> int:
    """A rank's part of a dimension that need not divide (engines pad the vocabulary)."""
    return -(-size // ranks)


def _attention(ops: Ops, model: Model, deployment: Deployment, layer: str, h: Any, window: int | None) -> Any:
    heads = model.heads // deployment.tp
    if model.mla is not None:
        out, width = _mla(ops, model, layer, h, heads), heads * model.mla.v_head_dim
    else:
        out, width = _gqa(ops, model, deployment, layer, h, heads, window), heads * (model.head_dim or 0)
    weight = ops.weight(f"{layer}.o", (model.hidden, width))
    bias = ops.weight(f"{layer}.o_bias", (model.hidden,), quantized=False) if model.output_bias else None
    return ops.all_reduce(ops.linear(ops.quantize(out), weight, bias, name="o_proj"), deployment.tp)


def _gqa(ops: Ops, model: Model, deployment: Deployment, layer: str, h: Any, heads: int, window: int | None) -> Any:
    """Grouped-query attention, arXiv:2305.13245: h [T, H] to [T, heads * d]."""
    d = model.head_dim or 0
    kv_heads = max(1, (model.kv_heads or 0) // deployment.tp)
    width = (heads + 2 * kv_heads) * d
    bias = ops.weight(f"{layer}.qkv_bias", (width,), quantized=False) if model.qkv_bias else None
    qkv = ops.linear(ops.quantize(h), ops.weight(f"{layer}.qkv", (width, model.hidden)), bias, name="qkv_proj")
    q, k, v = ops.split(qkv, (heads * d, kv_heads * d, kv_heads * d))
    if model.qk_norm:
        q, _ = ops.rms_norm(q, ops.weight(f"{layer}.q_norm", (d,), quantized=False), model.norm_eps)
        k, _ = ops.rms_norm(k, ops.weight(f"{layer}.k_norm", (d,), quantized=False), model.norm_eps)
    q = ops.rope(q, heads, model.rope_theta)
    k = ops.rope(k, kv_heads, model.rope_theta)
    keys = ops.append(f"{layer}.k", k, kv_heads)  # [batch, context, kv_heads * d]
    values = ops.append(f"{layer}.v", v, kv_heads)
    sinks = ops.weight(f"{layer}.sinks", (heads,), quantized=False) if model.attention_sinks else None
    return ops.attention(
        q, keys, values, heads=heads, kv_heads=kv_heads, scale=d**-0.5, window=window, sinks=sinks
    )  # fmt: skip


def _mla(ops: Ops, model: Model, layer: str, h: Any, heads: int) -> Any:
    """Multi-head latent attention, arXiv:2405.04434: h [T, H] to [T, heads * v].

    Prefill expands the latent to keys and values; decode folds that expansion into the query and the output
    ("absorbed"), so that only the latent is read.
    """
    m, index = model.mla, model.indexer
    assert m is not None
    nope, rope, rank, v = m.qk_nope_dim, m.qk_rope_dim, m.kv_lora_rank, m.v_head_dim
    scale = (nope + rope) ** -0.5 * m.softmax_scale_factor
    limit = None if index is None else index.top_k

    if ops.step.phase == "prefill":
        q_nope, q_rope, latents, ropes, selected = _mla_inputs(ops, model, layer, h, heads)
        kv_b = ops.weight(f"{layer}.kv_b", (heads * (nope + v), rank))
        expansion = ops.linear(ops.quantize(ops.flatten(latents)), kv_b, name="kv_b_proj")
        return ops.mla_attention(
            q_nope, q_rope, latents, ropes,
            heads=heads, scale=scale, expansion=expansion, selected=selected, limit=limit,
        )  # fmt: skip
    sizes = LatentSizes(
        model.hidden, heads, m.q_lora_rank, rank, nope, rope, model.norm_eps, model.rope_theta, index is not None
    )
    separate = partial(_absorbed_inputs, ops, model, layer, h, heads)
    q_latent, q_rope, latents, ropes, selected = ops.mla_prolog(layer, h, sizes, separate)
    out = ops.mla_attention(q_latent, q_rope, latents, ropes, heads=heads, scale=scale, selected=selected, limit=limit)
    return ops.head_linear(out, ops.weight(f"{layer}.v_up", (heads, rank, v), quantized=False), name="absorb_v")


def _absorbed_inputs(ops: Ops, model: Model, layer: str, h: Any, heads: int) -> Any:
    """What `mla_prolog` returns, by separate operators: the queries [T, heads * rank] meet the latent itself."""
    m = model.mla
    assert m is not None
    q_nope, *others = _mla_inputs(ops, model, layer, h, heads)
    # The absorbed halves of kv_b stay 16-bit in every engine known: they multiply activations head by head.
    k_up = ops.weight(f"{layer}.k_up", (heads, m.qk_nope_dim, m.kv_lora_rank), quantized=False)
    return ops.head_linear(q_nope, k_up, name="absorb_q"), *others


def _mla_inputs(ops: Ops, model: Model, layer: str, h: Any, heads: int) -> Any:
    """Queries [T, heads * nope] and [T, heads * rope], visible latents and rotary keys, and what an indexer selects."""
    m = model.mla
    assert m is not None
    nope, rope, rank = m.qk_nope_dim, m.qk_rope_dim, m.kv_lora_rank
    x = ops.quantize(h)
    if m.q_lora_rank is not None:
        down = ops.linear(
            x, ops.weight(f"{layer}.qkv_a", (m.q_lora_rank + rank + rope, model.hidden)), name="qkv_a_proj"
        )  # fmt: skip
        compressed, latent, k_rope = ops.split(down, (m.q_lora_rank, rank, rope))
        norm = ops.weight(f"{layer}.q_a_norm", (m.q_lora_rank,), quantized=False)
        compressed, _ = ops.rms_norm(compressed, norm, model.norm_eps)
        query_in = ops.quantize(compressed)
        q = ops.linear(query_in, ops.weight(f"{layer}.q_b", (heads * (nope + rope), m.q_lora_rank)), name="q_b_proj")
    else:
        query_in = x
        width = heads * (nope + rope)
        both = ops.linear(x, ops.weight(f"{layer}.q_kv_a", (width + rank + rope, model.hidden)), name="q_kv_a_proj")
        q, latent, k_rope = ops.split(both, (width, rank, rope))
    latent, _ = ops.rms_norm(latent, ops.weight(f"{layer}.kv_norm", (rank,), quantized=False), model.norm_eps)
    q_nope = ops.take(q, heads, 0, nope)  # [T, heads * nope]
    q_rope = ops.rope(ops.take(q, heads, nope, nope + rope), heads, model.rope_theta)
    k_rope = ops.rope(k_rope, 1, model.rope_theta)
    latents = ops.append(f"{layer}.latent", latent, 1)  # [batch, context, rank]
    ropes = ops.append(f"{layer}.k_rope", k_rope, 1)  # [batch, context, rope]
    selected = None if model.indexer is None else _indexer(ops, model, layer, h, query_in)
    return q_nope, q_rope, latents, ropes, selected


def _indexer(ops: Ops, model: Model, layer: str, h: Any, query_in: Any) -> Any:
    """DeepSeek-V3.2's lightning indexer: small heads score every cached token, the best top_k are kept."""
    index, m = model.indexer, model.mla
    assert index is not None
    assert m is not None
    d, heads = index.head_dim, index.heads
    q_weight = ops.weight(f"{layer}.index_q", (heads * d, m.q_lora_rank or model.hidden))
    q = ops.rope(ops.linear(query_in, q_weight, name="index_q_proj"), heads, model.rope_theta)
    k = ops.linear(ops.quantize(h), ops.weight(f"{layer}.index_k", (d, model.hidden)), name="index_k_proj")
    norm = ops.weight(f"{layer}.index_norm", (d,), quantized=False)
    norm_bias = ops.weight(f"{layer}.index_norm_bias", (d,), quantized=False)
    k = ops.rope(ops.layer_norm(k, norm, norm_bias), 1, model.rope_theta)
    keys = ops.append(f"{layer}.index_keys", k, 1)
    mixing = ops.weight(f"{layer}.index_weights", (heads, model.hidden), quantized=False)
    weights = ops.linear(h, mixing, name="index_weights_proj")  # [T, heads]
    return ops.select(q, keys, weights, heads=heads, top_k=index.top_k)


def _mlp(ops: Ops, layer: str, h: Any, hidden: int, width: int, tp: int, clamp: float | None = None) -> Any:
    """Gated MLP on [T, H]; `width` is this rank's part of the intermediate dimension."""
    gate_up = ops.linear(ops.quantize(h), ops.weight(f"{layer}.gate_up", (2 * width, hidden)), name="gate_up_proj")
    inner = ops.quantize(ops.swiglu(gate_up, clamp))
    return ops.all_reduce(ops.linear(inner, ops.weight(f"{layer}.down", (hidden, width)), name="down_proj"), tp)


def moe_block(ops: Ops, model: Model, deployment: Deployment, routing: Routing, layer: str, h: Any) -> Any:
    """Mixture of experts on [T, H]: route, dispatch to the experts' ranks, two grouped products, combine."""
    moe = model.moe
    assert moe is not None
    pooled = deployment.pooled_dp
    plan = plan_experts(routing, ops.step.tokens * pooled, moe.experts, moe.top_k, deployment.ep, executes=ops.executes)
    width = moe.intermediate // deployment.expert_tp
    here = plan.experts_here

    router = ops.weight(f"{layer}.router", (moe.experts, model.hidden), quantized=False)
    router_bias = ops.weight(f"{layer}.router_bias", (moe.experts,), quantized=False) if moe.router_bias else None
    scores = ops.linear(h, router, router_bias, name="router")  # [T, experts]
    choosing = ops.weight(f"{layer}.choosing_bias", (moe.experts,), quantized=False) if moe.choosing_bias else None
    routed = ops.route(scores, choosing, gate_of(moe), plan)

    shared = None
    if moe.shared_experts:
        inner = moe.shared_experts * moe.intermediate
        shared = _mlp(ops, f"{layer}.shared", h, model.hidden, _share(inner, deployment.tp), 1, model.activation_clamp)

    # Where tokens of several data-parallel ranks meet, rows travel; else every rank has them already.
    ranks = deployment.ep if pooled > 1 else 1
    rows = ops.dispatch(ops.quantize(h), routed, ranks=ranks)  # [rows, H]
    up_bias = ops.weight(f"{layer}.up_bias", (here, 2 * width), quantized=False) if moe.expert_bias else None
    down_bias = ops.weight(f"{layer}.down_bias", (here, model.hidden), quantized=False) if moe.expert_bias else None
    up = ops.weight(f"{layer}.experts_up", (here, 2 * width, model.hidden))
    down = ops.weight(f"{layer}.experts_down", (here, model.hidden, width))
    rows = ops.grouped_linear(rows, up, routed, up_bias, name="experts_up")
    rows = ops.quantize(ops.swiglu(rows, model.activation_clamp))
    rows = ops.grouped_linear(rows, down, routed, down_bias, name="experts_down")
    return ops.all_reduce(ops.combine(rows, routed, shared, ranks=ranks), deployment.tp)


def gate_of(moe: Moe) -> Gate:
    """Return the routing rule of a model for the `route` operator."""
    return Gate(moe.top_k, moe.scoring, moe.normalize, moe.scale, moe.groups, moe.groups_kept)


def moe_layer(ops: Ops, model: Model, deployment: Deployment, routing: Routing) -> Any:
    """One MoE block alone, on random activations [T, H]; repeated over copies so that weights come from memory."""
    out = None
    for name in ops.repeat("copy", 1):
        h = ops.input(f"{name}.x", (ops.step.tokens, model.hidden))
        out = moe_block(ops, model, deployment, routing, name, h)
    return out
