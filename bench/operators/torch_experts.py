"""Experts by torch's own operators: choosing, sorting a step's rows by expert, their products, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import Unsupported
from bench.operators.interface import ExpertPlan, Gate
from bench.operators.torch_operands import TorchOperands


@dataclass(frozen=True)
class Routed:
    """Rows of the heaviest rank, sorted by expert, on the device.

    token: [rows] source token. weight: [rows]. ends: [experts] running ends of each expert's rows (int32).
    counts: the same as host numbers. order: [tokens, top_k] row of each pair, or None where pairs went elsewhere.
    """

    token: Tensor
    weight: Tensor
    ends: Tensor
    counts: tuple[int, ...]
    order: Tensor | None
    top_k: int


class TorchExperts(TorchOperands):
    """A MoE layer on one rank: the plan says which rows are here, the model's own rule says how they are weighted."""

    def choose(self, scores: Tensor, bias: Tensor | None, gate: Gate) -> tuple[Tensor, Tensor]:
        """Return (experts [T, top_k], affinities [T, experts]) by the model's own rule."""
        scores = scores.float()
        affinity = scores.sigmoid() if gate.scoring == "sigmoid" else scores.softmax(-1)
        ranking = affinity if bias is None else affinity + bias.float()
        if gate.groups > 1:
            grouped = ranking.unflatten(-1, (gate.groups, -1))
            best_two = grouped.topk(2, dim=-1).values.sum(-1)
            kept = best_two.topk(gate.groups_kept, dim=-1).indices
            closed = torch.ones_like(best_two, dtype=torch.bool).scatter_(-1, kept, False)
            ranking = grouped.masked_fill(closed.unsqueeze(-1), float("-inf")).flatten(-2)
        return ranking.topk(gate.top_k, dim=-1).indices, affinity

    def gate_weights(self, ids: Tensor, affinity: Tensor, gate: Gate) -> Tensor:
        """Return the weights [T, top_k] of given experts by the model's rule."""
        weights = affinity.gather(-1, ids)
        if gate.normalize:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * gate.scale

    def route(self, scores: Tensor, bias: Tensor | None, gate: Gate, plan: ExpertPlan) -> Routed:
        _, affinity = self.choose(scores, bias, gate)
        token, flat, ends, counts, order, ids = self._placed(plan, len(scores))
        if len(ids) != len(scores):
            affinity = affinity[torch.arange(len(ids), device=self.device) % len(scores)]
        weights = self.gate_weights(ids, affinity, gate).to(self.dtype)
        return Routed(token, weights.flatten()[flat], ends, counts, order, ids.shape[1])

    def planned(self, plan: ExpertPlan) -> Routed:
        token, flat, ends, counts, order, ids = self._placed(plan, len(plan.ids) if plan.ids is not None else 0)
        weights = torch.full((len(flat),), 1 / ids.shape[1], dtype=self.dtype, device=self.device)
        return Routed(token, weights, ends, counts, order, ids.shape[1])

    def _placed(self, plan: ExpertPlan, tokens: int) -> Any:
        """The plan's rows as device indices, made once: an engine builds them in a kernel of a few microseconds."""
        kept = self._plans.get(id(plan))
        if kept is None:
            assert plan.ids is not None, "an executed step needs a drawn plan"
            expert = plan.ids.ravel() - plan.first_expert
            here = np.flatnonzero((expert >= 0) & (expert < plan.experts_here))
            flat = here[np.argsort(expert[here], kind="stable")]
            counts = np.bincount(expert[here], minlength=plan.experts_here)
            token = flat // plan.ids.shape[1] % tokens
            order = None
            if len(flat) == plan.ids.size and len(plan.ids) == tokens:
                order = torch.from_numpy(np.argsort(flat, kind="stable").reshape(plan.ids.shape)).to(self.device)
            placed = (
                torch.from_numpy(token).to(self.device),
                torch.from_numpy(flat).to(self.device),
                torch.from_numpy(np.cumsum(counts).astype(np.int32)).to(self.device),
                tuple(int(c) for c in counts),
                order,
                torch.from_numpy(np.ascontiguousarray(plan.ids)).to(self.device),
            )
            kept = self._plans[id(plan)] = (plan, placed)
        return kept[1]

    def grouped_linear(
        self, x: Tensor, weight: Tensor, routing: Routed, bias: Tensor | None = None, *, name: str
    ) -> Tensor:
        self.used["grouped_linear"] = "torch._grouped_mm"
        check_grouped(weight)
        out = torch._grouped_mm(x, weight.transpose(1, 2), offs=routing.ends)
        return out if bias is None else out + self._spread(bias, routing)

    def _spread(self, bias: Tensor, routing: Routed) -> Tensor:
        counts = torch.tensor(routing.counts, device=self.device)
        return bias.repeat_interleave(counts, dim=0, output_size=sum(routing.counts))

    def dispatch(self, x: Tensor, routing: Routed, *, ranks: int) -> Tensor:
        if ranks > 1:
            self.left_out.add(f"expert dispatch over {ranks} ranks")
        return x.index_select(0, routing.token)

    def combine(self, x: Tensor, routing: Routed, shared: Tensor | None, *, ranks: int) -> Tensor:
        if ranks > 1:
            self.left_out.add(f"expert combine over {ranks} ranks")
        tokens = self.batch * self.new
        if routing.order is not None:
            # [T, top_k, h] weighted and summed in one batched product.
            rows = x[routing.order]
            weights = routing.weight[routing.order].unsqueeze(1)
            out = torch.bmm(weights, rows).squeeze(1)
            return out if shared is None else out + shared
        out = torch.zeros(tokens, x.shape[-1], dtype=x.dtype, device=x.device) if shared is None else shared.clone()
        return out.index_add_(0, routing.token, x * routing.weight[:, None])


def check_grouped(weight: Tensor) -> None:
    """Raise Unsupported for experts whose rows torch's grouped product cannot take: they must be whole 16 bytes."""
    if weight.shape[-1] * weight.element_size() % 16 or weight.shape[-2] * weight.element_size() % 16:
        raise Unsupported(f"torch._grouped_mm needs rows of whole 16 bytes; experts are {tuple(weight.shape[1:])}")
