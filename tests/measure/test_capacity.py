"""What a device does of a demand: measured rows by hand, modelled ones against the rows they rest on."""

import msgspec
import pytest

from bench import project
from bench.errors import DefinitionError, Unsupported
from bench.measure.capacity import (
    Supply,
    cache_bytes,
    case_for,
    decode_capacity,
    prefill_capacity,
    request_bytes,
    transfer_s,
)
from bench.measure.rows import new_row
from bench.measure.targets import rows_at_targets
from bench.results.normalize import fill_rates
from bench.results.prices import Prices
from bench.results.target import Target
from bench.workloads.demand import Demand
from bench.workloads.sweep import select_cases

TEXT = """
summary = "a test"
prefill = "llama-3.1-8b-prefill"
decode = "llama-3.1-8b-decode"
requests_per_s = 10
profile = "flat"
input = 1000
output = 100
ttft_s = 1.0
tpot_s = 0.05
headroom = 0.2
link_gb_per_s = 25
"""
# A token's keys and values: 2 x 32 layers x 8 heads x 128 x 2 bytes.
TOKEN_BYTES = 131072


@pytest.fixture
def demand():
    """Return a function that makes the demand above, with fields changed as named."""
    made = project.parse_toml(TEXT.encode(), Demand, "d")
    return lambda **changes: msgspec.structs.replace(made, **changes)


@pytest.fixture
def measured():
    """Return a function that makes measured rows of batch -> milliseconds at one length."""

    def make(phase, length, steps, **changes):
        axis = "input_len" if phase == "prefill" else "context"
        rows = []
        for batch, ms in steps.items():
            (case,) = select_cases([f"llama-3.1-8b-{phase}"], {"batch": [batch], axis: [length]})
            row = new_row(case, device="cuda:0", device_name="A GPU", unit="package", source="measured")
            row.status, row.step_s, row.interval = "ok", ms / 1e3, (ms / 1e3 * 0.9, ms / 1e3 * 1.1)
            fill_rates(row)
            rows.append(msgspec.structs.replace(row, **changes))
        return rows

    return make


def test_a_prompts_cache_is_what_its_tokens_leave_behind(demand):
    case = case_for(demand(), "prefill", None, 1000)
    assert cache_bytes(case, 1000) == 1000 * TOKEN_BYTES
    assert request_bytes(demand()) == 1000 * TOKEN_BYTES
    assert transfer_s(demand(), 1000) == pytest.approx(1000 * TOKEN_BYTES / 25e9)


def test_latent_attention_moves_512_and_64_numbers_a_token_and_layer_however_it_is_spread(demand):
    deepseek = demand(prefill="deepseek-r1-prefill", decode="deepseek-r1-decode", dtype="8-bit")
    assert request_bytes(deepseek) == 1000 * 61 * (512 + 64) * 2


def test_measured_decode_takes_its_tokens_over_its_rate(demand, measured):
    # 14 + (b - 8) x 46 / 24 <= 50: b = 26, which takes 48.5 ms: 536 tok/s; 100 tokens take 0.1865 s.
    rows = measured("decode", 2048, {8: 14.0, 32: 60.0})
    found = decode_capacity(demand(), Supply("run", "cuda:0", rows))
    assert (found.source, found.batch, found.limit) == ("interpolated", 26, "latency target")
    assert found.seconds == pytest.approx(100 * 0.0485 / 26)
    # A tenth quicker: 12.6 + (b - 8) x 41.4 / 24 <= 50: 29, in 48.825 ms; a tenth slower: 24, in 49.133 ms.
    assert found.interval == pytest.approx((100 * 0.048825 / 29, 100 * 0.0491333 / 24))


def test_the_largest_measured_batch_is_taken_where_even_it_is_in_time(demand, measured):
    rows = measured("decode", 2048, {8: 14.0, 32: 20.0})
    found = decode_capacity(demand(), Supply("run", "cuda:0", rows))
    assert (found.source, found.batch, found.limit) == ("measured", 32, "largest measured batch")
    assert found.rate == pytest.approx(1600)


def test_the_shortest_measured_context_that_is_long_enough_stands_for_the_mean_one(demand, measured):
    rows = [
        *measured("decode", 1024, {8: 1.0}),
        *measured("decode", 4096, {8: 3.0}),
        *measured("decode", 2048, {8: 2.0}),
    ]
    assert decode_capacity(demand(), Supply("run", "cuda:0", rows)).rate == pytest.approx(4000)


def test_nothing_is_extrapolated_beyond_the_longest_measured_context(demand, measured):
    with pytest.raises(Unsupported) as raised:
        decode_capacity(demand(), Supply("run", "cuda:0", measured("decode", 1024, {8: 1.0})))
    assert str(raised.value) == (
        "no measured decode of llama-3.1-8b in bf16 at 1050 tokens; the longest is 1024, and nothing is extrapolated"
    )
    with pytest.raises(Unsupported, match=r"no measured prefill of llama-3.1-8b in bf16 at 1000 tokens$"):
        prefill_capacity(demand(), Supply("run", "cuda:0", []))


def test_a_measured_device_that_is_too_slow_says_so(demand, measured):
    rows = measured("decode", 2048, {1: 80.0})
    with pytest.raises(Unsupported, match=r"even a batch of 1 takes 80.0 ms; nothing is extrapolated; limit 50 ms"):
        decode_capacity(demand(), Supply("run", "cuda:0", rows))


def test_prompts_of_each_length_have_their_own_batch_and_add_up(demand, measured):
    mixed = demand(input=project.parse_toml(
        (TEXT.replace("input = 1000", "input = [{ tokens = 1024, share = 0.75 }, { tokens = 4096, share = 0.25 }]")).encode(),
        Demand, "d").input)  # fmt: skip
    rows = [*measured("prefill", 1024, {1: 100.0, 4: 300.0}), *measured("prefill", 4096, {1: 500.0})]
    found = prefill_capacity(mixed, Supply("run", "cuda:0", rows))
    # 1024 tokens in batches of 4: 75 ms each; 4096 alone: 500 ms: 0.75 x 75 + 0.25 x 500.
    assert found.seconds == pytest.approx(0.18125)
    assert found.rate == pytest.approx((0.75 * 1024 + 0.25 * 4096) / 0.18125)
    assert len(found.case_ids) == 2


def test_moving_the_cache_takes_its_part_of_the_first_token_time(demand, measured):
    rows = measured("prefill", 1024, {1: 100.0, 8: 800.0})
    slow = demand(link_gb_per_s=0.25)  # 131 MB take 524 ms, 476 ms are left: batch 4
    assert prefill_capacity(slow, Supply("run", "cuda:0", rows)).batch == 4
    with pytest.raises(Unsupported, match=r"the KV cache of 1000 tokens takes 1.31 s to move, more than the TTFT"):
        prefill_capacity(demand(link_gb_per_s=0.1), Supply("run", "cuda:0", rows))


def test_a_slow_link_sets_the_pace_of_a_fast_device(demand, measured):
    rows = measured("prefill", 1024, {1: 10.0, 8: 900.0})
    found = prefill_capacity(demand(link_gb_per_s=0.25), Supply("run", "cuda:0", rows))
    assert found.seconds == pytest.approx(0.524288)
    assert (found.limit, found.bound) == ("link", "link")
    # Computing takes less by its own interval, too: the pace is the link's for sure.
    assert found.interval == pytest.approx((0.524288, 0.524288))


def test_modelled_decode_is_the_best_batch_in_time(demand):
    found = decode_capacity(demand(), Supply("h100-sxm", "h100-sxm"))
    assert found.source.startswith("modelled:")
    assert found.step_s <= 0.05
    assert found.seconds == pytest.approx(100 / found.rate)
    assert 0 < found.target_share <= 1
    assert found.interval[0] < found.seconds < found.interval[1]


def test_a_device_that_may_miss_the_target_by_its_interval_has_no_most_that_is_needed(demand):
    # One sequence takes 44 ms, by its interval up to 59 ms, of which 50 are left.
    found = decode_capacity(
        demand(prefill="deepseek-r1-prefill", decode="deepseek-r1-decode", dtype="bf16"),
        Supply("ascend-910c", "ascend-910c"),
    )
    assert found.interval is None
    assert found.open == (
        "by its interval even one sequence may not be in time on ascend-910c, and then no number of devices is enough"
    )


def test_reports_and_fleets_take_the_same_batch(demand):
    asked = demand(prefill="deepseek-r1-prefill", decode="deepseek-r1-decode", dtype="int8")
    for device in ("h100-sxm", "ascend-910c"):
        case = case_for(asked, "decode", device, round(asked.mean_context))
        row = rows_at_targets([case], device, [Target(tpot_s=asked.tpot_s)])[0]
        found = decode_capacity(asked, Supply(device, device))
        assert (found.batch, found.rate) == (row.batch, pytest.approx(row.output_tokens_per_s))
        assert found.interval == pytest.approx(tuple(100 / rate for rate in reversed(row.rate_interval)))


def test_a_stricter_target_takes_more_of_a_device(demand):
    strict, loose = (decode_capacity(demand(tpot_s=t), Supply("h100-sxm", "h100-sxm")).seconds for t in (0.01, 0.04))
    assert strict > loose


def test_a_device_that_no_sheet_prices_says_which_figure_is_missing(demand):
    with pytest.raises(Unsupported, match="no published bf16 peak"):
        decode_capacity(demand(), Supply("enflame-s60", "enflame-s60"))


def test_a_package_of_two_dies_is_bought_in_twos(demand):
    found = decode_capacity(demand(), Supply("ascend-910c", "ascend-910c"))
    assert (found.group, found.devices_per_package) == (2, 2)


def test_power_is_measured_or_design_power_where_the_prices_say_so(demand, measured):
    rows = measured("decode", 2048, {32: 20.0}, power_w=300.0)
    supply = Supply("run", "cuda:0", rows)
    assert (decode_capacity(demand(), supply).watts, decode_capacity(demand(), supply).watts_basis) == (300, "measured")
    modelled = decode_capacity(demand(), Supply("h100-sxm", "h100-sxm"))
    assert modelled.watts is None
    assert "a modelled row has no sensor" in modelled.watts_reason
    prices = project.parse_toml(
        b'currency = "USD"\npower_basis = "tdp"\n[device.h100-sxm]\ntdp_w = { value = 700, source = "sheet" }',
        Prices,
        "p",
    )
    found = decode_capacity(demand(), Supply("h100-sxm", "h100-sxm"), prices)
    assert (found.watts, found.watts_basis) == (700, "tdp")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefill": "llama-3.1-8b-decode"}, "workload 'llama-3.1-8b-decode' is not one of prefill"),
        ({"prefill": "qwen3-dense-prefill"}, "workload 'qwen3-dense-prefill' has 2 cases; add `model` and `dtype`"),
        ({"prefill": "llama-prefil"}, "unknown workload 'llama-prefil'"),
    ],
)
def test_a_workload_that_does_not_fit_is_told(demand, changes, message):
    with pytest.raises(DefinitionError, match=message):
        prefill_capacity(demand(**changes), Supply("h100-sxm", "h100-sxm"))
