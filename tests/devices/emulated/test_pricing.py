"""Steps put together from kernels: overlap, intervals and tiers by hand, and whole sweeps at once."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from bench.devices.emulated.form import Parts
from bench.devices.emulated.forms import peaks_of
from bench.devices.emulated.layers import merged_experts
from bench.devices.emulated.links import LINKED
from bench.devices.emulated.pricing import Priced, PricedKernel, price
from bench.devices.emulated.profile import Chosen, Engine, Evidence, Rule
from bench.devices.sheet import load_sheet
from bench.errors import Unsupported
from bench.measure.rows import modelled_rows, price_step, price_sweep
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.operators.kernel import Kernel
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Case

US = 1e-6


def rule(low: float = 0.9, high: float = 1.2) -> Rule:
    found = Evidence(n=9, mape=0.1, median=0.1, bias=1.0, low=low, high=high, source="made", method="made")
    return Rule(kind="pointwise", numbers={"memory": 0.7, "launch_us": 3.0}, evidence=found)


def part(us: float, kind: str = "gemm", tier: str = "calibrated", by: Rule | None = None, count: int = 1, **parts):
    """One kernel of a step that takes so long, priced by a rule of its own unless one is given."""
    chosen = Chosen([by or rule()], tier, f"{kind}: {tier}", corrected=True, wider=1.0)
    kernel = Kernel(kind, kind, "bf16", 0, 0, 0, count=count)
    return PricedKernel(kernel, Parts(us * US, **{name: value * US for name, value in parts.items()}), chosen)


def case(model: str = "llama-3.1-8b", phase: str = "decode", dtype: str = "bf16", **keys) -> Case:
    return Case(**{"workload": "t", "phase": phase, "dtype": dtype, "model": model, "batch": 8, "context": 4096} | keys)


def engine(**keys) -> Engine:
    found = Evidence(n=9, mape=0.1, median=0.1, bias=1.0, low=1.0, high=1.0, source="made", method="made")
    numbers = {"step_overhead_us": 0.0, "launch_share": 1.0, "pointwise_factor": 1.0, "prefill_share": 1.0}
    return Engine(made="", command="", evidence=found, **numbers | keys)


# -- a step of its parts ------------------------------------------------------------------------------------------------


def test_kernels_run_one_after_the_other_and_the_host_before_them():
    step = Priced((part(30), part(20, count=3), part(40, "all_reduce")), overhead_s=10 * US)
    assert step.step_s == pytest.approx(140 * US)


def test_a_partial_overlap_hides_a_share_of_the_shorter_side():
    kernels = (part(100), part(40, "ep_dispatch"))
    # 100 + 40 - half of 40.
    assert Priced(kernels, 0.0, "partial", 0.5).step_s == pytest.approx(120 * US)
    # Sending is the longer side: 40 + 100 - half of 40.
    kernels = (part(40), part(100, "ep_dispatch"))
    assert Priced(kernels, 0.0, "partial", 0.5).step_s == pytest.approx(120 * US)


def test_a_share_means_nothing_without_partial_overlap():
    assert Priced((part(100), part(40, "ep_dispatch")), 0.0, "none", 0.5).step_s == pytest.approx(140 * US)


def test_two_micro_batches_take_twice_the_longer_side():
    kernels = (part(100), part(40, "ep_dispatch"))
    assert Priced(kernels, 10 * US, "two-micro-batches", rounds=2).step_s == pytest.approx(210 * US)


def test_a_bound_is_where_most_of_the_time_goes():
    kernels = (part(60, memory=50, launch=10), part(50, compute=45, launch=5))
    assert Priced(kernels).bound == "memory"
    assert Priced(kernels, overhead_s=70 * US).bound == "launch"
    assert Priced((*kernels, part(70, "all_reduce", link=60))).bound == "link"


# -- intervals ----------------------------------------------------------------------------------------------------------


def relative(step: Priced) -> tuple[float, float]:
    low, high = step.interval
    return float(low / step.step_s), float(high / step.step_s)


def test_the_interval_of_one_kernel_is_the_band_of_its_rule():
    assert relative(Priced((part(100),))) == pytest.approx((0.9, 1.2))


def test_kernels_of_one_rule_err_together():
    same = rule()
    assert relative(Priced((part(50, by=same), part(50, by=same)))) == pytest.approx((0.9, 1.2))


def test_two_independent_equal_parts_are_narrower_by_the_square_root_of_two():
    # 0.1 / 1.41421 = 0.070711 below, 0.2 / 1.41421 = 0.141421 above.
    assert relative(Priced((part(50), part(50)))) == pytest.approx((1 - 0.070711, 1 + 0.141421), rel=1e-5)


def test_what_overlap_hides_is_not_uncertain():
    # 140 us of kernels of one rule take 120: the band is of what is left.
    same = rule()
    step = Priced((part(100, by=same), part(40, "ep_dispatch", by=same)), 0.0, "partial", 0.5)
    assert step.interval == pytest.approx((108 * US, 144 * US))


def test_what_whole_steps_miss_is_added_to_what_kernels_miss():
    # 10 % of kernels and 24 % of steps below: sqrt(0.01 + 0.0576) = 26 %; 20 % and 48 % above: 52 %.
    assert relative(Priced((part(100),), step_band=(0.76, 1.48))) == pytest.approx((0.74, 1.52))


def test_the_fast_end_of_an_interval_is_no_faster_than_the_roof():
    # 10 % of 100 us would be 90; one kernel's roof is at 95, of two micro-batches both are.
    one = replace(part(100), roof_s=95 * US)
    assert Priced((one,), step_band=(0.5, 1.0)).interval[0] == pytest.approx(95 * US)
    assert Priced((one,)).interval[0] == pytest.approx(95 * US)
    assert Priced((one,), step_band=(0.5, 1.0), rounds=2).interval[0] == pytest.approx(190 * US)


def test_a_time_stays_above_zero_however_wide_its_band():
    assert relative(Priced((part(100, by=rule(0.001, 9.0)),), step_band=(0.1, 1.0))) == pytest.approx((0.05, 9.0))


@pytest.mark.parametrize("device", ["h100-sxm", "h200-sxm", "mi300x", "mtt-s4000", "l40s", "ascend-910c"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_shipped_interval_contains_its_step(device, phase):
    step = price_sweep(case(phase=phase), device, np.array([1, 4, 64]), np.array([128, 4096, 1024]))
    low, high = step.interval
    assert np.all(low < step.step_s)
    assert np.all(step.step_s < high)
    assert np.all(low > 0)


# -- tiers --------------------------------------------------------------------------------------------------------------


def test_the_worst_tier_of_a_tenth_of_the_time_decides():
    assert Priced((part(90), part(10, tier="sheet"))).tier == "sheet"
    assert Priced((part(80), part(10, tier="transferred"), part(10, tier="sheet"))).tier == "sheet"
    assert Priced((part(89), part(11, tier="transferred"))).tier == "transferred"


def test_a_tier_below_a_tenth_of_the_time_does_not_decide():
    step = Priced((part(91), part(9, tier="sheet")))
    assert step.tier == "calibrated"
    assert step.shares == pytest.approx({"calibrated": 0.91, "transferred": 0.0, "sheet": 0.09})


def test_notes_name_what_priced_the_most_first():
    step = Priced((part(10, "gemm"), part(50, "moe", tier="sheet"), part(20, "moe", tier="sheet")))
    assert step.notes == ["moe: sheet", "gemm: calibrated"]


# -- kernels of real models ---------------------------------------------------------------------------------------------

MOES = [
    ("mini-moe", "bf16", Deployment()),
    ("qwen3-30b-a3b", "bf16", Deployment(tp=2, ep=2)),
    ("deepseek-v3", "fp8", Deployment(dp=32, ep=32)),
    ("gpt-oss-120b", "bf16", Deployment(tp=4)),
]


@pytest.mark.parametrize(("model", "dtype", "deployment"), MOES)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_experts_become_one_kernel_a_layer_that_computes_all_they_did(model, dtype, deployment, phase):
    one = case(model, phase, dtype, deployment=deployment, routing=Routing(), input_len=1024, context=1024)
    work = read_cost(one.program(), one.step(), dtype)
    merged = list(merged_experts(work.kernels))
    assert {k.kind for k in work.kernels} & {"grouped_gemm"}
    assert not {k.kind for k in merged} & {"grouped_gemm", "permute"}
    assert sum(k.flops * k.count for k in merged) == pytest.approx(work.total("flops"))
    layers = sum(k.count for k in work.kernels if k.name == "experts_up")
    assert sum(k.count for k in merged if k.kind == "moe") == layers
    # What travels between devices is still priced.
    sent = [k.link_bytes * k.count for k in work.kernels if k.kind in LINKED]
    assert sum(k.link_bytes * k.count for k in merged if k.kind in LINKED) == pytest.approx(sum(sent))


def test_merged_experts_have_the_sizes_of_their_layer():
    one = case("deepseek-v3", "decode", "fp8", deployment=Deployment(dp=32, ep=32), routing=Routing())
    (moe,) = (k for k in merged_experts(read_cost(one.program(), one.step(), "fp8").kernels) if k.kind == "moe")
    # 256 experts of 2048 on 32 ranks, of a model that is 7168 wide.
    assert (moe.dims["hidden"], moe.dims["inner"], moe.dims["experts"]) == (7168, 2048, 8)


def test_one_grouped_product_alone_is_a_third_of_a_layer():
    dims = {"m": 100, "n": 3000, "k": 2000, "padded": 128, "touched": 4, "busiest": 60, "experts": 4}
    alone = Kernel("grouped_gemm", "other", "bf16", 2 * 100 * 3000 * 2000, 0, 0, dims=dims)
    (moe,) = merged_experts((alone,))
    # A layer of inner size i computes 6 x rows x hidden x i: 6 x 128 x 2000 x 1000 is 2 x 128 x 3000 x 2000.
    assert (moe.kind, moe.dims["hidden"], moe.dims["inner"], moe.flops) == ("moe", 2000, 1000, 1.2e9)


def named(step: Priced, name: str) -> float:
    return sum(float(k.total_s) for k in step.kernels if k.kernel.name == name)


def test_quantizing_is_not_priced_twice_where_products_include_it():
    one = case(dtype="fp8")
    step = price_step(one, one.step(), "h100-sxm", load_sheet("h100-sxm"))
    assert any(k.kernel.kind == "quantize" for k in step.kernels)
    assert named(step, "quantize") == 0.0


def test_quantizing_is_priced_where_products_were_timed_without_it():
    one = case(dtype="fp8")
    step = price_step(one, one.step(), "h800-sxm", load_sheet("h800-sxm"))
    assert named(step, "quantize") > 0.0


def test_block_scales_are_priced_as_such_for_models_that_come_with_them():
    for model, dtype in (("deepseek-v3", "fp8_block"), ("llama-3.1-8b", "fp8")):
        one = case(model, dtype="fp8", deployment=Deployment(tp=8))
        step = price_step(one, one.step(), "h100-sxm", load_sheet("h100-sxm"))
        assert {k.chosen.rules[0].dtype for k in step.kernels if k.kernel.name == "o_proj"} == {dtype}


def test_an_engines_graph_hides_launches_and_slows_small_kernels():
    one, sheet = case(), load_sheet("h100-sxm")
    plain = price_step(one, one.step(), "h100-sxm", sheet, engine())
    graph = price_step(one, one.step(), "h100-sxm", sheet, engine(launch_share=0.25, pointwise_factor=2.0))
    for before, after in zip(plain.kernels, graph.kernels, strict=True):
        if before.kernel.kind == "gemm":
            assert after.seconds == pytest.approx(before.seconds - 0.75 * before.parts.launch)
        if before.kernel.kind == "rms_norm":
            assert after.seconds == pytest.approx(2 * before.seconds)


def test_an_engines_graph_leaves_messages_as_they_are():
    one, sheet = case(deployment=Deployment(tp=4)), load_sheet("h100-sxm")
    plain = price_step(one, one.step(), "h100-sxm", sheet, engine())
    graph = price_step(one, one.step(), "h100-sxm", sheet, engine(launch_share=0.25, pointwise_factor=2.0))
    assert named(plain, "all_reduce") == pytest.approx(named(graph, "all_reduce"))
    assert named(plain, "all_reduce") > 0


def test_an_engines_host_is_paid_once_a_step():
    one, sheet = case(), load_sheet("h100-sxm")
    plain = price_step(one, one.step(), "h100-sxm", sheet, engine())
    slow = price_step(one, one.step(), "h100-sxm", sheet, engine(step_overhead_us=1000.0))
    assert slow.step_s - plain.step_s == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("device", "tp", "says"),
    [
        ("enflame-s60", 1, "cannot be modelled: no published bf16 peak in here.toml"),
        ("hygon-k100ai", 1, "cannot be modelled: here.toml gives no memory bandwidth"),
        ("mtt-s4000", 2, "cannot be modelled: here.toml gives no link rate to peers"),
    ],
)
def test_a_missing_figure_is_unsupported_and_names_the_sheet(device, tp, says):
    one = case(deployment=Deployment(tp=tp))
    work = read_cost(one.program(), one.step(), "bf16")
    with pytest.raises(Unsupported) as error:
        price(work, device, load_sheet(device), "here.toml")
    assert str(error.value) == says


def test_a_device_without_links_is_priced_alone():
    one = case()
    assert price_step(one, one.step(), "mtt-s4000", load_sheet("mtt-s4000")).step_s > 0


def test_a_missing_figure_is_a_row_with_its_reason():
    (row,) = modelled_rows(case(), "enflame-s60")
    assert (row.status, row.step_s) == ("unsupported", None)
    assert "no published bf16 peak in " in row.reason
    assert "enflame-s60.toml" in row.reason


# -- sweeps -------------------------------------------------------------------------------------------------------------

GRID = [(1, 128), (2, 1024), (7, 4096), (3, 8192), (60, 1000), (64, 32768)]


def points(one: Case, device: str, grid):
    for batch, context in grid:
        new = context if one.phase == "prefill" else 1
        (row, *_) = modelled_rows(msgspec.structs.replace(one, batch=batch, context=context, input_len=new), device)
        yield row


@pytest.mark.parametrize("device", ["h100-sxm", "h20", "mtt-s4000"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_sweep_is_its_rows_one_by_one(device, phase):
    one = case(phase=phase)
    sweep = price_sweep(one, device, *np.array(GRID).T)
    low, high = sweep.interval
    seen = 0
    for i, row in enumerate(points(one, device, GRID)):
        if row.status != "ok":
            assert row.status == "skipped"  # does not fit; a sweep prices it all the same
            continue
        seen += 1
        assert row.step_s == pytest.approx(float(sweep.step_s[i]), rel=1e-9)
        assert row.interval == pytest.approx((float(low[i]), float(high[i])), rel=1e-9)
    assert seen >= 5


@pytest.mark.parametrize("device", ["h100-sxm", "mi300x"])
def test_a_sweep_of_experts_is_near_its_rows(device):
    # A row draws which experts its tokens go to, a sweep expects it.
    one = case("qwen3-30b-a3b", routing=Routing(kind="zipf", s=0.5))
    grid = [(1, 1024), (8, 4096), (64, 512), (128, 128)]
    sweep = price_sweep(one, device, *np.array(grid).T)
    for i, row in enumerate(points(one, device, grid)):
        assert row.step_s == pytest.approx(float(sweep.step_s[i]), rel=0.1)


TWO = Deployment(dp=32, ep=32, overlap="two-micro-batches")


def test_a_sweep_in_two_micro_batches_is_its_rows():
    one = case("deepseek-v3", dtype="fp8", deployment=TWO, routing=Routing())
    grid = [(16, 4096), (64, 2048)]
    sweep = price_sweep(one, "h100-sxm", *np.array(grid).T)
    for i, row in enumerate(points(one, "h100-sxm", grid)):
        assert row.step_s == pytest.approx(float(sweep.step_s[i]), rel=0.05)


def test_a_batch_of_one_in_a_sweep_leaves_the_others_as_they_are():
    one = case("deepseek-v3", dtype="fp8", deployment=TWO, routing=Routing())
    alone = price_sweep(one, "h100-sxm", np.array([64]), np.array([4096]))
    beside = price_sweep(one, "h100-sxm", np.array([1, 64]), np.array([4096, 4096]))
    assert float(beside.step_s[1]) == pytest.approx(float(alone.step_s[0]))


def test_a_batch_of_one_cannot_be_halved():
    one = case("deepseek-v3", dtype="fp8", deployment=TWO, routing=Routing(), batch=1)
    step = price_step(one, one.step(), "h100-sxm", load_sheet("h100-sxm"))
    assert (step.overlap, step.rounds) == ("none", 1)


def test_two_micro_batches_read_the_weights_twice_and_hide_the_shorter_side():
    one = case("deepseek-v3", dtype="fp8", deployment=TWO, routing=Routing(), batch=64)
    sheet = load_sheet("h100-sxm")
    step = price_step(one, one.step(), "h100-sxm", sheet)
    half = price_step(
        msgspec.structs.replace(one, deployment=msgspec.structs.replace(TWO, overlap="none")),
        Step("decode", 32, 1, 4096), "h100-sxm", sheet,
    )  # fmt: skip
    links = sum(float(k.total_s) for k in half.kernels if k.kernel.kind in LINKED)
    rest = sum(float(k.total_s) for k in half.kernels if k.kernel.kind not in LINKED)
    assert step.rounds == 2
    assert float(step.step_s) - step.overhead_s == pytest.approx(2 * max(links, rest), rel=0.02)


# -- what a sheet or a deployment does not give -------------------------------------------------------------------------


def notes(one: Case, device: str) -> list[str]:
    return [note for note in modelled_rows(one, device)[0].notes if note.startswith("assumed: ")]


def test_figures_that_stand_for_missing_ones_are_told_in_the_row():
    # MTT S4000: no cache, no clock on its sheet. H100: both.
    assert notes(case(), "mtt-s4000") == [
        "assumed: launches as at 1.83 GHz, the sheet gives no clock",
        "assumed: a cache of 40 MB, the sheet gives none",
    ]
    assert notes(case(), "h100-sxm") == []


def test_a_network_that_no_deployment_gives_is_told_where_ranks_go_beyond_the_links():
    wide, near = Deployment(dp=16, ep=16), Deployment(dp=8, ep=8)
    stated = msgspec.structs.replace(wide, scale_out_gb_per_s=50.0)
    told = ["assumed: a network of 50 GB/s a device, the deployment gives none"]
    for deployment, expected in ((wide, told), (near, []), (stated, [])):
        one = case("deepseek-v3", dtype="fp8", deployment=deployment, routing=Routing())
        assert notes(one, "h100-sxm") == expected, deployment


# -- 4-bit weights without 4-bit products -------------------------------------------------------------------------------


def experts(dtype: str, device: str = "h100-sxm"):
    one = case("gpt-oss-120b", dtype=dtype, routing=Routing())
    priced = price_step(one, one.step(), device, load_sheet(device))
    return next(k for k in priced.kernels if k.kernel.kind == "moe"), priced


def test_four_bit_weights_are_read_as_they_are_and_multiplied_in_sixteen_bits():
    # Weights of 0.5 against 2 bytes: nearly a quarter of the memory time, and the same computing.
    packed, _ = experts("fp4")
    plain, _ = experts("bf16")
    assert float(packed.parts.compute) == pytest.approx(float(plain.parts.compute))
    assert 0.25 <= float(packed.parts.memory) / float(plain.parts.memory) < 0.28
    assert packed.chosen.tier == "transferred"
    assert packed.chosen.reason.endswith("; 4-bit weights multiplied in bf16")
    assert packed.chosen.wider > plain.chosen.wider


def test_of_a_model_whose_experts_alone_are_four_bit_the_rest_is_as_in_bf16():
    _, packed = experts("fp4")
    _, plain = experts("bf16")
    times = [
        {k.kernel.name: float(k.seconds) for k in step.kernels if k.kernel.kind == "gemm"} for step in (packed, plain)
    ]
    assert times[0] == pytest.approx(times[1])
    assert all(float(k.seconds) == 0 for k in packed.kernels if k.kernel.kind == "quantize")


def test_four_bit_products_are_used_where_a_device_has_them():
    assert "multiplied in" not in experts("fp4", "b200-sxm")[0].chosen.reason


def test_a_gathered_message_is_all_ranks_parts():
    one = case(deployment=Deployment(tp=8))
    gather = next(
        k
        for k in price_step(one, one.step(), "h100-sxm", load_sheet("h100-sxm")).kernels
        if k.kernel.kind == "all_gather"
    )
    # 8 sequences' logits: 8 x 128256 / 8 of 2 bytes a rank, 8 ranks.
    assert gather.kernel.dims["message_bytes"] == 8 * 16032 * 2
    dims = {"ranks": 8, "message_bytes": 8 * 16032 * 2 * 8}
    peaks = peaks_of(load_sheet("h100-sxm"), "all_gather", "", "x")
    assert float(gather.seconds) == pytest.approx(float(gather.chosen.price(dims, peaks, "").seconds))


def test_a_window_leaves_most_pairs_of_a_long_prompt_out():
    one = case("gpt-oss-120b", phase="prefill", routing=Routing(), batch=1, input_len=8192, context=8192)
    sliding, full = [
        k for k in price_step(one, one.step(), "h100-sxm", load_sheet("h100-sxm")).kernels
        if k.kernel.kind == "attention_prefill"
    ]  # fmt: skip
    # 128 of 8192 keys: about 1/32 of the causal pairs.
    assert float(sliding.parts.compute) / float(full.parts.compute) == pytest.approx(1 / 32, rel=0.05)


def test_a_hundred_thousand_points_are_priced_in_one_call(capsys):
    one = case()
    count = 100_000
    batch = 1 + np.arange(count) % 256
    context = 128 + 8 * (np.arange(count) % 4000)
    price_sweep(one, "h100-sxm", batch[:10], context[:10])

    def fastest(batch, context, times):
        took = []
        for _ in range(times):
            start = time.process_time()
            found = price_sweep(one, "h100-sxm", batch, context)
            low, _ = found.interval
            took.append(time.process_time() - start)
            assert low.shape == found.step_s.shape == batch.shape
        return min(took)

    one_s, all_s = fastest(batch[:1], context[:1], 20), fastest(batch, context, 3)
    with capsys.disabled():
        print(f"\n  {count / all_s:,.0f} configurations per second and core, {1 / one_s:,.0f} one by one ", end="")
    # CPU seconds, so that neighbours on this machine do not matter. A call takes two milliseconds, 500 a second, so a
    # hundred times as many are the 50,000 a second that a sweep must price.
    assert count * one_s / all_s > 100


def test_a_kernels_seconds_are_of_one_launch_and_its_total_of_all():
    kernel = part(20, count=3)
    assert (kernel.seconds, kernel.total_s) == (pytest.approx(20 * US), pytest.approx(60 * US))
    assert math.isclose(replace(kernel, kernel=replace(kernel.kernel, count=1)).total_s, 20 * US)
