"""The vocabulary: about twenty operators that real engines launch as one kernel each.

A program (`bench.workloads.decoder`, `bench.workloads.kernels`) is a plain function against this protocol and is read
three ways: `TorchOperators` executes it, `CostOperators` writes down what it computes and moves, `ReferenceOperators`
computes it in float32. `T` below is the number of tokens of this step: batch x input_len in prefill, batch in decode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.operators.kernel import Dim
from bench.operators.loads import RankLoad

Tensor = TypeVar("Tensor")

Phase = Literal["prefill", "decode", "moe", "kernel"]


@dataclass(frozen=True)
class Step:
    """One forward step: how many sequences, how many new tokens each, how many tokens visible at its end.

    `context` counts the step's own tokens: prefill of 512 without a prefix has input_len 512 and context 512;
    a decode step that attends to 4096 tokens, its own included, has input_len 1 and context 4096.
    Dimensions may be arrays (one entry per point of a sweep) for the cost operators.
    """

    phase: Phase
    batch: Dim
    input_len: Dim
    context: Dim

    @property
    def tokens(self) -> Dim:
        return self.batch * self.input_len


@dataclass(frozen=True)
class ExpertPlan:
    """Which experts the tokens go to, decided outside the device so that every device does the same work.

    ids: [tokens, top_k] over all pooled tokens, or None for a sweep, where only expectations are known.
    load: rows, touched experts, padded rows and the busiest expert of the heaviest rank.
    first_expert, experts_here: the contiguous block of experts that the heaviest rank holds.
    top_k: experts of each token.
    imbalance: realised largest load of an expert over the mean load.
    """

    ids: NDArray[np.int64] | None
    load: RankLoad
    first_expert: int
    experts_here: int
    top_k: int
    imbalance: float | None

    @property
    def rows(self) -> Dim:
        """(token, expert) pairs on the heaviest rank."""
        return self.load.rows

    @property
    def touched(self) -> Dim:
        """Experts of the heaviest rank with at least one row."""
        return self.load.touched


@dataclass(frozen=True)
class Gate:
    """How router scores become experts: the rule of a model."""

    top_k: int
    scoring: Literal["softmax", "sigmoid"]
    normalize: bool
    scale: float
    groups: int = 1
    groups_kept: int = 1


@dataclass(frozen=True)
class LatentSizes:
    """Latent attention of one layer on one device. arXiv:2405.04434

    heads: this device's share. q_rank: of compressed queries, None where they are not; rank: of keys and values.
    nope, rope: a head's part without and with rotary embedding. eps: of the norms. theta: of the rotary embedding.
    indexer: whether an indexer selects the tokens that attention sees.
    """

    hidden: int
    heads: int
    q_rank: int | None
    rank: int
    nope: int
    rope: int
    eps: float
    theta: float
    indexer: bool


class Operators(Protocol[Tensor]):
    """What a program may ask for. Shapes are row-major; a leading T is the step's tokens."""

    step: Step
    # Whether tokens really go to experts, so that every choice must be drawn; a cost needs only their numbers.
    executes: bool

    def weight(self, name: str, shape: tuple[int, ...], *, quantized: bool = True) -> Tensor:
        """Return a parameter, declared where it is used; `quantized=False` keeps it in the activation dtype."""

    def input(self, name: str, shape: tuple[Dim, ...]) -> Tensor:
        """Return random activations of this shape, the same bytes on every device."""

    def repeat(self, kind: str, count: int) -> Iterator[str]:
        """Yield the names of `count` alike layers; the cost operators yield one and multiply."""

    def split(self, x: Tensor, widths: Sequence[int]) -> list[Tensor]:
        """Cut the last dimension; views, no kernel."""

    def take(self, x: Tensor, heads: int, first: int, last: int) -> Tensor:
        """Cut columns first..last out of every head: [T, heads * d] to [T, heads * (last - first)]; a view."""

    def last_token(self, x: Tensor) -> Tensor:
        """Keep the last token of each sequence: [T, h] to [batch, h]."""

    def embed(self, table: Tensor) -> Tensor:
        """Look the step's token ids up: table [vocab, h] to [T, h]."""

    def quantize(self, x: Tensor) -> Tensor:
        """Scale activations to the weights' 8-bit dtype, a kernel of its own; x itself where weights are 16-bit."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, name: str) -> Tensor:
        """x [T, k] by weight [n, k] transposed: [T, n]."""

    def head_linear(self, x: Tensor, weight: Tensor, *, name: str) -> Tensor:
        """One small product per head: x [T, heads * k] by weight [heads, k, n]: [T, heads * n]."""

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (normalised x + residual, x + residual); per head where weight is narrower than x. arXiv:1910.07467"""

    def layer_norm(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Mean and variance normalisation with bias (the indexer's keys)."""

    def rope(self, x: Tensor, heads: int, theta: float) -> Tensor:
        """Rotary embedding in half-rotation form on [T, heads * d]. arXiv:2104.09864"""

    def swiglu(self, x: Tensor, clamp: float | None = None) -> Tensor:
        """silu(gate) * up on [T, 2 * n] with gate first; with `clamp` gpt-oss's clipped form (alpha 1.702, up + 1)."""

    def append(self, name: str, x: Tensor, heads: int) -> Tensor:
        """Write this step's keys or values to the static cache; return the visible one [batch, context, heads * d]."""

    def attention(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        heads: int,
        kv_heads: int,
        scale: float,
        window: int | None = None,
        sinks: Tensor | None = None,
        name: str = "attention",
    ) -> Tensor:
        """Causal grouped-query attention of [T, heads * d] over the visible cache: [T, heads * dv]. arXiv:2305.13245"""

    def mla_prolog(self, layer: str, h: Tensor, sizes: LatentSizes, separate: Callable[[], Any]) -> Any:
        """All that a decode step does between a layer's input [T, hidden] and latent attention, in one kernel.

        `separate` does it by the operators above, and that is what every reading does that has no such kernel. Weights
        by name below `layer`, declared there: qkv_a, q_a_norm, q_b, kv_norm, k_up; caches: latent, k_rope.
        Returns (absorbed queries, their rotary part, visible latents, visible rotary keys, selected tokens or None),
        as `mla_attention` takes them.
        """

    def mla_attention(
        self,
        q: Tensor,
        q_rope: Tensor,
        latent: Tensor,
        k_rope: Tensor,
        *,
        heads: int,
        scale: float,
        expansion: Tensor | None = None,
        selected: Tensor | None = None,
        limit: int | None = None,
    ) -> Tensor:
        """Latent attention. arXiv:2405.04434

        Decode, absorbed: q [T, heads * rank], q_rope [T, heads * r], latent [batch, context, rank],
        k_rope [batch, context, r]: [T, heads * rank]. Prefill: q [T, heads * nope] and `expansion`, the latent
        expanded to keys and values [batch * context, heads * (nope + v)]: [T, heads * v].
        With `selected`, attends to those `limit` cached tokens only.
        """

    def select(self, q: Tensor, k: Tensor, weights: Tensor, *, heads: int, top_k: int) -> Tensor:
        """Lightning indexer: score every visible token with small heads, keep top_k: [T, top_k] token numbers."""

    def flatten(self, cache: Tensor) -> Tensor:
        """View the visible cache [batch, context, d] as rows [batch * context, d]."""

    def route(self, scores: Tensor, bias: Tensor | None, gate: Gate, plan: ExpertPlan) -> Any:
        """Top-k routing of scores [T, experts]; the choice is computed, then replaced by the plan's experts."""

    def planned(self, plan: ExpertPlan) -> Any:
        """Take a routing that was decided elsewhere, with equal weights; no kernel."""

    def dispatch(self, x: Tensor, routing: Any, *, ranks: int) -> Tensor:
        """Bring token rows to their experts, sorted by expert: [T, h] to [rows, h]; over links where ranks > 1."""

    def grouped_linear(
        self, x: Tensor, weight: Tensor, routing: Any, bias: Tensor | None = None, *, name: str
    ) -> Tensor:
        """Each expert's rows by its own weight [experts, n, k] transposed: [rows, k] to [rows, n]."""

    def combine(self, x: Tensor, routing: Any, shared: Tensor | None, *, ranks: int) -> Tensor:
        """Weighted sum of each token's experts, plus the shared experts' output: [rows, h] to [T, h]."""

    def sample(self, logits: Tensor) -> Tensor:
        """Greedy choice: [batch, vocab] to [batch]."""

    def copy(self, x: Tensor) -> Tensor:
        """Copy in device memory."""

    def all_reduce(self, x: Tensor, ranks: int) -> Tensor:
        """Sum over `ranks` devices."""

    def all_gather(self, x: Tensor, ranks: int) -> Tensor:
        """Concatenate the last dimension of `ranks` devices."""

    def all_to_all(self, x: Tensor, ranks: int) -> Tensor:
        """Exchange equal blocks of the first dimension between `ranks` devices."""
