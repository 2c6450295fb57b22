"""Every program at a size that runs in milliseconds: what the three readings are held against each other with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bench.operators import noise
from bench.operators.interface import ExpertPlan, Step
from bench.operators.loads import RankLoad
from bench.workloads.decoder import decoder_step, moe_layer
from bench.workloads.deployment import Deployment
from bench.workloads.kernels import KERNELS, kernel_step
from bench.workloads.model import Indexer, Mla, Model, Moe
from bench.workloads.routing import Routing

LATENT = Mla(kv_lora_rank=24, qk_nope_dim=16, qk_rope_dim=8, v_head_dim=16, q_lora_rank=20, softmax_scale_factor=1.5)
DEEP = Moe(
    experts=16, top_k=4, intermediate=32, shared_experts=1, first_dense_layers=1, scoring="sigmoid",
    choosing_bias=True, scale=2.5, groups=4, groups_kept=2,
)  # fmt: skip


def _model(name: str, **keys: Any) -> Model:
    sizes: dict[str, Any] = {"layers": 2, "hidden": 64, "heads": 4, "vocab": 97, "intermediate": 96}
    return Model(name=name, source="a test", architecture="test", **{**sizes, **keys})


MODELS = {
    "dense": _model("dense", kv_heads=2, head_dim=16),
    "dense-qwen2": _model("dense-qwen2", kv_heads=2, head_dim=16, qkv_bias=True, tied_embeddings=True),
    "moe": _model(
        "moe", kv_heads=2, head_dim=16, qk_norm=True, intermediate=None, moe=Moe(experts=8, top_k=2, intermediate=32)
    ),
    "mla-moe": _model("mla-moe", layers=3, mla=LATENT, moe=DEEP),
    "mla-lite": _model(
        "mla-lite",
        mla=Mla(kv_lora_rank=24, qk_nope_dim=16, qk_rope_dim=8, v_head_dim=16),
        moe=Moe(experts=8, top_k=2, intermediate=32, shared_experts=2, first_dense_layers=1, normalize=False),
    ),
    # Three layers: a sliding and a full one as a pair, and a sliding one that is left over.
    "gpt-oss": _model(
        "gpt-oss",
        layers=3,
        kv_heads=2,
        head_dim=16,
        intermediate=None,
        qkv_bias=True,
        output_bias=True,
        sliding_window=4,
        attention_sinks=True,
        activation_clamp=7.0,
        moe=Moe(experts=8, top_k=2, intermediate=32, router_bias=True, expert_bias=True),
    ),
    "sparse": _model("sparse", mla=LATENT, indexer=Indexer(heads=3, head_dim=16, top_k=8), moe=DEEP),
}

KERNEL_DIMS = {
    "gemm": {"m": 5, "n": 24, "k": 40},
    "grouped_gemm": {"m": 6, "n": 24, "k": 40, "experts": 8, "top_k": 2},
    "attention_prefill": {"batch": 2, "context": 10, "heads": 4, "kv_heads": 2, "head_dim": 16},
    "attention_decode": {"batch": 3, "context": 10, "heads": 4, "kv_heads": 2, "head_dim": 16},
    "mla_decode": {"batch": 3, "context": 10, "heads": 4, "kv_lora_rank": 24, "qk_rope_dim": 8},
    "rms_norm": {"m": 5, "n": 40},
    "layer_norm": {"m": 5, "n": 40},
    "swiglu": {"m": 5, "n": 40},
    "rope": {"m": 5, "heads": 3, "head_dim": 8},
    "memory_copy": {"n": 1000},
    "all_reduce": {"n": 1000, "ranks": 1},
    "all_gather": {"n": 1000, "ranks": 1},
    "all_to_all": {"n": 1000, "ranks": 1},
}

Program = Callable[[Any], Any]


@pytest.fixture
def model() -> Callable[[str], Model]:
    """Return a tiny model by name."""
    return MODELS.__getitem__


@pytest.fixture
def decoder() -> Callable[..., Program]:
    """Return a tiny model's decoder program."""

    def make(name: str, deployment: Deployment | None = None, routing: Routing | None = None) -> Program:
        return lambda ops: decoder_step(ops, MODELS[name], deployment or Deployment(), routing or Routing())

    return make


@pytest.fixture
def layer() -> Callable[..., Program]:
    """Return a tiny model's MoE layer alone."""

    def make(name: str, deployment: Deployment | None = None, routing: Routing | None = None) -> Program:
        return lambda ops: moe_layer(ops, MODELS[name], deployment or Deployment(), routing or Routing())

    return make


@pytest.fixture
def kernel() -> Callable[..., tuple[Program, Step]]:
    """Return a kernel program and its step; `dims` replace the tiny ones."""

    def make(name: str, routing: Routing | None = None, **dims: int) -> tuple[Program, Step]:
        sizes = {**KERNEL_DIMS[name], **dims}
        return (lambda ops: kernel_step(ops, name, sizes, routing or Routing())), KERNELS[name].step(sizes)

    return make


@pytest.fixture
def plan() -> Callable[..., ExpertPlan]:
    """Return a routing plan of one rank, written down by hand."""

    def make(
        ids: Any = None, *, rows: int = 0, touched: int = 0, first: int = 0, here: int = 8, imbalance: Any = None
    ) -> ExpertPlan:
        drawn = None if ids is None else np.array(ids)
        top_k = 1 if drawn is None else drawn.shape[1]
        load = RankLoad(rows, touched, 64 * touched, rows)
        return ExpertPlan(ids=drawn, load=load, first_expert=first, experts_here=here, top_k=top_k, imbalance=imbalance)

    return make


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread: tiny products lose more by waiting for a second one than they win."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw operands from 65,521 numbers (a prime) and not from 4 million: every operand is made 60 times faster."""
    noise.pool.cache_clear()
    monkeypatch.setattr(noise, "POOL", 65_521)
    yield
    noise.pool.cache_clear()
