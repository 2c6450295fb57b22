"""A model's architecture: the numbers a decoder program needs, read from `workloads/models/*.toml`."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from bench import project

LARGEST_SIZE = 2**40


def _check_sizes(record: Any, *keys: str, even: tuple[str, ...] = (), least: int = 1) -> None:
    """Raise ValueError where a size is out of range, or odd although it is turned in pairs; None is no size."""
    for key in (*keys, *even):
        value = getattr(record, key)
        if value is not None and not least <= value <= LARGEST_SIZE:
            raise ValueError(f"{key} is {value}; it must lie between {least} and {LARGEST_SIZE}")
        if value is not None and key in even and value % 2:
            raise ValueError(f"{key} is {value}; it must be even, as rotary embeddings turn pairs of numbers")


def check_positive(record: Any, *keys: str) -> None:
    """Raise ValueError where a number is not above 0, or not finite; None is no number."""
    for key in keys:
        value = getattr(record, key)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{key} is {value}; it must be a number above 0")


class Mla(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): queries and keys in a rotary and a plain part."""

    kv_lora_rank: int
    qk_nope_dim: int
    qk_rope_dim: int
    v_head_dim: int
    q_lora_rank: int | None = None
    softmax_scale_factor: float = 1.0

    def __post_init__(self) -> None:
        _check_sizes(self, "kv_lora_rank", "qk_nope_dim", "v_head_dim", "q_lora_rank", even=("qk_rope_dim",))
        check_positive(self, "softmax_scale_factor")


class Indexer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """DeepSeek-V3.2's lightning indexer: scores every cached key with small heads and keeps the best `top_k`."""

    heads: int
    head_dim: int
    top_k: int

    def __post_init__(self) -> None:
        _check_sizes(self, "heads", "top_k", even=("head_dim",))


class Moe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Mixture of experts. `expert_bias` are biases inside the experts, not the router's choosing bias."""

    experts: int
    top_k: int
    intermediate: int
    shared_experts: int = 0
    first_dense_layers: int = 0
    scoring: Literal["softmax", "sigmoid"] = "softmax"
    choosing_bias: bool = False
    router_bias: bool = False
    normalize: bool = True
    scale: float = 1.0
    groups: int = 1
    groups_kept: int = 1
    expert_bias: bool = False

    def __post_init__(self) -> None:
        _check_sizes(self, "experts", "intermediate")
        _check_sizes(self, "shared_experts", "first_dense_layers", least=0)
        check_positive(self, "scale")
        if not 1 <= self.top_k <= self.experts:
            raise ValueError(f"top_k is {self.top_k}; it must lie between 1 and experts = {self.experts}")
        if self.groups < 1 or self.experts % self.groups or not 1 <= self.groups_kept <= self.groups:
            raise ValueError(f"groups {self.groups} (kept {self.groups_kept}) do not divide {self.experts} experts")
        size = self.experts // self.groups
        if self.groups > 1 and (size < 2 or size * self.groups_kept < self.top_k):
            raise ValueError(
                f"groups {self.groups} (kept {self.groups_kept}) leave {size} of {self.experts} experts a group; "
                f"a group is scored by its two best, and those kept must hold top_k = {self.top_k}"
            )


class Model(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A decoder-only language model. Keys are described in workloads/README.md."""

    name: str
    source: str
    architecture: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int | None = None
    head_dim: int | None = None
    intermediate: int | None = None
    vocab: int
    tied_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None
    attention_sinks: bool = False
    activation_clamp: float | None = None
    norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    native_dtype: str = "bf16"
    max_context: int | None = None
    published_total_params: str | None = None
    published_active_params: str | None = None
    mla: Mla | None = None
    indexer: Indexer | None = None
    moe: Moe | None = None
    notes: list[str] = []

    def __post_init__(self) -> None:
        _check_sizes(self, "layers", "hidden", "heads", "vocab", "intermediate", "sliding_window", "max_context")
        check_positive(self, "norm_eps", "rope_theta", "activation_clamp")
        if self.indexer is not None and self.mla is None:
            raise ValueError("[indexer] chooses among latent keys; it needs an [mla] table")
        if self.mla is None:
            _check_sizes(self, "kv_heads", even=("head_dim",))
            if self.kv_heads is None or self.head_dim is None:
                raise ValueError("kv_heads and head_dim are needed where there is no [mla] table")
            if self.heads % self.kv_heads:
                raise ValueError(f"heads = {self.heads} is not a multiple of kv_heads = {self.kv_heads}")
        if self.dense_layers and self.intermediate is None:
            raise ValueError("intermediate is needed: the model has dense layers")
        if self.moe is not None and self.moe.first_dense_layers > self.layers:
            raise ValueError(
                f"moe.first_dense_layers is {self.moe.first_dense_layers}, more than layers = {self.layers}"
            )

    @property
    def dense_layers(self) -> int:
        """How many layers, counted from the first, have a plain MLP."""
        return self.layers if self.moe is None else self.moe.first_dense_layers

    @property
    def moe_layers(self) -> int:
        return self.layers - self.dense_layers


def load_model(name: str) -> Model:
    """Return a model by its id (the file's stem).

    Raises: DefinitionError with the nearest names, or naming the file and the key that is wrong.
    """
    path = project.find("workloads", name, "models/*.toml", noun="model", command="bench workloads --models")
    return project.load_toml(path, Model)
