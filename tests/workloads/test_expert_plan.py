"""Plans of expert-parallel ranks: what is drawn, what is expected, and that both say the same."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import DefinitionError
from bench.workloads import expert_plan as module
from bench.workloads.expert_plan import plan_experts
from bench.workloads.routing import Routing

UNIFORM = Routing()
ZIPF = Routing(kind="zipf", s=1.2)
FOUR_HOT = Routing(kind="k-hot", hot=4)


def test_k_hot_with_as_many_experts_as_a_token_takes_is_exact():
    # Every token goes to the same 4 of 32 experts: the busiest has 1000 rows where the mean is 125.
    plan = plan_experts(FOUR_HOT, 1000, 32, 4)
    assert plan.imbalance == 8.0
    assert (plan.rows, plan.touched) == (4000, 4)


def test_a_sweep_refuses_k_hot_with_too_few_experts_as_well():
    with pytest.raises(DefinitionError, match="set hot to 4 or more"):
        plan_experts(Routing(kind="k-hot", hot=2), np.array([10, 20]), 32, 4)


def test_a_sweep_s_points_are_the_plans_of_their_numbers():
    # 40 is drawn; 3,000 of 256 experts is more than is drawn for a price, alone as in a sweep.
    tokens = np.array([[3000, 40], [7, 40]])
    swept = plan_experts(ZIPF, tokens, 256, 8, ranks=32, executes=False)
    for name in ("rows", "touched", "padded", "busiest"):
        alone = [[getattr(plan_experts(ZIPF, int(n), 256, 8, 32, executes=False).load, name) for n in line]
                 for line in tokens]  # fmt: skip
        assert getattr(swept.load, name).tolist() == pytest.approx(np.array(alone)), name


# -- plans: the heaviest rank -----------------------------------------------------------------------------------------


def test_the_heaviest_rank_is_planned(trace):
    # Four experts on two ranks: experts 2 and 3 get 5 of 6 rows.
    plan = plan_experts(trace("2 3\n0 3\n2 3\n"), 3, 4, 2, ranks=2)
    assert (plan.first_expert, plan.experts_here) == (2, 2)
    assert (plan.rows, plan.touched) == (5, 2)
    # The busiest expert has 3 rows, the mean is 6 / 4.
    assert plan.imbalance == 2.0


def test_of_two_alike_ranks_the_first_is_planned(trace):
    assert plan_experts(trace("0 2\n"), 4, 4, 2, ranks=2).first_expert == 0


def test_untouched_experts_are_not_counted(trace):
    plan = plan_experts(trace("1 3\n"), 10, 8, 2)
    assert (plan.rows, plan.touched, plan.experts_here) == (20, 2, 8)


def test_ranks_share_the_rows_among_them():
    plans = [plan_experts(UNIFORM, 512, 64, 8, ranks=r) for r in (1, 2, 8)]
    assert plans[0].rows == 4096
    # A rank of 2 has at least half, a rank of 8 at least an eighth; the heaviest is not far above.
    assert 2048 <= plans[1].rows < 2250
    assert 512 <= plans[2].rows < 620


def test_a_plan_too_large_to_draw_is_an_expectation():
    plan = plan_experts(UNIFORM, 1_000_000, 256, 8)
    assert plan.ids is None
    # Mean load 31,250, deviation 174; the largest of 256 stands about 1 + 3.3 x 0.0056.
    assert plan.imbalance == pytest.approx(1.018, abs=0.003)
    assert plan.rows == pytest.approx(8_000_000)
    assert plan.touched == pytest.approx(256)


# -- expectations against draws ---------------------------------------------------------------------------------------

SETTINGS = [(64, 8), (256, 8), (128, 4), (32, 2)]


@pytest.mark.parametrize("routing", [UNIFORM, ZIPF, Routing(kind="zipf", s=0.5)], ids=lambda r: r.label)
@pytest.mark.parametrize(("experts", "top_k"), SETTINGS)
def test_a_sweeps_expectation_is_close_to_what_is_drawn(routing, experts, top_k):
    # Below 100 tokens one draw's touched experts scatter by a tenth around their expectation.
    tokens = np.array([128, 1024, 4096])
    expected = module._expected_plan(routing, tokens, experts, top_k, 1)
    drawn = [plan_experts(routing, int(n), experts, top_k) for n in tokens]
    assert expected.rows.tolist() == pytest.approx([float(p.rows) for p in drawn])
    assert expected.touched.tolist() == pytest.approx([p.touched for p in drawn], rel=0.05)


@pytest.mark.parametrize("routing", [UNIFORM, Routing(kind="zipf", s=0.5)], ids=lambda r: r.label)
@pytest.mark.parametrize("ranks", [4, 32])
def test_a_sweeps_heaviest_rank_is_close_to_the_drawn_one(routing, ranks):
    # The expectation is for the heaviest of alike ranks; with skewed ones and few tokens it is up to a quarter high.
    tokens = np.array([2048, 8192])
    expected = module._expected_plan(routing, tokens, 256, 8, ranks)
    drawn = [plan_experts(routing, int(n), 256, 8, ranks) for n in tokens]
    assert expected.rows.tolist() == pytest.approx([float(p.rows) for p in drawn], rel=0.1)
    assert expected.load.padded.tolist() == pytest.approx([float(p.load.padded) for p in drawn], rel=0.1)
    assert expected.touched.tolist() == pytest.approx([p.touched for p in drawn], rel=0.05)


def test_the_expected_heaviest_rank_gets_no_more_rows_than_tokens_times_its_experts():
    plan = module._expected_plan(ZIPF, np.array([1, 2, 3]), 256, 8, ranks=128)  # 2 experts a rank
    assert (plan.rows <= 2 * np.array([1, 2, 3])).all()


def test_the_expected_heaviest_rank_gets_no_more_rows_than_tokens_times_top_k():
    # One token, one expert each: one row, wherever it goes.
    assert module._expected_plan(ZIPF, np.array([1]), 64, 1, ranks=2).rows.tolist() == [1.0]


def test_one_token_touches_top_k_experts():
    assert module._expected_plan(ZIPF, np.array([1]), 64, 8, 1).touched.tolist() == pytest.approx([8.0])


def test_what_is_drawn_and_what_is_expected_meet_at_the_limit(monkeypatch):
    monkeypatch.setattr(module, "MOST_DRAWS", 16 * 64)
    assert plan_experts(UNIFORM, 16, 64, 8).ids is not None
    assert plan_experts(UNIFORM, 17, 64, 8).ids is None


def test_a_priced_plan_of_many_tokens_is_an_expectation_and_an_executed_one_is_drawn():
    # 8192 tokens x 64 experts = 524,288 draws, more than the 500,000 that pricing spends.
    priced = plan_experts(Routing(), 8192, 64, 4, executes=False)
    executed = plan_experts(Routing(), 8192, 64, 4, executes=True)
    assert priced.ids is None
    assert executed.ids.shape == (8192, 4)


def test_an_expected_imbalance_is_near_the_drawn_one():
    # Mean load 8192 x 4 / 64 = 512, deviation sqrt(512 x 60/64) = 21.9; the largest of 64 stands near 1 + 2.9 x 0.043.
    priced = plan_experts(Routing(), 8192, 64, 4, executes=False)
    assert priced.imbalance == pytest.approx(1.12, abs=0.03)
