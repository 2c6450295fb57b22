"""How a model is spread over devices."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.errors import DefinitionError
from bench.workloads.model import Model, check_positive


class Deployment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a model is spread over devices, and how much of it one device runs when measured.

    tp: tensor-parallel ranks; dp: data-parallel attention ranks; ep: expert-parallel ranks, over tp x dp devices.
    layers: measure only this many layers of each kind and scale (None: all of them).
    scale_out_gb_per_s: network per device, one direction, for traffic beyond the sheet's link domain.
    overlap: how computing and expert exchange overlap, when modelled: not at all, in two micro-batches that take turns
    (DeepSeek's decode and prefill), or partially, hiding `overlap_share` of the shorter of the two.
    """

    tp: int = 1
    dp: int = 1
    ep: int = 1
    layers: int | None = None
    scale_out_gb_per_s: float | None = None
    overlap: Literal["none", "two-micro-batches", "partial"] = "none"
    overlap_share: float = 0.0

    def __post_init__(self) -> None:
        for key in ("tp", "dp", "ep"):
            if getattr(self, key) < 1:
                raise ValueError(f"deployment {key} is {getattr(self, key)}; it counts devices, so 1 or more")
        if self.layers is not None and self.layers < 1:
            raise ValueError(f"deployment layers is {self.layers}; it must be 1 or more")
        check_positive(self, "scale_out_gb_per_s")
        if not 0 <= self.overlap_share <= 1:
            raise ValueError(f"deployment overlap_share is {self.overlap_share}; it must lie between 0 and 1")
        if self.devices % self.ep:
            raise ValueError(f"deployment ep = {self.ep} does not divide tp x dp = {self.devices} devices")
        if self.tp % self.ep and self.ep % self.tp:
            raise ValueError(f"deployment ep = {self.ep} and tp = {self.tp}: one must be a multiple of the other")

    @property
    def devices(self) -> int:
        return self.tp * self.dp

    @property
    def expert_tp(self) -> int:
        """Ranks that share one expert's intermediate dimension."""
        return max(1, self.tp // self.ep)

    @property
    def pooled_dp(self) -> int:
        """Data-parallel ranks whose tokens meet at the same experts."""
        return max(1, self.ep // self.tp)


def check_deployment(model: Model, deployment: Deployment, where: str) -> None:
    """Raise DefinitionError where a model cannot be cut as the deployment asks."""
    tp, problem = deployment.tp, ""
    if model.heads % tp:
        problem = f"tp = {tp} does not divide the {model.heads} heads of {model.name}"
    elif model.kv_heads is not None and model.kv_heads % tp and tp % model.kv_heads:
        problem = f"tp = {tp} neither divides nor is a multiple of the {model.kv_heads} kv heads of {model.name}"
    elif model.intermediate is not None and model.dense_layers and model.intermediate % tp:
        problem = f"tp = {tp} does not divide the intermediate size {model.intermediate} of {model.name}"
    elif model.moe is None and deployment.ep > 1:
        problem = f"ep = {deployment.ep}, but {model.name} has no experts"
    elif model.moe is not None and model.moe.experts % deployment.ep:
        problem = f"ep = {deployment.ep} does not divide the {model.moe.experts} experts of {model.name}"
    elif model.moe is not None and model.moe.intermediate % deployment.expert_tp:
        problem = f"tp / ep = {deployment.expert_tp} does not divide the experts' size {model.moe.intermediate}"
    if problem:
        raise DefinitionError(f"{where}: {problem}")
