"""What precedes latent attention: the projections of queries and keys with their norms and rotary embedding."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_npu.checks import (
    HALVES,
    need,
    need_contiguous,
    need_shape,
    need_types,
    paired_to_halves,
    quantized,
    rms,
    rotate_half,
)  # fmt: skip

# The only sizes that the kernels of CANN are built for (DeepSeek-V3's).
HIDDEN, Q_RANK, RANK, NOPE, ROPE = (7168, 7680), 1536, 512, 128, 64
# weight_quant_mode: nothing in 8 bit, or tokens and the three matrices in int8 with a cache that is not.
NO_INT8, ALL_INT8 = 0, 2
# Scales of the tokens and of the columns of the matrices.
Scales = tuple[Tensor, Tensor, Tensor, Tensor]


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of neighbouring pairs, in float32; the result holds halves."""
    halves = paired_to_halves(x.float())
    return halves * cos.float() + rotate_half(halves) * sin.float()


def _prolog(
    name: str, x: Tensor, dq: Tensor, uq_qr: Tensor, uk: Tensor, dkv_kr: Tensor, gamma_cq: Tensor, gamma_ckv: Tensor,
    sin: Tensor, cos: Tensor, index: Tensor | None, kv_cache: Tensor, kr_cache: Tensor, eps_cq: float, eps_ckv: float,
    cache_mode: str, block_sizes: range | tuple[int, ...], scales: Scales | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(absorbed query, its rotary part, normalised low-rank query); the caches are written in place."""
    whole = torch.bfloat16 if scales is None else torch.int8
    need_types(name, (whole,), token_x=x, weight_dq=dq, weight_uq_qr=uq_qr, weight_dkv_kr=dkv_kr)
    need_types(
        name, (torch.bfloat16,), weight_uk=uk, rmsnorm_gamma_cq=gamma_cq, rmsnorm_gamma_ckv=gamma_ckv, rope_sin=sin,
        rope_cos=cos, kv_cache=kv_cache, kr_cache=kr_cache,
    )  # fmt: skip
    need_contiguous(name, token_x=x, weight_uk=uk, rope_sin=sin, rope_cos=cos, kv_cache=kv_cache, kr_cache=kr_cache)
    need(
        x.dim() in (2, 3) and x.shape[-1] in HIDDEN, name, f"token_x is {tuple(x.shape)}; its width must be in {HIDDEN}"
    )
    heads, lead = uk.shape[0], tuple(x.shape[:-1])
    need(heads in (1, 2, 4, 8, 16, 32, 64, 128), name, f"{heads} heads: a power of two up to 128")
    need_shape(name, "weight_dq", dq, (x.shape[-1], Q_RANK))
    need_shape(name, "weight_uq_qr", uq_qr, (Q_RANK, heads * (NOPE + ROPE)))
    need_shape(name, "weight_uk", uk, (heads, NOPE, RANK))
    need_shape(name, "weight_dkv_kr", dkv_kr, (x.shape[-1], RANK + ROPE))
    need_shape(name, "rmsnorm_gamma_cq", gamma_cq, (Q_RANK,))
    need_shape(name, "rmsnorm_gamma_ckv", gamma_ckv, (RANK,))
    need_shape(name, "rope_sin", sin, (*lead, ROPE))
    need_shape(name, "rope_cos", cos, (*lead, ROPE))
    need(cache_mode == "PA_BSND", name, f"the fake's cache_mode is PA_BSND, not {cache_mode}")
    need(index is not None, name, "cache_index is missing")
    assert index is not None
    need_types(name, (torch.int64,), cache_index=index)
    need_shape(name, "cache_index", index, lead)
    blocks, size = kv_cache.shape[:2]
    need(size in block_sizes, name, f"block size {size}")
    need_shape(name, "kv_cache", kv_cache, (blocks, size, 1, RANK))
    need_shape(name, "kr_cache", kr_cache, (blocks, size, 1, ROPE))
    if scales is None:
        low, _ = rms(x.float() @ dq.float(), gamma_cq, eps_cq)
        up = low.to(uk.dtype).float() @ uq_qr.float()
        down = x.float() @ dkv_kr.float()
    else:
        of_x, of_dq, of_uq_qr, of_dkv_kr = scales
        need_types(
            name, (torch.float32,), dequant_scale_x=of_x, dequant_scale_w_dq=of_dq, dequant_scale_w_uq_qr=of_uq_qr,
            dequant_scale_w_dkv_kr=of_dkv_kr,
        )  # fmt: skip
        need_shape(name, "dequant_scale_x", of_x, (index.numel(), 1))
        for what, scale, matrix in (("dq", of_dq, dq), ("uq_qr", of_uq_qr, uq_qr), ("dkv_kr", of_dkv_kr, dkv_kr)):
            need_shape(name, f"dequant_scale_w_{what}", scale, (1, matrix.shape[1]))
        of_x = of_x.view(*lead, 1)
        low, _ = rms(x.float() @ dq.float() * of_x * of_dq, gamma_cq, eps_cq)
        small, of_low = quantized(low)
        up = small.float() @ uq_qr.float() * of_low.unsqueeze(-1) * of_uq_qr
        down = x.float() @ dkv_kr.float() * of_x * of_dkv_kr
    up = up.unflatten(-1, (heads, NOPE + ROPE))
    query = torch.einsum("...nd,ndr->...nr", up[..., :NOPE].to(uk.dtype).float(), uk.float())
    rotary = turned(up[..., NOPE:], cos.unsqueeze(-2), sin.unsqueeze(-2))
    places = index.flatten()
    need(bool(((places >= 0) & (places < blocks * size)).all()), name, "a cache_index beyond the cache")
    kv_cache.view(-1, RANK)[places] = rms(down[..., :RANK], gamma_ckv, eps_ckv)[0].to(uk.dtype).view(-1, RANK)
    kr_cache.view(-1, ROPE)[places] = turned(down[..., RANK:], cos, sin).to(uk.dtype).view(-1, ROPE)
    return query.to(uk.dtype).contiguous(), rotary.to(uk.dtype).contiguous(), low.to(uk.dtype)


def npu_mla_prolog_v2(
    token_x: Tensor, weight_dq: Tensor, weight_uq_qr: Tensor, weight_uk: Tensor, weight_dkv_kr: Tensor,
    rmsnorm_gamma_cq: Tensor, rmsnorm_gamma_ckv: Tensor, rope_sin: Tensor, rope_cos: Tensor, cache_index: Tensor,
    kv_cache: Tensor, kr_cache: Tensor, rmsnorm_epsilon_cq: float = 1e-5, rmsnorm_epsilon_ckv: float = 1e-5,
    cache_mode: str = "PA_BSND",
) -> tuple[Tensor, ...]:  # fmt: skip
    """(query, query_rope, kv_cache, kr_cache, dequant_scale_q_nope)."""
    query, rotary, _ = _prolog(
        "npu_mla_prolog_v2", token_x, weight_dq, weight_uq_qr, weight_uk, weight_dkv_kr, rmsnorm_gamma_cq,
        rmsnorm_gamma_ckv, rope_sin, rope_cos, cache_index, kv_cache, kr_cache, rmsnorm_epsilon_cq, rmsnorm_epsilon_ckv,
        cache_mode, (16, 128),
    )  # fmt: skip
    return query, rotary, kv_cache, kr_cache, torch.zeros(1)


def npu_mla_prolog_v3(
    token_x: Tensor, weight_dq: Tensor, weight_uq_qr: Tensor, weight_uk: Tensor, weight_dkv_kr: Tensor,
    rmsnorm_gamma_cq: Tensor, rmsnorm_gamma_ckv: Tensor, rope_sin: Tensor, rope_cos: Tensor, kv_cache: Tensor,
    kr_cache: Tensor, cache_index: Tensor | None = None, dequant_scale_x: Tensor | None = None,
    dequant_scale_w_dq: Tensor | None = None, dequant_scale_w_uq_qr: Tensor | None = None,
    dequant_scale_w_dkv_kr: Tensor | None = None, rmsnorm_epsilon_cq: float = 1e-5, rmsnorm_epsilon_ckv: float = 1e-5,
    cache_mode: str = "PA_BSND", query_norm_flag: bool = False, weight_quant_mode: int = NO_INT8,
) -> tuple[Tensor, ...]:  # fmt: skip
    """(query, query_rope, dequant_scale_q_nope, query_norm, dequant_scale_q_norm)."""
    name = "npu_mla_prolog_v3"
    given = (dequant_scale_x, dequant_scale_w_dq, dequant_scale_w_uq_qr, dequant_scale_w_dkv_kr)
    need(
        weight_quant_mode in (NO_INT8, ALL_INT8),
        name,
        f"the fake's weight_quant_mode is 0 or 2, not {weight_quant_mode}",
    )
    scales = tuple(scale for scale in given if scale is not None)
    wanted = len(given) if weight_quant_mode == ALL_INT8 else 0
    need(len(scales) == wanted, name, f"weight_quant_mode {weight_quant_mode} takes {wanted} scales, not {len(scales)}")
    need(not (wanted and query_norm_flag), name, "the fake's query_norm is not in int8")
    query, rotary, low = _prolog(
        name, token_x, weight_dq, weight_uq_qr, weight_uk, weight_dkv_kr, rmsnorm_gamma_cq,
        rmsnorm_gamma_ckv, rope_sin, rope_cos, cache_index, kv_cache, kr_cache, rmsnorm_epsilon_cq, rmsnorm_epsilon_ckv,
        cache_mode, range(16, 1025, 16), scales or None,
    )  # fmt: skip
    norm = low if query_norm_flag else torch.zeros(1, dtype=token_x.dtype)
    return query, rotary, torch.zeros(1), norm, torch.zeros(1)


def npu_kv_rmsnorm_rope_cache(
    kv: Tensor, gamma: Tensor, cos: Tensor, sin: Tensor, index: Tensor, k_cache: Tensor, ckv_cache: Tensor,
    epsilon: float = 1e-5, cache_mode: str = "Norm", is_output_kv: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """(k_cache, ckv_cache, rotary keys, normalised latents) of kv [B, 1, S, 576]; the caches are written in place."""
    name = "npu_kv_rmsnorm_rope_cache"
    need_types(name, HALVES, kv=kv)
    for what, tensor in (("gamma", gamma), ("cos", cos), ("sin", sin), ("k_cache", k_cache), ("ckv_cache", ckv_cache)):
        need(tensor.dtype == kv.dtype, name, f"{what} is {tensor.dtype}, kv is {kv.dtype}")
    need_types(name, (torch.int64,), index=index)
    need(kv.dim() == 4, name, "kv must have four dimensions")
    batch, _, new, _ = kv.shape
    need_shape(name, "kv", kv, (batch, 1, new, RANK + ROPE))
    need_shape(name, "gamma", gamma, (RANK,))
    need_shape(name, "cos", cos, (batch, 1, new, ROPE))
    need_shape(name, "sin", sin, (batch, 1, new, ROPE))
    latent = rms(kv[..., :RANK], gamma, epsilon)[0].to(kv.dtype)
    keys = turned(kv[..., RANK:], cos, sin).to(kv.dtype)
    need(
        cache_mode in ("Norm", "PA", "PA_BNSD"), name, f"the fake's cache_mode is Norm, PA or PA_BNSD, not {cache_mode}"
    )
    if cache_mode == "Norm":
        need_shape(name, "index", index, (batch, new))
        for cache, rows in ((k_cache, keys), (ckv_cache, latent)):
            need_shape(name, "cache", cache, (batch, 1, cache.shape[2], rows.shape[-1]))
            cache[torch.arange(batch)[:, None], 0, index] = rows[:, 0]
    else:
        need_shape(name, "index", index, (batch * new,))
        for cache, rows in ((k_cache, keys), (ckv_cache, latent)):
            need_shape(name, "cache", cache, (*cache.shape[:2], 1, rows.shape[-1]))
            cache.view(-1, rows.shape[-1])[index] = rows.reshape(-1, rows.shape[-1])
    if not is_output_kv:
        keys, latent = torch.full_like(keys, float("nan")), torch.full_like(latent, float("nan"))
    return k_cache, ckv_cache, keys, latent


OPERATORS = {
    "npu_mla_prolog_v2": npu_mla_prolog_v2,
    "npu_mla_prolog_v3": npu_mla_prolog_v3,
    "npu_kv_rmsnorm_rope_cache": npu_kv_rmsnorm_rope_cache,
}
