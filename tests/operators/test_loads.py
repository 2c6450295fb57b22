"""How many rows a rank's experts get, counted and expected."""

from __future__ import annotations

import numpy as np
import pytest

from bench.operators.loads import counted_load, expected_load, heaviest_block, inclusion_chances, shared_out


def test_counted_rows_are_padded_to_tiles_of_64():
    # 1 row pays for 64, 64 for 64, 65 for 128, none for none.
    load = counted_load(np.array([1, 64, 65, 0]))
    assert (load.rows, load.touched, load.padded, load.busiest) == (130, 3, 256, 65)


def test_certain_experts_get_every_token():
    load = expected_load(np.array([1.0, 1.0, 0.0]), 100)
    assert (load.rows, load.touched, load.busiest) == (200, 2, 100)
    # Two experts with 100 rows each: two tiles each.
    assert load.padded == 256


def test_an_expert_is_touched_unless_every_token_avoids_it():
    # Chance 1/2 and 2 tokens: touched with chance 1 - 1/4.
    load = expected_load(np.array([0.5, 0.5]), 2)
    assert load.rows == pytest.approx(2)
    assert load.touched == pytest.approx(1.5)


def test_a_sweep_is_expected_point_by_point():
    load = expected_load(np.array([0.5, 0.25]), np.array([4, 8]))
    assert load.rows.tolist() == [3, 6]
    assert load.busiest.tolist() == [2, 4]


def test_the_heaviest_of_alike_ranks_gets_more_than_the_mean():
    # Two experts of chance 1/2, 400 tokens: mean 400, variance 400 x (1/4 + 1/4) = 200; of e**2 ranks the heaviest
    # stands sqrt(2 x 2) = 2 deviations above: 400 + 2 x 14.142. Eight ranks: sqrt(2 ln 8) = 2.0393.
    assert expected_load(np.array([0.5, 0.5]), 400, ranks=8).rows == pytest.approx(400 + 2.0393 * 14.1421, rel=1e-5)


def test_what_the_heaviest_rank_has_above_its_mean_is_its_experts_too():
    # As above, of e**2 ranks: 28.284 rows more than 400, 14.142 for each of two alike experts.
    load = expected_load(np.array([0.5, 0.5]), 400, ranks=8)
    assert load.busiest == pytest.approx(200 + 2.0393 * 14.1421 / 2, rel=1e-5)


def test_an_expert_that_is_always_chosen_gets_none_of_what_chance_adds():
    # Only the second varies: variance 100 x 0.25, deviation 5, of eight ranks 2.0393 deviations.
    load = expected_load(np.array([1.0, 0.5]), 100, ranks=8)
    assert load.rows == pytest.approx(150 + 2.0393 * 5, rel=1e-5)
    assert load.busiest == 100


def test_an_expert_at_the_edge_of_a_tile_pays_for_the_next_one_half_the_time():
    # Mean 64 of 128 tokens at chance 1/2: exactly 64 with chance 0.0704, more with 0.465; 64 x 1.465 rows.
    assert expected_load(np.array([0.5]), 128).padded == pytest.approx(93.8, rel=0.03)
    assert shared_out(np.array([0.5]), 128).padded == 64


@pytest.mark.parametrize("ranks", [1, 8, 32])
def test_every_load_grows_with_the_tokens(ranks):
    tokens = np.arange(128, 8193)
    load = expected_load(np.full(8, 8 / 256), tokens, ranks=ranks, top_k=8)
    for name in ("rows", "touched", "padded", "busiest"):
        assert (np.diff(getattr(load, name)) > -1e-9).all(), name


def test_rows_that_are_shared_out_are_whole_tiles_of_the_mean():
    load = shared_out(np.array([0.5, 0.25]), 200)
    # 100 rows are two tiles, 50 one.
    assert (load.rows, load.padded, load.busiest) == (150, 192, 100)


def test_the_heaviest_rank_gets_no_more_than_top_k_rows_a_token():
    assert expected_load(np.array([0.5, 0.4]), 1, ranks=8, top_k=1).rows == 1


def test_the_heaviest_block_is_the_one_that_expects_most():
    index, block = heaviest_block(np.array([0.1, 0.2, 0.5, 0.1, 0.4, 0.3]), 3)
    assert index == 2
    assert block.tolist() == [0.4, 0.3]


def test_alike_experts_share_top_k_alike():
    assert inclusion_chances(np.full(8, 0.125), 2).tolist() == pytest.approx([0.25] * 8)


def test_an_expert_without_popularity_is_never_chosen():
    assert inclusion_chances(np.array([0.5, 0.5, 0.0]), 1).tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_all_popular_experts_are_chosen_where_top_k_asks_for_as_many():
    assert inclusion_chances(np.array([0.9, 0.1, 0.0]), 2).tolist() == [1, 1, 0]


def test_a_popular_expert_is_chosen_more_often_but_never_more_than_always():
    chances = inclusion_chances(np.array([0.97, 0.01, 0.01, 0.01]), 2)
    assert chances.sum() == pytest.approx(2)
    assert 0.99 < chances[0] <= 1
    assert chances[1:].tolist() == pytest.approx([1 / 3] * 3, rel=0.01)
