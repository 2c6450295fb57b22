"""Reference operators: NumPy in float32, plain and slow, on the same operands as the device.

Independent of torch on purpose. Weights and inputs are rounded to the case's dtype first, so that what is compared is
the arithmetic and not the rounding of operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.operators.interface import ExpertPlan, Gate, LatentSizes, Step
from bench.operators.noise import Floats, noise, scale_of, token_ids

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Routed:
    """Rows of the heaviest rank, sorted by expert: token and weight of each row, rows of each expert."""

    token: Ids
    weight: Floats
    counts: Ids


class ReferenceOperators:
    """Computes a program in float32; `layers` limits how many alike layers are run.

    copies: of a rotated kernel, the last copy is what the program returns, so that one is computed.
    """

    executes = True

    def __init__(self, step: Step, dtype: str, layers: int | None = None, copies: int = 1) -> None:
        self.step = step
        self.dtype = dtype
        self.batch, self.new, self.context = int(step.batch), int(step.input_len), int(step.context)
        self._layers = layers
        self._copies = copies

    def weight(self, name: str, shape: tuple[int, ...], *, quantized: bool = True) -> Floats:
        mean, deviation = scale_of(name, shape)
        return noise(name, shape, mean, deviation, self.dtype)

    def input(self, name: str, shape: tuple[int, ...]) -> Floats:
        return noise(name, tuple(int(d) for d in shape), dtype=self.dtype)

    def repeat(self, kind: str, count: int) -> Iterator[str]:
        if kind == "copy":
            yield f"copy{self._copies - 1}"
            return
        for index in range(count if self._layers is None else min(count, self._layers)):
            yield f"{kind}{index}"

    def split(self, x: Floats, widths: Sequence[int]) -> list[Floats]:
        return np.split(x, np.cumsum(widths)[:-1], axis=-1)

    def take(self, x: Floats, heads: int, first: int, last: int) -> Floats:
        return x.reshape(len(x), heads, -1)[:, :, first:last].reshape(len(x), -1)

    def last_token(self, x: Floats) -> Floats:
        return x.reshape(self.batch, self.new, -1)[:, -1]

    def flatten(self, cache: Floats) -> Floats:
        return cache.reshape(-1, cache.shape[-1])

    def embed(self, table: Floats) -> Floats:
        return table[token_ids(self.batch * self.new, len(table))]

    def quantize(self, x: Floats) -> Floats:
        return x

    def linear(self, x: Floats, weight: Floats, bias: Floats | None = None, *, name: str) -> Floats:
        out = x @ weight.T
        return out if bias is None else out + bias

    def head_linear(self, x: Floats, weight: Floats, *, name: str) -> Floats:
        heads, k, _ = weight.shape
        return np.asarray(np.einsum("thk,hkn->thn", x.reshape(len(x), heads, k), weight).reshape(len(x), -1))

    def rms_norm(self, x: Floats, weight: Floats, eps: float, residual: Floats | None = None) -> tuple[Floats, Floats]:
        summed = x if residual is None else x + residual
        parts = summed.reshape(*summed.shape[:-1], -1, len(weight))
        mean_square = np.mean(parts * parts, axis=-1, keepdims=True, dtype=np.float32)
        normalised = parts / np.sqrt(mean_square + np.float32(eps)) * weight
        return np.asarray(normalised.reshape(summed.shape), dtype=np.float32), summed

    def layer_norm(self, x: Floats, weight: Floats, bias: Floats) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(1e-6))
        return np.asarray(centred / deviation * weight + bias)

    def rope(self, x: Floats, heads: int, theta: float) -> Floats:
        parts = x.reshape(self.batch, self.new, heads, -1)
        half = parts.shape[-1] // 2
        position = np.arange(self.context - self.new, self.context, dtype=np.float64)
        angle = position[:, None] * theta ** (-np.arange(half, dtype=np.float64) / half)
        cos, sin = (f(angle).astype(np.float32)[None, :, None] for f in (np.cos, np.sin))
        first, second = parts[..., :half], parts[..., half:]
        turned = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return turned.reshape(x.shape)

    def swiglu(self, x: Floats, clamp: float | None = None) -> Floats:
        gate, up = np.split(x, 2, axis=-1)
        if clamp is None:
            return gate * _sigmoid(gate) * up
        gate, up = np.minimum(gate, clamp), np.clip(up, -clamp, clamp)
        return (up + 1) * gate * _sigmoid(np.float32(1.702) * gate)

    def append(self, name: str, x: Floats, heads: int) -> Floats:
        width = x.shape[-1]
        cache = noise(name, (self.batch, self.context, width), dtype=self.dtype)
        cache[:, self.context - self.new :] = x.reshape(self.batch, self.new, width)
        return cache

    def _visible(self, window: int | None = None) -> NDArray[np.bool_]:
        """Which cached token each new token sees, [new, context]."""
        query = np.arange(self.context - self.new, self.context)[:, None]
        key = np.arange(self.context)[None, :]
        seen = key <= query
        return seen if window is None else seen & (key > query - window)

    def attention(
        self,
        q: Floats,
        k: Floats,
        v: Floats,
        *,
        heads: int,
        kv_heads: int,
        scale: float,
        window: int | None = None,
        sinks: Floats | None = None,
        name: str = "attention",
    ) -> Floats:
        queries = q.reshape(self.batch, self.new, heads, -1)
        keys = k.reshape(self.batch, self.context, kv_heads, -1)
        values = v.reshape(self.batch, self.context, kv_heads, -1)
        seen = self._visible(window)
        out = np.empty((self.batch, self.new, heads, values.shape[-1]), dtype=np.float32)
        for b in range(self.batch):
            for h in range(heads):
                g = h * kv_heads // heads
                scores = queries[b, :, h] @ keys[b, :, g].T * np.float32(scale)
                sink = None if sinks is None else sinks[h]
                out[b, :, h] = _softmax(scores, seen, sink) @ values[b, :, g]
        return out.reshape(len(q), -1)

    def mla_prolog(self, layer: str, h: Floats, sizes: LatentSizes, separate: Callable[[], Any]) -> Any:
        return separate()

    def mla_attention(
        self,
        q: Floats,
        q_rope: Floats,
        latent: Floats,
        k_rope: Floats,
        *,
        heads: int,
        scale: float,
        expansion: Floats | None = None,
        selected: Ids | None = None,
        limit: int | None = None,
    ) -> Floats:
        plain = q.reshape(self.batch, self.new, heads, -1)
        turned = q_rope.reshape(self.batch, self.new, heads, -1)
        nope = plain.shape[-1]
        seen = np.broadcast_to(self._visible(), (self.batch, self.new, self.context)).copy()
        if selected is not None and limit is not None and limit < self.context:
            chosen = np.zeros_like(seen)
            np.put_along_axis(chosen, selected.reshape(self.batch, self.new, -1), True, axis=-1)
            seen &= chosen
        each = None if expansion is None else expansion.reshape(self.batch, self.context, heads, -1)
        outs = []
        for b in range(self.batch):
            for h in range(heads):
                keys = latent[b] if each is None else each[b, :, h, :nope]
                values = latent[b] if each is None else each[b, :, h, nope:]
                scores = (plain[b, :, h] @ keys.T + turned[b, :, h] @ k_rope[b].T) * np.float32(scale)
                outs.append(_softmax(scores, seen[b], None) @ values)
        out = np.stack(outs).reshape(self.batch, heads, self.new, -1)
        return out.transpose(0, 2, 1, 3).reshape(len(q), -1)

    def select(self, q: Floats, k: Floats, weights: Floats, *, heads: int, top_k: int) -> Ids:
        queries = q.reshape(self.batch, self.new, heads, -1)
        mixing = weights.reshape(self.batch, self.new, heads)
        scores = np.zeros((self.batch, self.new, self.context), dtype=np.float32)
        for h in range(heads):
            scores += mixing[:, :, h, None] * np.maximum(queries[:, :, h] @ k.transpose(0, 2, 1), 0)
        scores = np.where(self._visible(), scores, -np.inf)
        best = np.argsort(-scores, axis=-1, kind="stable")[..., : min(top_k, self.context)]
        return best.reshape(self.batch * self.new, -1)

    def choose(self, scores: Floats, bias: Floats | None, gate: Gate) -> tuple[Ids, Floats]:
        """Return (experts, affinities [T, experts]) by the model's own rule; the bias counts for choosing only."""
        affinity = _sigmoid(scores) if gate.scoring == "sigmoid" else _row_softmax(scores)
        ranking = affinity if bias is None else affinity + bias
        if gate.groups > 1:
            grouped = ranking.reshape(len(ranking), gate.groups, -1)
            best_two = np.sort(grouped, axis=-1)[..., -2:].sum(axis=-1)
            kept = np.argsort(-best_two, axis=-1, kind="stable")[:, : gate.groups_kept]
            open_groups = np.zeros((len(ranking), gate.groups), dtype=bool)
            np.put_along_axis(open_groups, kept, True, axis=-1)
            ranking = np.where(open_groups[:, :, None], grouped, -np.inf).reshape(ranking.shape)
        return np.argsort(-ranking, axis=-1, kind="stable")[:, : gate.top_k], affinity

    def gate_weights(self, ids: Ids, affinity: Floats, gate: Gate) -> Floats:
        """Return the weights [T, top_k] of given experts by the model's rule."""
        weights = np.take_along_axis(affinity, ids, axis=-1)
        if gate.normalize:
            weights = weights / (weights.sum(axis=-1, keepdims=True) + np.float32(1e-20))
        return weights * np.float32(gate.scale)

    def route(self, scores: Floats, bias: Floats | None, gate: Gate, plan: ExpertPlan) -> Routed:
        _, affinity = self.choose(scores, bias, gate)
        assert plan.ids is not None, "an executed step needs a drawn plan"
        own = plan.ids.reshape(-1, plan.ids.shape[-1])
        affinities = affinity[np.arange(len(own)) % len(scores)]
        return _rows(plan, own, self.gate_weights(own, affinities, gate), len(scores))

    def planned(self, plan: ExpertPlan) -> Routed:
        assert plan.ids is not None, "an executed step needs a drawn plan"
        weights = np.full(plan.ids.shape, 1 / plan.ids.shape[1], dtype=np.float32)
        return _rows(plan, plan.ids, weights, len(plan.ids))

    def dispatch(self, x: Floats, routing: Routed, *, ranks: int) -> Floats:
        return x[routing.token]

    def grouped_linear(
        self, x: Floats, weight: Floats, routing: Routed, bias: Floats | None = None, *, name: str
    ) -> Floats:
        out = np.empty((len(x), weight.shape[1]), dtype=np.float32)
        start = 0
        for expert, count in enumerate(routing.counts):
            rows = slice(start, start + int(count))
            out[rows] = x[rows] @ weight[expert].T
            if bias is not None:
                out[rows] += bias[expert]
            start += int(count)
        return out

    def combine(self, x: Floats, routing: Routed, shared: Floats | None, *, ranks: int) -> Floats:
        out = np.zeros((self.batch * self.new, x.shape[-1]), dtype=np.float32)
        np.add.at(out, routing.token, x * routing.weight[:, None])
        return out if shared is None else out + shared

    def sample(self, logits: Floats) -> Ids:
        return np.asarray(np.argmax(logits, axis=-1))

    def copy(self, x: Floats) -> Floats:
        return x.copy()

    def all_reduce(self, x: Floats, ranks: int) -> Floats:
        return x

    def all_gather(self, x: Floats, ranks: int) -> Floats:
        return x

    def all_to_all(self, x: Floats, ranks: int) -> Floats:
        return x


def _rows(plan: ExpertPlan, ids: Ids, weights: Floats, tokens: int) -> Routed:
    """Keep the pairs that go to the heaviest rank's experts, in the order of experts, then of tokens."""
    expert = ids.ravel() - plan.first_expert
    here = np.flatnonzero((expert >= 0) & (expert < plan.experts_here))
    order = here[np.argsort(expert[here], kind="stable")]
    token = order // ids.shape[1]
    counts = np.bincount(expert[here], minlength=plan.experts_here)
    return Routed(token % tokens, weights.ravel()[order], counts)


def _sigmoid(x: Floats) -> Floats:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


def _row_softmax(x: Floats) -> Floats:
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _softmax(scores: Floats, seen: NDArray[np.bool_], sink: np.float32 | None) -> Floats:
    """Softmax over what is seen; a sink takes its share and gives nothing back."""
    masked = np.where(seen, scores, -np.inf)
    top = masked.max(axis=-1, keepdims=True)
    if sink is not None:
        top = np.maximum(top, sink)
    shifted = np.exp(masked - top)
    total = shifted.sum(axis=-1, keepdims=True)
    if sink is not None:
        total = total + np.exp(sink - top)
    return np.asarray(shifted / total, dtype=np.float32)
