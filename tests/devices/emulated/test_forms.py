"""The formulas: each against a number worked out by hand, its limits, and what must never shrink.

Peaks are round (1e15 FLOP/s, 1e12 B/s, 1e11 B/s of link among 8 devices, 5e10 B/s of network), so that times are too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.devices.emulated.correction import MOST_CORRECTION
from bench.devices.emulated.form import Peaks
from bench.devices.emulated.forms import FORMS, OTHER_FORMS, element_bytes, peaks_of, roofline
from bench.devices.emulated.links import LINKED, OTHER_LINK_FORMS
from bench.devices.emulated.profile import profiles
from bench.devices.sheet import load_sheet
from bench.errors import Unsupported

US = 1e-6
ROUND = Peaks(1e15, 1e12, 50e6, 1e11, 8, 5e10)

# One point of every kind, large enough that no part of a formula vanishes.
POINTS = {
    "gemm": {"m": 100, "n": 3000, "k": 5000},
    "batched_gemm": {"batch": 8, "m": 100, "n": 300, "k": 500},
    "moe": {"rows": 100, "touched": 7, "padded": 448, "busiest": 30, "experts": 8, "hidden": 2000, "inner": 700},
    "attention_prefill": {
        "batch": 2, "heads": 32, "kv_heads": 8, "head_dim": 128, "v_dim": 128, "q_len": 1000, "kv_len": 3000,
    },
    "attention_decode": {
        "batch": 20, "heads": 32, "kv_heads": 8, "head_dim": 128, "v_dim": 128, "q_len": 1, "kv_len": 3000,
    },
    "mla_prefill": {"batch": 2, "heads": 16, "head_dim": 192, "v_dim": 128, "q_len": 1000, "kv_len": 3000},
    "mla_decode": {"batch": 20, "heads": 128, "head_dim": 576, "v_dim": 512, "q_len": 1, "kv_len": 3000},
    "all_reduce": {"ranks": 8, "message_bytes": 3e6},
    "all_gather": {"ranks": 8, "message_bytes": 3e6},
    "reduce_scatter": {"ranks": 8, "message_bytes": 3e6},
    "all_to_all": {"ranks": 8, "message_bytes": 3e6},
    "ep_dispatch": {"ranks": 32, "message_bytes": 3e6},
    "ep_combine": {"ranks": 32, "message_bytes": 3e6},
    "indexer": {"batch": 2, "heads": 64, "kv_heads": 1, "head_dim": 128, "v_dim": 0, "q_len": 1000, "kv_len": 3000},
    "pointwise": {"moved_bytes": 3e6},
}  # fmt: skip
GROWING = [
    (kind, name)
    for kind, point in POINTS.items()
    for name in ("m", "n", "k", "batch", "kv_len", "message_bytes", "moved_bytes", "rows", "padded", "touched")
    if name in point
]


def usual(kind: str, **changed: float) -> dict[str, float]:
    return {name: first for name, (first, _, _) in FORMS[kind].numbers.items()} | changed


def time_us(kind, numbers, dims, peaks, dtype="bf16"):
    return float(FORMS[kind].price(numbers, dims, peaks, element_bytes(dtype)).seconds) / US


def test_every_formula_has_a_point_here():
    assert set(POINTS) == set(FORMS)


# -- each formula by hand -----------------------------------------------------------------------------------------------


def test_a_product_that_overlaps_nothing_takes_the_sum_of_computing_and_reading(round_peaks):
    # 2e9 FLOP at 0.125 x 1e15 = 16 us; (2 x 1e6 + 2 x 1e6 + 2 x 1e6) B = 6 MB at 0.5 x 1e12 = 12 us; launch 5 us.
    numbers = {"compute": 0.125, "memory": 0.5, "launch_us": 5.0, "sharpness": 1.0}
    assert time_us("gemm", numbers, {"m": 1000, "n": 1000, "k": 1000}, round_peaks) == pytest.approx(33.0)


def test_a_product_with_sharpness_two_takes_the_hypotenuse_of_computing_and_reading(round_peaks):
    # sqrt(16^2 + 12^2) = 20 us, launch 5 us.
    numbers = {"compute": 0.125, "memory": 0.5, "launch_us": 5.0, "sharpness": 2.0}
    assert time_us("gemm", numbers, {"m": 1000, "n": 1000, "k": 1000}, round_peaks) == pytest.approx(25.0)


def test_eight_bit_operands_are_read_at_one_byte_and_results_written_at_two(round_peaks):
    # 2 x 1e6 x 1 B + 1e6 x 2 B = 4 MB at 0.5 x 1e12 = 8 us.
    parts = FORMS["gemm"].price(usual("gemm", memory=0.5), {"m": 1000, "n": 1000, "k": 1000}, round_peaks, 1.0)
    assert float(parts.memory) == pytest.approx(8 * US)


def test_a_batch_of_products_is_one_launch_and_so_much_more_work(round_peaks):
    # Three of the products above: sqrt(48^2 + 36^2) = 60 us, one launch of 5 us.
    numbers = {"compute": 0.125, "memory": 0.5, "launch_us": 5.0, "sharpness": 2.0}
    dims = {"batch": 3, "m": 1000, "n": 1000, "k": 1000}
    assert time_us("batched_gemm", numbers, dims, round_peaks) == pytest.approx(65.0)


def test_experts_compute_padded_rows_and_read_touched_weights(round_peaks):
    # 6 x 100 x 1000 x 500 = 3e8 FLOP at 0.05 x 1e15 = 6 us. Weights 3 x 2.2 x 5e5 x 2 B = 6.6 MB and rows
    # 100 x (8 x 1000 + 12 x 500) B = 1.4 MB at 1e12 = 8 us; hypotenuse 10. Launch 20 us + 8 experts x 0.5 us.
    numbers = {"compute": 0.05, "memory": 1.0, "launch_us": 20.0, "sharpness": 2.0, "expert_us": 0.5}
    dims = {"rows": 100, "touched": 2.2, "padded": 100, "busiest": 50, "experts": 8, "hidden": 1000, "inner": 500}
    assert time_us("moe", numbers, dims, round_peaks) == pytest.approx(34.0)


def test_prompt_attention_is_causal_and_ramps_up_with_length(round_peaks):
    # 1000 x 1000 - 1000 x 999 / 2 = 500500 pairs x 2 x 10 heads x 100 = 1.001e9 FLOP at 1e14 = 10.01 us, doubled by a
    # ramp as long as the prompt; (10 + 5) x 1000 x 100 x 2 B = 3 MB at 0.5e12 = 6 us; launch 4 us.
    numbers = {"compute": 0.1, "ramp_tokens": 1000.0, "launch_us": 4.0, "memory": 0.5}
    dims = {"batch": 1, "heads": 10, "kv_heads": 5, "head_dim": 50, "v_dim": 50, "q_len": 1000, "kv_len": 1000}
    assert time_us("attention_prefill", numbers, dims, round_peaks) == pytest.approx(30.02)


def test_a_prompt_after_a_prefix_attends_to_all_of_it(round_peaks):
    # 100 new tokens of 1000: 100 x 1000 - 100 x 99 / 2 = 95050 pairs x 2 x 10 x 100 = 1.901e8 FLOP at 1e14 = 1.901 us.
    numbers = {"compute": 0.1, "ramp_tokens": 1e-9, "launch_us": 4.0, "memory": 0.5}
    dims = {"batch": 1, "heads": 10, "kv_heads": 5, "head_dim": 50, "v_dim": 50, "q_len": 100, "kv_len": 1000}
    parts = FORMS["attention_prefill"].price(numbers, dims, round_peaks, 2.0)
    assert float(parts.compute) == pytest.approx(1.901 * US)


DECODE = {
    "memory": 0.7, "memory_ungrouped": 0.35, "launch_us": 3.0, "ramp_us": 10.0, "hit": 0.6, "cache_share": 0.04,
    "compute_wide": 0.001,
}  # fmt: skip
DECODED = {"batch": 2, "heads": 10, "kv_heads": 5, "head_dim": 50, "v_dim": 50, "q_len": 1, "kv_len": 1000}


def test_decode_attention_reads_the_cache_less_what_the_last_level_keeps(round_peaks):
    # 2 B x 2 x 1000 x 5 x 100 = 2 MB, exactly 0.04 x 50 MB: half of a hit of 0.6 is kept, 1.4 MB at 0.7e12 = 2 us;
    # half of a ramp of 10 us; launch 3 us.
    assert time_us("attention_decode", DECODE, DECODED, round_peaks) == pytest.approx(10.0)


def test_decode_attention_without_groups_has_a_share_of_its_own(round_peaks):
    # 1.4 MB at 0.35e12 = 4 us instead of 2.
    assert time_us("attention_decode", DECODE, DECODED | {"heads": 5}, round_peaks) == pytest.approx(12.0)


def test_decode_attention_of_very_wide_groups_is_bound_by_computing(round_peaks):
    # 330 heads on 5 keys: 2 x 2 x 330 x 1000 x 100 = 1.32e8 FLOP at 0.001 x 1e15 = 132 us, launch 3 us.
    assert time_us("attention_decode", DECODE, DECODED | {"heads": 330}, round_peaks) == pytest.approx(135.0)


def test_decode_attention_far_beyond_the_cache_reads_every_key_and_value_once(round_peaks):
    # 2 B x 64 x 100000 x 8 x 256 = 26.2144 GB at 0.7e12 = 37449.14 us, all of the ramp, launch 3 us.
    dims = {"batch": 64, "heads": 64, "kv_heads": 8, "head_dim": 128, "v_dim": 128, "q_len": 1, "kv_len": 100_000}
    assert time_us("attention_decode", DECODE, dims, round_peaks) == pytest.approx(37449.14 + 10 + 3, rel=1e-5)


def test_latent_attention_reads_the_latent_once_for_all_heads(round_peaks):
    # 2 B x 4 x 5000 x 576 = 23.04 MB at 0.9e12 = 25.6 us, whether one head reads it or 128.
    dims = {"batch": 4, "head_dim": 576, "v_dim": 512, "q_len": 1, "kv_len": 5000}
    numbers = usual("mla_decode", memory=0.9)
    for heads in (1, 128):
        parts = FORMS["mla_decode"].price(numbers, dims | {"heads": heads}, round_peaks, 2.0)
        assert float(parts.memory) == pytest.approx(25.6 * US)


def test_latent_attention_computes_keys_of_576_and_values_of_512(round_peaks):
    # 2 x 4 x 128 x 5000 x (576 + 512) = 5.57056e9 FLOP at 0.5e15 = 11.14112 us.
    dims = {"batch": 4, "heads": 128, "head_dim": 576, "v_dim": 512, "q_len": 1, "kv_len": 5000}
    parts = FORMS["mla_decode"].price(usual("mla_decode", compute=0.5), dims, round_peaks, 2.0)
    assert float(parts.compute) == pytest.approx(11.14112 * US)


COLLECTIVE = {"launch_us": 1.0, "per_rank_us": 0.5, "link_quick": 0.5, "link_bulk": 0.75, "bulk_launch": 3.0}


def test_a_short_message_takes_the_quick_protocol(round_peaks):
    # Start 1 + 4 x 0.5 = 3 us. Gathering sends 3/4 MB: quick 3 + 15 us, bulk 3 x 3 + 10 us.
    assert time_us("all_gather", COLLECTIVE, {"ranks": 4, "message_bytes": 1e6}, round_peaks) == pytest.approx(18.0)


def test_a_long_message_takes_the_bulk_protocol(round_peaks):
    # 3 MB: quick 3 + 60 us, bulk 9 + 40 us.
    assert time_us("all_gather", COLLECTIVE, {"ranks": 4, "message_bytes": 4e6}, round_peaks) == pytest.approx(49.0)


@pytest.mark.parametrize(
    # Of 40 MB among 4: reducing sends 60 MB (9 + 800 us), the others 30 MB (9 + 400 us).
    ("kind", "us"),
    [("all_reduce", 809.0), ("all_gather", 409.0), ("reduce_scatter", 409.0)],
)
def test_reducing_to_all_sends_twice_what_the_others_send(kind, us, round_peaks):
    assert time_us(kind, COLLECTIVE, {"ranks": 4, "message_bytes": 40e6}, round_peaks) == pytest.approx(us)


def test_pairs_exchange_side_by_side_where_the_quick_protocol_does(round_peaks):
    # Of 4 MB among 4, 1 MB is for each other rank: at a twentieth of the link 200 us, start 3 us. Bulk: 9 + 40 us.
    pairs = COLLECTIVE | {"link_quick": 0.05}
    assert time_us("all_to_all", pairs, {"ranks": 4, "message_bytes": 4e6}, round_peaks) == pytest.approx(49.0)
    # Of 40 kB 10 kB: 3 + 2 us, as among 8 with 80 kB: 5 + 2 us.
    assert time_us("all_to_all", pairs, {"ranks": 4, "message_bytes": 4e4}, round_peaks) == pytest.approx(5.0)
    assert time_us("all_to_all", pairs, {"ranks": 8, "message_bytes": 8e4}, round_peaks) == pytest.approx(7.0)


def test_few_rows_are_gathered_and_many_multiplied(round_peaks):
    # An expert's weights: 3 x 1000 x 1000 x 2 B = 6 MB. Shares 1: 6 us from memory; from the cache, share 3: 2 us.
    numbers = {"gathered": 1.0, "again": 3.0, "memory": 0.5, "compute": 0.5, "launch_us": 5.0, "expert_us": 0.1}

    def seconds(rows: float, touched: float) -> float:
        dims = {"rows": rows, "padded": rows, "touched": touched, "experts": 10.0, "hidden": 1e3, "inner": 1e3}
        return float(OTHER_FORMS["gathered"].price(numbers, dims, round_peaks, 2.0).seconds)

    # Two rows on two experts: 2 x 6 us and 40 kB in and out. Four rows on two: 4 us more, and twice the in and out.
    assert seconds(2, 2) == pytest.approx((5 + 1 + 12 + 0.04) * US)
    assert seconds(4, 2) == pytest.approx((6 + 12 + 0.08 + 4) * US)
    # 1000 rows on two: read once at half the bandwidth, 24 us, 20 MB in and out 40 us, 6e9 FLOP at half the peak 12 us.
    assert seconds(1000, 2) == pytest.approx((6 + 24 + 40 + 12) * US)


def test_one_shot_sends_the_whole_message_to_everyone_and_a_ring_takes_over_when_it_is_long(round_peaks):
    price = OTHER_LINK_FORMS["one_shot"].price
    # 100 kB to 3 others: 3 + 300 kB / 0.5 / 1e11 = 9 us. 4 MB: 243 us, or the ring: 9 + 6 MB / 0.75 / 1e11 = 89 us.
    short = price(COLLECTIVE, {"ranks": 4, "message_bytes": 1e5}, round_peaks, 2.0)
    long = price(COLLECTIVE, {"ranks": 4, "message_bytes": 4e6}, round_peaks, 2.0)
    assert (float(short.seconds), float(long.seconds)) == (pytest.approx(9 * US), pytest.approx(89 * US))


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_launches_are_cycles_so_half_the_clock_doubles_them(kind, round_peaks):
    slow = replace(round_peaks, clock_hz=round_peaks.clock_hz / 2)
    numbers = usual(kind)
    fast, slowed = (FORMS[kind].price(numbers, POINTS[kind], peaks, 2.0) for peaks in (round_peaks, slow))
    assert float(slowed.launch) == pytest.approx(2 * float(fast.launch))
    assert float(slowed.compute) == float(fast.compute)


def test_a_sheets_clock_is_used_and_the_usual_one_where_it_gives_none():
    assert peaks_of(load_sheet("a100-sxm-80"), "gemm", "bf16", "x").clock_hz == 1.41e9
    assert peaks_of(load_sheet("b200-sxm"), "gemm", "bf16", "x").clock_hz == 1.83e9


def test_a_collective_beyond_the_link_domain_waits_for_the_network(round_peaks):
    # 16 MB among 16, 8 of them linked: 7 MB go over links (140 us), 8 MB over the network (8e6 / 0.5 / 5e10 = 320 us)
    # at once; start 1 + 16 x 0.5 = 9 us.
    assert time_us("all_gather", COLLECTIVE, {"ranks": 16, "message_bytes": 16e6}, round_peaks) == pytest.approx(
        # The bulk protocol at 0.75: 8e6 / 0.75 / 5e10 = 213.33 us, three starts.
        213.333 + 27,
        rel=1e-5,
    )
    only_quick = COLLECTIVE | {"bulk_launch": 40.0}
    assert time_us("all_gather", only_quick, {"ranks": 16, "message_bytes": 16e6}, round_peaks) == pytest.approx(329.0)


def test_a_collective_without_a_stated_domain_stays_on_links(round_peaks):
    # 15 MB at 0.75 x 1e11 = 200 us, start three times 9 us.
    alone = replace(round_peaks, domain=None)
    assert time_us("all_gather", COLLECTIVE, {"ranks": 16, "message_bytes": 16e6}, alone) == pytest.approx(227.0)


EXCHANGE = {"launch_us": 10.0, "per_rank_us": 0.5, "near": 0.7, "far": 0.8}


def test_an_exchange_beyond_the_link_domain_uses_the_network(round_peaks):
    # 7 MB over links (7e6 / 0.7 / 1e11 = 100 us), 8 MB over the network (8e6 / 0.8 / 5e10 = 200 us), launch 10 + 8 us.
    dims = {"ranks": 16, "message_bytes": 16e6}
    assert time_us("ep_dispatch", EXCHANGE, dims, round_peaks) == pytest.approx(218.0)


def test_an_exchange_inside_the_link_domain_uses_links_alone(round_peaks):
    # Among 8: 14 MB at 0.7 x 1e11 = 200 us, launch 10 + 4 us.
    dims = {"ranks": 8, "message_bytes": 16e6}
    assert time_us("ep_combine", EXCHANGE, dims, round_peaks) == pytest.approx(214.0)


def test_a_prompts_exchange_sends_a_token_once_to_each_group_that_has_one_of_its_experts(round_peaks):
    # 32 ranks are 4 groups of 8. One expert lies in another group with chance 3/4: 4 MB x 0.75 = 3 MB at 0.6 x 5e10
    # = 100 us; launch 10 + 16 us.
    dims = {"ranks": 32, "message_bytes": 1e6, "token_bytes": 4e6, "top_k": 1}
    numbers = EXCHANGE | {"far": 0.6}
    assert time_us("ep_dispatch", numbers, dims, round_peaks) == pytest.approx(126.0)
    # Two experts: 3 groups x (1 - (3/4)^2) = 1.3125 copies, 175 us; a thousand: 3 copies, 400 us, and never more.
    assert time_us("ep_dispatch", numbers, dims | {"top_k": 2}, round_peaks) == pytest.approx(201.0)
    assert time_us("ep_dispatch", numbers, dims | {"top_k": 1000}, round_peaks) == pytest.approx(426.0)


def test_a_prompts_exchange_spreads_rows_over_the_links_at_the_same_time(round_peaks):
    # 70 MB of rows at 0.7 x 1e11 = 1000 us, more than the 75 us of the network; launch 10 + 16 us.
    dims = {"ranks": 32, "message_bytes": 70e6, "token_bytes": 4e6, "top_k": 1}
    assert time_us("ep_combine", EXCHANGE, dims, round_peaks) == pytest.approx(1026.0)


def test_a_small_kernel_is_a_launch_and_its_bytes(round_peaks):
    assert time_us("pointwise", {"memory": 0.5, "launch_us": 3.0}, {"moved_bytes": 1e6}, round_peaks) == pytest.approx(
        5.0
    )


# -- limits -------------------------------------------------------------------------------------------------------------


def test_a_huge_product_approaches_its_share_of_the_peak(round_peaks):
    # 2 x 65536^3 = 5.63e14 FLOP: everything but computing is below one in a thousand.
    numbers = usual("gemm", compute=0.8)
    took_s = time_us("gemm", numbers, {"m": 65536, "n": 65536, "k": 65536}, round_peaks) * US
    assert 2 * 65536**3 / took_s / 1e15 == pytest.approx(0.8, rel=1e-3)


def test_a_tiny_product_takes_its_launch(round_peaks):
    assert time_us("gemm", usual("gemm", launch_us=5.0), {"m": 1, "n": 16, "k": 16}, round_peaks) == pytest.approx(
        5.0, rel=1e-3
    )


def test_a_thin_product_approaches_its_share_of_the_bandwidth(round_peaks):
    # One row: 65536^2 weights of 2 B, 8.59 GB.
    took_s = time_us("gemm", usual("gemm", memory=0.8), {"m": 1, "n": 65536, "k": 65536}, round_peaks) * US
    assert 65536**2 * 2 / took_s / 1e12 == pytest.approx(0.8, rel=5e-3)


@pytest.mark.parametrize("kind", sorted(LINKED))
def test_an_empty_message_takes_its_start(kind, round_peaks):
    numbers = usual(kind, launch_us=4.0, per_rank_us=1.0)
    assert time_us(kind, numbers, {"ranks": 4, "message_bytes": 1e-3}, round_peaks) == pytest.approx(8.0, rel=1e-3)


def test_a_roofline_reaches_every_peak_and_launches_nothing(round_peaks):
    # 2e9 FLOP at 1e15 = 2 us; 6 MB at 1e12 = 6 us; the larger of the two.
    dims = {"m": 1000, "n": 1000, "k": 1000}
    assert roofline("gemm", dims, round_peaks, 2.0) == pytest.approx(6 * US)
    # 1e7 bytes of the gathered whole: 3/4 of them at 1e11 = 75 us.
    assert roofline("all_gather", {"ranks": 4, "message_bytes": 1e7}, round_peaks, 2.0) == pytest.approx(75 * US)


# -- arrays -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_a_sweep_is_its_points_one_by_one(kind, round_peaks):
    scale = np.array([0.25, 1.0, 3.0, 40.0])
    fixed = {"head_dim", "v_dim", "kv_heads", "ranks"}
    swept = {name: value if name in fixed else value * scale for name, value in POINTS[kind].items()}
    together = np.broadcast_to(FORMS[kind].price(usual(kind), swept, round_peaks, 2.0).seconds, scale.shape)
    for i in range(len(scale)):
        point = {name: np.asarray(value).ravel()[i % np.size(value)].item() for name, value in swept.items()}
        assert time_us(kind, usual(kind), point, round_peaks) * US == pytest.approx(together[i], rel=1e-12)


def test_points_of_a_sweep_may_run_against_peaks_of_their_own(round_peaks):
    # The second device computes and reads twice as fast: 20 us become 10, the launch of 5 us stays.
    both = replace(round_peaks, flops=np.array([1e15, 2e15]), bytes_per_s=np.array([1e12, 2e12]))
    numbers = {"compute": 0.125, "memory": 0.5, "launch_us": 5.0, "sharpness": 2.0}
    seconds = FORMS["gemm"].price(numbers, {"m": 1000, "n": 1000, "k": 1000}, both, 2.0).seconds
    assert list(seconds) == pytest.approx([25 * US, 15 * US])


# -- what must not shrink -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), GROWING)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_time_grows_with_every_dimension(kind, name, data):
    low_high = {key: (least, most) for key, (_, least, most) in FORMS[kind].numbers.items()}
    numbers = {key: data.draw(st.floats(*bounds), label=key) for key, bounds in low_high.items()}
    start = data.draw(st.floats(0.05, 30), label="start")
    more = data.draw(st.floats(1.0, 8), label="more")
    dims = POINTS[kind] | {name: POINTS[kind][name] * start}
    if "q_len" in dims:
        dims["q_len"] = min(dims["q_len"], dims["kv_len"])
    larger = dims | {name: dims[name] * more}
    assert time_us(kind, numbers, larger, ROUND) >= time_us(kind, numbers, dims, ROUND) * (1 - 1e-9)


@pytest.mark.parametrize("device", ["a100-sxm-80", "b200-sxm", "h100-sxm"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_shipped_correction_never_moves_a_time_by_more_than_its_limit(device, data):
    rules = [rule for rule in profiles()[device].rules if rule.correction is not None]
    rule = data.draw(st.sampled_from(rules))
    # Far outside of what was measured as well: there the correction stays what it was at the edge.
    dims = {
        name: value if name in ("head_dim", "v_dim") else value * data.draw(st.floats(0.01, 1000), label=name)
        for name, value in POINTS[rule.kind].items()
    }
    plain = rule.price(dims, ROUND, rule.dtype, corrected=False).seconds
    corrected = rule.price(dims, ROUND, rule.dtype).seconds
    assert np.exp(-MOST_CORRECTION) - 1e-9 <= corrected / plain <= np.exp(MOST_CORRECTION) + 1e-9


@pytest.mark.parametrize("kind", ["gemm", "attention_prefill", "attention_decode", "mla_decode", "all_reduce"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_shipped_h100_grows_with_every_dimension_within_the_limit_of_its_corrections(kind, data):
    rule = next(rule for rule in profiles()["h100-sxm"].rules if rule.kind == kind)
    name = data.draw(st.sampled_from([name for one, name in GROWING if one == kind]))
    start = data.draw(st.floats(0.05, 30), label="start")
    dims = POINTS[kind] | {name: POINTS[kind][name] * start}
    if "q_len" in dims:
        dims["q_len"] = min(dims["q_len"], dims["kv_len"])
    larger = dims | {name: dims[name] * data.draw(st.floats(1.0, 8), label="more")}
    least = np.exp(-2 * MOST_CORRECTION)
    before, after = (float(rule.price(d, ROUND, rule.dtype).seconds) for d in (dims, larger))
    assert after >= before * least


@pytest.mark.parametrize("kind", ["gemm", "attention_prefill", "attention_decode", "mla_decode", "all_reduce"])
def test_the_shipped_h100_never_takes_less_for_sixteen_times_the_work(kind):
    # Corrections may ripple; over a factor of 16 in any one dimension the formula is the stronger.
    rule = next(rule for rule in profiles()["h100-sxm"].rules if rule.kind == kind)
    for name in [name for one, name in GROWING if one == kind]:
        scale = 16.0 ** np.arange(0, 4)
        dims = {key: np.broadcast_to(float(value), scale.shape) for key, value in POINTS[kind].items()}
        swept = dims | {name: POINTS[kind][name] * scale}
        seconds = np.asarray(rule.price(swept, ROUND, rule.dtype).seconds)
        assert list(seconds) == sorted(seconds), name


# -- peaks --------------------------------------------------------------------------------------------------------------


def test_peaks_come_from_the_sheet():
    peaks = peaks_of(load_sheet("h100-sxm"), "all_reduce", "", "h100")
    assert (peaks.bytes_per_s, peaks.link_bytes_per_s, peaks.domain) == (3.35e12, 450e9, 8)
    assert peaks_of(load_sheet("h100-sxm"), "gemm", "fp8_block", "h100").flops == pytest.approx(1979e12, rel=1e-3)


def test_a_network_that_nobody_stated_is_one_card_of_400_gbit():
    assert peaks_of(load_sheet("h100-sxm"), "ep_dispatch", "", "h100").network_bytes_per_s == 50e9
    stated = peaks_of(load_sheet("h100-sxm"), "ep_dispatch", "", "h100", network_gb_per_s=25.0)
    assert stated.network_bytes_per_s == 25e9


@pytest.mark.parametrize(
    ("device", "kind", "dtype", "says"),
    [
        ("enflame-s60", "gemm", "bf16", "no published bf16 peak in devices/enflame/enflame-s60.toml"),
        ("h100-sxm", "gemm", "fp4", "no published fp4 peak in devices/nvidia/h100-sxm.toml (it gives fp64"),
        ("hygon-k100ai", "gemm", "bf16", "devices/hygon/hygon-k100ai.toml gives no memory bandwidth"),
        ("mtt-s4000", "all_reduce", "", "devices/moorethreads/mtt-s4000.toml gives no link rate to peers"),
    ],
)
def test_a_figure_that_nobody_published_is_told_with_its_sheet(device, kind, dtype, says):
    from bench.devices.sheet import known_sheets

    sheet = known_sheets()[device]
    where = f"devices/{sheet.parent.name}/{sheet.name}"
    with pytest.raises(Unsupported) as error:
        peaks_of(load_sheet(device), kind, dtype, where)
    assert says in str(error.value)
