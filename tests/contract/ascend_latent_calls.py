"""Calls of what precedes latent attention, each with its answer worked out in plain float32."""

from __future__ import annotations

import torch
import torch_npu
from ascend_plain import BF16, INT8, Compared, case, draw, there, turned
from torch import Tensor


def _latent_weights(heads: int) -> list[Tensor]:
    shapes = ((7168, 1536), (1536, heads * 192), (heads, 128, 512), (7168, 576), (1536,), (512,))
    return [(torch.randn(*s) * s[0] ** -0.5 if len(s) > 1 else torch.randn(*s)).to(BF16) for s in shapes]


def _prolog(name: str) -> Compared:
    heads, places = 2, torch.tensor([3, 130, 250])
    dq, uq, uk, dkv, gamma_q, gamma_kv = weights = _latent_weights(heads)
    x, sin, cos = draw(3, 7168), draw(3, 64), draw(3, 64)
    caches = there(torch.zeros(2, 128, 1, 512, dtype=BF16)), there(torch.zeros(2, 128, 1, 64, dtype=BF16))
    formatted = [there(w) if w is uk or w.dim() == 1 else torch_npu.npu_format_cast(there(w), 29) for w in weights]
    if name == "v2":
        query, rotary, *_ = torch_npu.npu_mla_prolog_v2(
            there(x), *formatted, there(sin), there(cos), there(places), *caches
        )
    else:
        query, rotary, *_ = torch_npu.npu_mla_prolog_v3(
            there(x), *formatted, there(sin), there(cos), *caches, cache_index=there(places)
        )

    up = (normed(x.float() @ dq.float(), gamma_q) @ uq.float()).view(3, heads, 192)
    down = x.float() @ dkv.float()
    written = [cache.cpu().flatten(0, 2)[places] for cache in caches]
    return [*_queries(query, rotary, up, uk, cos, sin), *_keys(written, down, gamma_kv, cos, sin)]


def _queries(query: Tensor, rotary: Tensor, up: Tensor, uk: Tensor, cos: Tensor, sin: Tensor) -> Compared:
    return [
        (query, torch.einsum("thd,hdr->thr", up[..., :128], uk.float())),
        (rotary, turned(halves(up[..., 128:]), cos[:, None], sin[:, None])),
    ]


def _keys(written: list[Tensor], down: Tensor, gamma: Tensor, cos: Tensor, sin: Tensor) -> Compared:
    return [(written[0], normed(down[:, :512], gamma)), (written[1], turned(halves(down[:, 512:]), cos, sin))]


def normed(row: Tensor, gamma: Tensor) -> Tensor:
    return row / (row.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gamma.float()


def halves(row: Tensor) -> Tensor:
    return torch.cat([row[..., ::2], row[..., 1::2]], -1)


@case
def latent_prolog_v2() -> Compared:
    return _prolog("v2")


@case
def latent_prolog_v3() -> Compared:
    return _prolog("v3")


@case
def latent_prolog_v3_in_int8() -> Compared:
    heads, places = 2, torch.tensor([3, 130, 250])
    _, _, uk, _, gamma_q, gamma_kv = _latent_weights(heads)
    x, sin, cos = draw(3, 7168, dtype=INT8), draw(3, 64), draw(3, 64)
    dq, uq, dkv = (draw(*shape, dtype=INT8) for shape in ((7168, 1536), (1536, heads * 192), (7168, 576)))
    # Sums of so many products come to about one.
    scale = [
        torch.rand(3, 1) / 5e3,
        *((torch.rand(1, n) + 0.5) / s for n, s in ((1536, 90), (heads * 192, 3e3), (576, 90))),
    ]
    caches = there(torch.zeros(2, 128, 1, 512, dtype=BF16)), there(torch.zeros(2, 128, 1, 64, dtype=BF16))
    query, rotary, *_ = torch_npu.npu_mla_prolog_v3(
        there(x), *(torch_npu.npu_format_cast(there(w), 29) for w in (dq, uq)), there(uk),
        torch_npu.npu_format_cast(there(dkv), 29), there(gamma_q), there(gamma_kv), there(sin), there(cos), *caches,
        cache_index=there(places), dequant_scale_x=there(scale[0]), dequant_scale_w_dq=there(scale[1]),
        dequant_scale_w_uq_qr=there(scale[2]), dequant_scale_w_dkv_kr=there(scale[3]), weight_quant_mode=2,
    )  # fmt: skip
    low = normed((x.double() @ dq.double() * scale[0] * scale[1]).float(), gamma_q)
    step = low.abs().amax(-1, keepdim=True) / 127
    up = ((low / step).round() @ uq.float() * step * scale[2]).view(3, heads, 192)
    down = (x.double() @ dkv.double() * scale[0] * scale[3]).float()
    written = [cache.cpu().flatten(0, 2)[places] for cache in caches]
    return [*_queries(query, rotary, up, uk, cos, sin), *_keys(written, down, gamma_kv, cos, sin)]


@case
def latent_cache_of_norm_and_rope() -> Compared:
    kv, gamma, cos, sin = draw(2, 1, 1, 576), draw(512), draw(2, 1, 1, 64), draw(2, 1, 1, 64)
    k_cache, c_cache = there(torch.zeros(4, 16, 1, 64, dtype=BF16)), there(torch.zeros(4, 16, 1, 512, dtype=BF16))
    places = torch.tensor([5, 40])
    _, _, keys, latent = torch_npu.npu_kv_rmsnorm_rope_cache(
        there(kv),
        there(gamma),
        there(cos),
        there(sin),
        there(places),
        k_cache,
        c_cache,
        cache_mode="PA_BNSD",
        is_output_kv=True,
    )
    c, r = kv[..., :512].float(), kv[..., 512:]
    right_c = c / (c.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gamma.float()
    right_k = turned(torch.cat([r[..., ::2], r[..., 1::2]], -1), cos, sin)
    return [
        (keys, right_k), (latent, right_c), (k_cache.cpu().view(-1, 64)[places], right_k.view(2, 64)),
        (c_cache.cpu().view(-1, 512)[places], right_c.view(2, 512)),
    ]  # fmt: skip
