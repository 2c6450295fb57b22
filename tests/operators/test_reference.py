"""The reference's own arithmetic, on numbers small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.operators.interface import Gate, Step
from bench.operators.reference import ReferenceOperators


def reference(batch=1, new=1, context=1, phase="prefill"):
    return ReferenceOperators(Step(phase, batch, new, context), "fp32")


def floats(*rows):
    return np.array(rows, dtype=np.float32)


def logit(*chances):
    """Scores whose sigmoid is the given chances: ln(p / (1 - p))."""
    return floats([math.log(p / (1 - p)) for p in chances])


# -- pointwise ------------------------------------------------------------------------------------------------------


def test_rms_norm_divides_by_the_root_of_the_mean_square():
    # Mean square of (3, 4, 0, 0) is 25 / 4, its root 2.5.
    out, _ = reference().rms_norm(floats([3, 4, 0, 0]), floats(1, 2, 1, 1), 0.0)
    assert out[0].tolist() == pytest.approx([1.2, 3.2, 0, 0])


def test_rms_norm_adds_the_residual_first_and_returns_the_sum():
    out, summed = reference().rms_norm(floats([1, 4]), floats(1, 1), 0.0, floats([2, 0]))
    assert summed.tolist() == [[3, 4]]
    assert out[0].tolist() == pytest.approx([3 / math.sqrt(12.5), 4 / math.sqrt(12.5)])


def test_a_narrow_norm_is_applied_head_by_head():
    out, _ = reference().rms_norm(floats([3, 4, 30, 40]), floats(1, 1), 0.0)
    head = [3 / math.sqrt(12.5), 4 / math.sqrt(12.5)]
    assert out[0].tolist() == pytest.approx(head + head)


def test_layer_norm_takes_the_mean_out():
    # Mean 3, deviation 1: (2, 4) becomes (-1, 1), times 10 plus 5.
    out = reference().layer_norm(floats([2, 4]), floats(10, 10), floats(5, 5))
    assert out[0].tolist() == pytest.approx([-5, 15], abs=1e-4)


def test_rope_turns_the_second_token_by_one_radian():
    # Two tokens, one head of 2: token 0 stays, token 1 turns by theta**0 = 1 radian.
    out = reference(new=2, context=2).rope(floats([1, 0], [1, 0]), 1, 10000.0)
    assert out[0].tolist() == [1, 0]
    assert out[1].tolist() == pytest.approx([math.cos(1), math.sin(1)])


def test_rope_pairs_a_number_with_the_one_half_a_head_further():
    # Head of 4: pairs (0, 2) and (1, 3); the second pair turns by 1 / sqrt(10000) = 0.01 radian at position 1.
    out = reference(new=2, context=2).rope(floats([0] * 4, [1, 1, 0, 0]), 1, 10000.0)
    assert out[1].tolist() == pytest.approx([math.cos(1), math.cos(0.01), math.sin(1), math.sin(0.01)])


def test_rope_counts_the_position_from_the_start_of_the_context():
    out = reference(new=1, context=4, phase="decode").rope(floats([1, 0]), 1, 10000.0)
    assert out[0].tolist() == pytest.approx([math.cos(3), math.sin(3)])


def test_swiglu_gates_the_second_half_with_the_first():
    # silu(ln 3) = ln 3 x 0.75
    out = reference().swiglu(floats([math.log(3), 2.0]))
    assert out[0, 0] == pytest.approx(math.log(3) * 0.75 * 2)


def test_the_clipped_swiglu_cuts_both_halves_and_adds_one():
    # gate 9 is cut to 7, up -9 to -7: (-7 + 1) x 7 x sigmoid(1.702 x 7 = 11.914)
    out = reference().swiglu(floats([9, -9]), clamp=7.0)
    assert out[0, 0] == pytest.approx(-42 / (1 + math.exp(-11.914)))


def test_the_clipped_swiglu_leaves_a_low_gate_alone():
    # gate -9 is not cut from below: (0 + 1) x -9 x sigmoid(-15.318)
    out = reference().swiglu(floats([-9, 0]), clamp=7.0)
    assert out[0, 0] == pytest.approx(-9 / (1 + math.exp(15.318)))


def test_take_cuts_the_same_columns_out_of_every_head():
    assert reference().take(floats([1, 2, 3, 4, 5, 6]), 2, 1, 3).tolist() == [[2, 3, 5, 6]]


def test_the_last_token_of_each_sequence_is_kept():
    assert reference(batch=2, new=2, context=2).last_token(floats([1], [2], [3], [4])).tolist() == [[2], [4]]


def test_a_head_has_a_product_of_its_own():
    weight = np.array([[[2.0]], [[10.0]]], dtype=np.float32)  # two heads, 1 -> 1
    assert reference().head_linear(floats([3, 4]), weight, name="x").tolist() == [[6, 40]]


def test_the_cache_ends_with_the_new_tokens():
    ops = reference(batch=1, new=2, context=5)
    cache = ops.append("k", floats([7], [8]), 1)
    assert cache.shape == (1, 5, 1)
    assert cache[0, 3:, 0].tolist() == [7, 8]
    assert 0 not in cache[0, :3, 0]


# -- attention ------------------------------------------------------------------------------------------------------


def test_a_query_sees_itself_and_what_came_before():
    # Scores are all 0, so each output is the mean of the values seen: 1, (1 + 3) / 2, (1 + 3 + 8) / 3.
    ops = reference(new=3, context=3)
    values = np.array([[[1], [3], [8]]], dtype=np.float32)
    out = ops.attention(floats([0], [0], [0]), values * 0, values, heads=1, kv_heads=1, scale=1.0)
    assert out[:, 0].tolist() == [1, 2, 4]


def test_attention_weighs_by_the_softmax_of_scaled_scores():
    # Scores q.k x scale = (0, 2 ln 3 x 0.5): weights 1/4 and 3/4 of values 0 and 8.
    ops = reference(new=1, context=2, phase="decode")
    keys = np.array([[[0], [2 * math.log(3)]]], dtype=np.float32)
    values = np.array([[[0], [8]]], dtype=np.float32)
    out = ops.attention(floats([1]), keys, values, heads=1, kv_heads=1, scale=0.5)
    assert out[0, 0] == pytest.approx(6)


def test_heads_share_keys_in_groups_of_neighbours():
    # Four heads on two: heads 0 and 1 read kv head 0, heads 2 and 3 kv head 1.
    ops = reference(phase="decode")
    values = np.array([[[5, 9]]], dtype=np.float32)
    out = ops.attention(floats([0, 0, 0, 0]), values * 0, values, heads=4, kv_heads=2, scale=1.0)
    assert out[0].tolist() == [5, 5, 9, 9]


def test_a_window_of_two_hides_older_tokens():
    ops = reference(new=3, context=3)
    values = np.array([[[1], [3], [8]]], dtype=np.float32)
    out = ops.attention(floats([0], [0], [0]), values * 0, values, heads=1, kv_heads=1, scale=1.0, window=2)
    assert out[:, 0].tolist() == [1, 2, 5.5]


def test_a_sink_takes_its_share_and_gives_nothing_back():
    # Scores 0 and 0, sink ln 2: weights 1/4, 1/4 and 2/4 of nothing.
    ops = reference(new=1, context=2, phase="decode")
    values = np.array([[[4], [8]]], dtype=np.float32)
    sinks = floats(math.log(2))
    out = ops.attention(floats([0]), values * 0, values, heads=1, kv_heads=1, scale=1.0, sinks=sinks)
    assert out[0, 0] == pytest.approx(3)


def test_each_head_has_its_own_sink():
    # Score 0: a sink of 0 takes half, a sink of -infinity nothing.
    ops = reference(phase="decode")
    values = np.array([[[6]]], dtype=np.float32)
    out = ops.attention(
        floats([0, 0]), values * 0, values, heads=2, kv_heads=1, scale=1.0, sinks=floats(0, -np.inf)
    )  # fmt: skip
    assert out[0].tolist() == [3, 6]


def test_absorbed_latent_attention_adds_the_rotary_scores_and_returns_latents():
    # Scores: plain (0, ln 2) + rotary (0, ln 2) = (0, ln 4): weights 1/5 and 4/5 of latents 0 and ln 2.
    ops = reference(new=1, context=2, phase="decode")
    latent = np.array([[[0], [math.log(2)]]], dtype=np.float32)
    out = ops.mla_attention(floats([1]), floats([1]), latent, latent, heads=1, scale=1.0)
    assert out[0, 0] == pytest.approx(0.8 * math.log(2))


def test_expanded_latent_attention_reads_keys_and_values_side_by_side():
    # Each token expands to (key, value): (0, 10) and (ln 3, 2); rotary keys are 0. Weights 1/4 and 3/4.
    ops = reference(new=1, context=2, phase="decode")
    nothing = np.zeros((1, 2, 1), dtype=np.float32)
    out = ops.mla_attention(
        floats([1]), floats([1]), nothing, nothing,
        heads=1, scale=1.0, expansion=floats([0, 10], [math.log(3), 2]),
    )  # fmt: skip
    assert out[0, 0] == pytest.approx(10 / 4 + 2 * 3 / 4)


def test_sparse_attention_sees_the_selected_tokens_only():
    ops = reference(new=1, context=3, phase="decode")
    latent = np.array([[[3], [100], [5]]], dtype=np.float32)
    out = ops.mla_attention(
        floats([0]), floats([0]), latent, latent, heads=1, scale=1.0, selected=np.array([[0, 2]]), limit=2
    )  # fmt: skip
    assert out[0, 0] == 4


def test_the_indexer_mixes_its_heads_positive_scores():
    # Keys 1, -2, 3. Head 0 (q 1): 1, 0, 3; head 1 (q -1): 0, 2, 0. Mixed 1 x head 0 + 2 x head 1: 1, 4, 3.
    ops = reference(new=1, context=3, phase="decode")
    keys = np.array([[[1], [-2], [3]]], dtype=np.float32)
    best = ops.select(floats([1, -1]), keys, floats([1, 2]), heads=2, top_k=2)
    assert best.tolist() == [[1, 2]]


def test_the_indexer_keeps_no_token_of_the_future_while_the_past_is_enough():
    ops = reference(new=2, context=3)
    keys = np.array([[[1], [2], [9]]], dtype=np.float32)
    best = ops.select(floats([1], [1]), keys, floats([1], [1]), heads=1, top_k=2)
    assert best.tolist() == [[1, 0], [2, 1]]


# -- routing: DeepSeek-V3's rule (arXiv:2412.19437, 2.1.2) and softmax's ------------------------------------------------


def chosen(scores, gate, bias=None):
    ops = reference()
    ids, affinity = ops.choose(scores, None if bias is None else floats(*bias), gate)
    return ids[0].tolist(), ops.gate_weights(ids, affinity, gate)[0].tolist()


LIMITED = Gate(top_k=2, scoring="sigmoid", normalize=True, scale=2.5, groups=3, groups_kept=2)
# Three groups of two; their two best add up to 1.0, 1.1 and 0.95, so the last group is closed with the best expert in it.
SCORES = logit(0.8, 0.2, 0.6, 0.5, 0.9, 0.05)


def test_a_closed_groups_best_expert_is_not_chosen():
    assert chosen(SCORES, LIMITED)[0] == [0, 2]


def test_weights_are_renormalised_and_scaled_by_2_5():
    # 0.8 / 1.4 x 2.5 and 0.6 / 1.4 x 2.5
    assert chosen(SCORES, LIMITED)[1] == pytest.approx([1.428571, 1.071429], rel=1e-5)


def test_the_bias_chooses_but_does_not_weigh():
    # Expert 3 is ranked at 0.5 + 0.5 = 1.0, before expert 0 at 0.8; their weights are 0.5 and 0.8 over 1.3, x 2.5.
    ids, weights = chosen(SCORES, LIMITED, bias=[0, 0, 0, 0.5, 0, 0])
    assert ids == [3, 0]
    assert weights == pytest.approx([0.961538, 1.538462], rel=1e-5)


def test_the_bias_opens_a_group():
    # 0.9 + 0.05 + 0.3 = 1.25 opens the last group and closes the first (1.0).
    assert chosen(SCORES, LIMITED, bias=[0, 0, 0, 0, 0, 0.3])[0] == [4, 2]


def test_a_negative_bias_does_not_let_a_closed_group_in():
    # All of groups 0 and 1 are ranked below 0, and still before the closed group.
    ids, _ = chosen(SCORES, LIMITED, bias=[-1, -1, -1, -1, -5, -5])
    assert ids == [0, 2]


def test_one_group_is_no_limit():
    gate = Gate(top_k=2, scoring="sigmoid", normalize=True, scale=1.0)
    assert chosen(SCORES, gate)[0] == [4, 0]


ONE_GROUP = Gate(top_k=1, scoring="sigmoid", normalize=False, scale=1.0, groups=2, groups_kept=1)


def test_a_group_is_scored_by_its_two_best_and_not_by_its_best():
    # 0.9 + 0.1 against 0.6 + 0.5
    assert chosen(logit(0.9, 0.1, 0.1, 0.6, 0.5, 0.1), ONE_GROUP)[0] == [3]


def test_a_group_is_scored_by_its_two_best_and_not_by_its_sum():
    # 0.5 + 0.5 against 0.8 + 0.3, where all three are 1.5 against 1.2
    assert chosen(logit(0.5, 0.5, 0.5, 0.8, 0.3, 0.1), ONE_GROUP)[0] == [3]


def test_weights_that_are_not_renormalised_are_the_affinities():
    gate = Gate(top_k=2, scoring="sigmoid", normalize=False, scale=2.0)
    assert chosen(SCORES, gate)[1] == pytest.approx([1.8, 1.6], rel=1e-5)


def softmax_scores(*shares):
    return floats([math.log(s) for s in shares])


def test_softmax_weights_are_shares_of_all_experts():
    gate = Gate(top_k=2, scoring="softmax", normalize=False, scale=1.0)
    ids, weights = chosen(softmax_scores(0.1, 0.4, 0.2, 0.3), gate)
    assert ids == [1, 3]
    assert weights == pytest.approx([0.4, 0.3], rel=1e-5)


def test_softmax_weights_renormalised_are_shares_of_the_chosen():
    gate = Gate(top_k=2, scoring="softmax", normalize=True, scale=1.0)
    assert chosen(softmax_scores(0.1, 0.4, 0.2, 0.3), gate)[1] == pytest.approx([4 / 7, 3 / 7], rel=1e-5)


def test_softmax_survives_large_scores():
    gate = Gate(top_k=1, scoring="softmax", normalize=False, scale=1.0)
    assert chosen(floats([1000, 0, -1000]), gate) == ([0], [1.0])


def test_alike_scores_go_to_the_first_experts():
    gate = Gate(top_k=3, scoring="softmax", normalize=True, scale=1.0)
    ids, weights = chosen(floats([1, 1, 1, 1, 1]), gate)
    assert ids == [0, 1, 2]
    assert weights == pytest.approx([1 / 3] * 3)


def test_alike_groups_are_opened_in_order():
    ids, _ = chosen(floats([0] * 6), LIMITED)
    assert ids == [0, 1]


# -- experts --------------------------------------------------------------------------------------------------------


def test_rows_are_sorted_by_expert_and_then_by_token(plan):
    routed_plan = plan([[0, 2], [1, 2]], first=0, here=3)
    routed = reference(batch=2).planned(routed_plan)
    assert routed.token.tolist() == [0, 1, 0, 1]  # expert 0: token 0; expert 1: token 1; expert 2: tokens 0 and 1
    assert routed.counts.tolist() == [1, 1, 2]
    assert routed.weight.tolist() == [0.5, 0.5, 0.5, 0.5]


def test_a_rank_works_on_the_rows_of_its_own_experts(plan):
    routed_plan = plan([[0, 2], [1, 3]], first=2, here=2)
    routed = reference(batch=2).planned(routed_plan)
    assert routed.token.tolist() == [0, 1]
    assert routed.counts.tolist() == [1, 1]


def test_pooled_tokens_of_other_ranks_stand_for_this_ranks_own(plan):
    # Two tokens here, four pooled: pooled token 2 carries the activations of token 0, token 3 those of token 1.
    routed_plan = plan([[0], [0], [1], [1]], first=1, here=1)
    gate = Gate(1, "softmax", False, 1.0)
    routed = reference(batch=2).route(softmax_scores(0.9, 0.1).repeat(2, axis=0), None, gate, routed_plan)
    assert routed.token.tolist() == [0, 1]
    assert routed.weight.tolist() == pytest.approx([0.1, 0.1], rel=1e-5)


def test_each_experts_rows_meet_its_own_weight_and_bias(plan):
    routed_plan = plan([[0], [1], [1]], first=0, here=2)
    ops = reference(batch=3)
    weight = np.array([[[2.0]], [[10.0]]], dtype=np.float32)
    out = ops.grouped_linear(floats([1], [2], [3]), weight, ops.planned(routed_plan), floats([0.5], [0.25]), name="x")
    assert out[:, 0].tolist() == [2.5, 20.25, 30.25]


def test_a_tokens_experts_are_summed_with_their_weights_and_the_shared_expert(plan):
    routed_plan = plan([[0, 1], [0, 1]], first=0, here=2)
    ops = reference(batch=2)
    # Rows: expert 0 of tokens 0 and 1, expert 1 of tokens 0 and 1; weights are all a half.
    out = ops.combine(floats([1], [2], [3], [4]), ops.planned(routed_plan), floats([10], [20]), ranks=1)
    assert out[:, 0].tolist() == [12, 23]


def test_a_limit_on_layers_holds_for_each_kind():
    ops = ReferenceOperators(Step("decode", 1, 1, 1), "fp32", layers=2)
    assert list(ops.repeat("moe", 5)) == ["moe0", "moe1"]
    assert list(ops.repeat("dense", 1)) == ["dense0"]


def test_of_several_copies_the_last_is_computed():
    ops = ReferenceOperators(Step("kernel", 1, 1, 1), "fp32", copies=4)
    assert list(ops.repeat("copy", 1)) == ["copy3"]
