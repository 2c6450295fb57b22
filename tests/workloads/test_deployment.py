"""How a model is cut over devices, and what cannot be cut."""

from __future__ import annotations

import pytest

from bench.errors import DefinitionError
from bench.workloads.deployment import Deployment, check_deployment
from bench.workloads.model import Model, Moe


@pytest.mark.parametrize(
    ("ranks", "devices", "expert_tp", "pooled_dp"),
    [
        ({}, 1, 1, 1),
        ({"tp": 8}, 8, 8, 1),
        ({"tp": 8, "ep": 8}, 8, 1, 1),
        ({"tp": 8, "ep": 2}, 8, 4, 1),
        ({"dp": 128, "ep": 128}, 128, 1, 128),
        ({"tp": 4, "dp": 4, "ep": 16}, 16, 1, 4),
    ],
)
def test_a_deployment_shares_experts_among_its_ranks(ranks, devices, expert_tp, pooled_dp):
    deployment = Deployment(**ranks)
    assert (deployment.devices, deployment.expert_tp, deployment.pooled_dp) == (devices, expert_tp, pooled_dp)


def test_experts_that_do_not_divide_are_refused():
    model = Model(
        name="odd", source="", architecture="", layers=1, hidden=8, heads=8, kv_heads=8, head_dim=2, vocab=10,
        moe=Moe(experts=6, top_k=2, intermediate=12),
    )  # fmt: skip
    with pytest.raises(DefinitionError, match="here: ep = 4 does not divide the 6 experts of odd"):
        check_deployment(model, Deployment(dp=4, ep=4), "here")
    with pytest.raises(DefinitionError, match="here: tp / ep = 8 does not divide the experts' size 12"):
        check_deployment(model, Deployment(tp=8), "here")
    check_deployment(model, Deployment(tp=4), "here")
