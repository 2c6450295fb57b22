"""Layouts of queries, keys and values: to sequences of [heads, tokens, size] and back."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_npu.checks import need


def sequences(name: str, x: Tensor, layout: str, heads: int, ends: list[int] | None, what: str) -> list[Tensor]:
    """Cut a tensor into its sequences, [heads, tokens, size] each. ends: running ends of packed sequences."""
    if layout in ("TND", "NTD"):
        need(x.dim() == 3, name, f"{what} is {tuple(x.shape)} for {layout}")
        tokens = x.transpose(0, 1) if layout == "TND" else x
        need(tokens.shape[0] == heads, name, f"{what} has {tokens.shape[0]} heads, {heads} announced")
        need(bool(ends), name, f"{layout} needs the running ends of {what}")
        assert ends
        starts = [0, *ends[:-1]]
        need(all(a <= b for a, b in zip(starts, ends, strict=True)), name, f"running ends {ends} go back")
        need(ends[-1] == tokens.shape[1], name, f"running ends {ends} for {tokens.shape[1]} tokens of {what}")
        return [tokens[:, a:b] for a, b in zip(starts, ends, strict=True)]
    if layout == "BSH":
        need(x.dim() == 3 and x.shape[-1] % heads == 0, name, f"{what} is {tuple(x.shape)} for {heads} heads")
        x = x.unflatten(-1, (heads, -1)).transpose(1, 2)
    else:
        need(x.dim() == 4, name, f"{what} is {tuple(x.shape)} for {layout}")
        x = x.transpose(1, 2) if layout == "BSND" else x
    need(x.shape[1] == heads, name, f"{what} has {x.shape[1]} heads, {heads} announced")
    return list(x)


def lengths_of(name: str, lengths: list[int], batch: int, most: int) -> list[int]:
    """The length of each sequence; one for all is allowed."""
    need(len(lengths) == 1 or len(lengths) >= batch, name, f"{len(lengths)} lengths for {batch} sequences")
    each = [int(lengths[0])] * batch if len(lengths) == 1 else [int(n) for n in lengths[:batch]]
    need(all(0 < n <= most for n in each), name, f"lengths {each}, at most {most}")
    return each


def pages(name: str, cache: Tensor, table: Tensor, lengths: list[int], size: int, heads: int) -> list[Tensor]:
    """The sequences of a paged cache [blocks, size, heads * d] or [blocks, heads, size, d], by their block tables."""
    if cache.dim() == 3:
        need(
            cache.shape[1] == size and cache.shape[2] % heads == 0,
            name,
            f"pages are {tuple(cache.shape)}, block_size {size}",
        )
        whole = cache.unflatten(-1, (heads, -1)).transpose(1, 2)
    else:
        need(
            cache.shape[1] == heads and cache.shape[2] == size,
            name,
            f"pages are {tuple(cache.shape)}, block_size {size}",
        )
        whole = cache
    need(table.shape[0] == len(lengths), name, f"block_table has {table.shape[0]} rows for {len(lengths)} sequences")
    found = []
    for row, length in zip(table, lengths, strict=True):
        used = row[: -(-length // size)].long()
        need(bool(((used >= 0) & (used < len(whole))).all()), name, f"block_table names a block beyond {len(whole)}")
        found.append(whole[used].transpose(0, 1).flatten(1, 2)[:, :length])
    return found


def joined(parts: list[Tensor], layout: str) -> Tensor:
    """Sequences [heads, tokens, size] as one tensor."""
    if layout in ("TND", "NTD"):
        whole = torch.cat(parts, dim=1)
        return (whole.transpose(0, 1) if layout == "TND" else whole).contiguous()
    whole = torch.stack(parts)  # [batch, heads, tokens, size]
    if layout == "BNSD":
        return whole
    if layout == "NBSD":
        return whole.transpose(0, 1).contiguous()
    whole = whole.transpose(1, 2)
    return (whole.flatten(2) if layout == "BSH" else whole).contiguous()
