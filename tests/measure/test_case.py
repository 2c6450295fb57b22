"""One case on a fake device: room, check, scripted times; every scaled number worked out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from bench.devices.achieved import achieved_path, fingerprint
from bench.errors import DeviceError, Unsupported
from bench.measure import case as case_module
from bench.measure.case import measure, unsupported_row
from bench.measure.sampler import Sampler, Window
from bench.operators.torch_operators import TorchOperators
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Case

pytestmark = pytest.mark.usefixtures("project")


def kernel(name: str = "gemm", time_s: float = 100.0, **dims: int) -> Case:
    dims = dims or {"m": 4, "n": 8, "k": 16}
    return Case(workload="tiny", phase="kernel", kernel=name, dtype="fp32", dims=dims, time_s=time_s)


def decode(model: str, time_s: float = 0.25, **deployment: int) -> Case:
    return Case(
        workload="tiny", phase="decode", dtype="fp32", model=model, batch=2, input_len=1, context=8,
        routing=Routing() if "moe" in model else None, deployment=Deployment(**deployment), time_s=time_s,
    )  # fmt: skip


def quiet(_: str) -> None:
    """Hear nothing."""


# 2 ms outside the layers, and so much for each layer of a kind.
OUTSIDE_S = 0.002
LAYER_S = {"dense": 0.001, "moe": 0.003, "dense_pair": 0.004}


def by_layers(ops: Any) -> float:
    """What a run takes: the part outside, and every layer that runs."""
    seconds = OUTSIDE_S
    for kind, (_, runs) in ops.repeated.items():
        if ops.only is None or ops.only == kind:
            seconds += runs * LAYER_S[kind]
    return seconds


class Wrong(TorchOperators):
    """Products that are half as large again."""

    def linear(self, x, weight, bias=None, *, name):
        return super().linear(x, weight, bias, name=name) * 1.5


class Counting(TorchOperators):
    """Copies, counted."""

    done = 0

    def copy(self, x):
        self.done += 1
        return super().copy(x)


# -- room ------------------------------------------------------------------------------------------------------------


def test_a_case_that_does_not_fit_is_skipped_with_need_and_room(fake):
    # gemm in fp32: w 8 * 16 * 4 = 512 B, x 4 * 16 * 4 = 256 B, three times the result 4 * 8 * 4 = 384 B.
    adapter = fake()
    adapter.room = 1000
    row = measure(kernel(), adapter, quiet)
    assert row.status == "skipped"
    assert row.reason == "needs 1.15 kB of memory, 1.00 kB to be had"


def test_a_skipped_case_is_neither_made_nor_timed(fake):
    adapter = fake()
    adapter.room = 1000
    row = measure(kernel(), adapter, quiet)
    assert (adapter.made, adapter.timed, row.step_s) == ([], 0, None)


def test_the_memory_that_a_case_may_use_limits_it_too(fake):
    case = Case(
        workload="tiny", phase="kernel", kernel="gemm", dtype="fp32", dims={"m": 4, "n": 8, "k": 16}, memory_gb=1e-6
    )
    assert measure(case, fake(), quiet).reason == "needs 1.15 kB of memory, 1.00 kB to be had"


def test_a_case_that_just_fits_runs(fake):
    adapter = fake()
    adapter.room = 1152
    assert measure(kernel(), adapter, quiet).status == "ok"


def test_copies_count_as_memory(fake):
    # 64 copies of (512 + 256) B and 384 B once: 49,536 B.
    adapter = fake()
    adapter.cache, adapter.room = 10**9, 49_535
    assert measure(kernel(), adapter, quiet).reason == "needs 49.5 kB of memory, 49.5 kB to be had"
    adapter.room = 49_536
    assert measure(kernel(), adapter, quiet).status == "ok"


def test_layers_that_do_not_run_need_no_memory(fake):
    adapter = fake(by_layers)
    whole = measure(decode("tiny-dense"), adapter, quiet).memory_bytes
    adapter.room = int(whole) - 1
    assert measure(decode("tiny-dense"), adapter, quiet).status == "skipped"
    assert measure(decode("tiny-dense", layers=1), adapter, quiet).status == "ok"


# -- the check ---------------------------------------------------------------------------------------------------------


def test_a_wrong_answer_is_invalid_and_never_timed(fake):
    adapter = fake()
    adapter.operator_class = Wrong
    row = measure(kernel(), adapter, quiet)
    assert row.status == "invalid"
    assert row.reason == "the answer is wrong: relative error 0.5, beyond 0.001 (all layers)"
    assert row.correct is False
    assert (adapter.timed, row.step_s, row.samples_s) == (0, None, None)


def test_a_right_answer_says_how_far_off_it_was(fake):
    row = measure(kernel(), fake(), quiet)
    assert row.correct is True
    assert row.correct_detail.endswith("within 0.001 (all layers)")


def test_the_check_is_announced_before_the_timing(fake):
    told: list[str] = []
    measure(kernel(), fake(), told.append)
    assert told == ["check", "timing"]


# -- layers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [None, 1, 2, 3])
def test_a_model_measured_in_part_takes_what_the_whole_would(layers, fake):
    # 2 ms outside, 1 dense layer of 1 ms, 4 MoE layers of 3 ms: 15 ms, however many of them run.
    deployment = {} if layers is None else {"layers": layers}
    row = measure(decode("tiny-moe", **deployment), fake(by_layers), quiet)
    assert row.step_s == pytest.approx(0.015)


def test_pairs_of_layers_are_a_kind_of_their_own(fake):
    # 2 ms outside, 2 pairs of 4 ms, 1 layer left over of 1 ms: 11 ms.
    row = measure(decode("tiny-sliding", layers=1), fake(by_layers), quiet)
    assert row.step_s == pytest.approx(0.011)
    assert row.scope == "1 of 2 dense_pair layers run, scaled"


def test_each_round_of_a_scaled_case_is_one_sample(fake):
    # A round runs 2 ms, 2 + 1 ms and 2 + 3 ms: 10 ms on the clock for a sample of 15 ms.
    adapter = fake(by_layers)
    row = measure(decode("tiny-moe", layers=1), adapter, quiet)
    assert adapter.timed == 3 * (len(row.samples_s) + row.warmup_samples)
    assert row.timed_s == pytest.approx(0.01 * (len(row.samples_s) + row.warmup_samples))
    assert row.calls_per_sample == 1


def test_only_the_layers_asked_for_are_ever_made(fake):
    adapter = fake(by_layers)
    measure(decode("tiny-moe", layers=2), adapter, quiet)
    layers = {name.split(".")[0] for ops in adapter.made for name in ops._kept if "." in name and "rope" not in name}
    assert layers == {"dense0", "moe0", "moe1"}


def test_after_a_scaled_case_all_kinds_run_again(fake):
    adapter = fake(by_layers)
    measure(decode("tiny-moe", layers=1), adapter, quiet)
    assert adapter.made[-1].only is None


def test_tokens_per_second_are_those_of_the_whole_model(fake):
    # Two sequences, a step of 15 ms.
    row = measure(decode("tiny-moe", layers=1), fake(by_layers), quiet)
    assert row.output_tokens_per_s == pytest.approx(133.333, rel=1e-5)


# -- scope -----------------------------------------------------------------------------------------------------------------


def test_a_whole_model_on_one_device_has_no_scope(fake):
    assert measure(decode("tiny-dense"), fake(by_layers), quiet).scope is None


def test_layers_that_stand_for_others_are_counted(fake):
    # The one dense layer runs, so only the MoE layers are a part.
    assert measure(decode("tiny-moe", layers=3), fake(by_layers), quiet).scope == "3 of 4 moe layers run, scaled"


def test_more_layers_than_there_are_is_the_whole_model(fake):
    assert measure(decode("tiny-dense", layers=99), fake(by_layers), quiet).scope is None


def test_one_rank_of_a_tensor_parallel_model_says_what_is_not_included(fake):
    assert measure(decode("tiny-dense", tp=2), fake(by_layers), quiet).scope == (
        "one rank of 2; not included: all-gather over 2 ranks, all-reduce over 2 ranks"
    )


def test_one_rank_of_an_expert_parallel_model_says_what_is_not_included(fake):
    assert measure(decode("tiny-moe", dp=2, ep=2), fake(by_layers), quiet).scope == (
        "one rank of 2; not included: expert combine over 2 ranks, expert dispatch over 2 ranks"
    )


def test_a_part_of_one_rank_says_both(fake):
    assert measure(decode("tiny-moe", dp=2, ep=2, layers=1), fake(by_layers), quiet).scope == (
        "1 of 4 moe layers run, scaled; one rank of 2;"
        " not included: expert combine over 2 ranks, expert dispatch over 2 ranks"
    )


def test_each_rank_has_its_share_of_the_tokens(fake):
    # 2 ms and 4 layers of 1 ms: two sequences in 6 ms, shared by two ranks.
    row = measure(decode("tiny-dense", tp=2), fake(by_layers), quiet)
    assert row.output_tokens_per_s == pytest.approx(166.667, rel=1e-5)


@pytest.mark.parametrize("name", ["all_reduce", "all_gather", "all_to_all"])
def test_a_message_between_devices_cannot_be_measured_on_one(name, fake):
    with pytest.raises(Unsupported, match="over 2 devices cannot be measured on one device"):
        measure(kernel(name, n=64, ranks=2), fake(), quiet)


# -- kernels ---------------------------------------------------------------------------------------------------------------


def counting(fake, cache: int):
    """A device on which one copy takes 2**-17 s (7.6 us)."""
    adapter = fake(lambda ops: ops.done * 2.0**-17)
    adapter.operator_class, adapter.cache = Counting, cache
    adapter.before = lambda ops: setattr(ops, "done", 0)
    return adapter


def test_a_kernel_has_operands_enough_to_outgrow_the_cache_eight_times(fake):
    # A cache of 1 MiB, 65,536 fp32 numbers of 256 KiB to read: 32 copies make 8 MiB.
    adapter = counting(fake, cache=2**20)
    measure(kernel("memory_copy", 0.05, n=65_536), adapter, quiet)
    assert adapter.made[0].copies == 32
    assert len([name for name in adapter.made[0]._kept if name.endswith(".x")]) == 32


def test_a_kernel_larger_than_the_cache_needs_no_copies(fake):
    # 256 KiB to read are eight times a cache of 32 KiB.
    adapter = counting(fake, cache=2**15)
    measure(kernel("memory_copy", 0.05, n=65_536), adapter, quiet)
    assert adapter.made[0].copies == 1


def test_no_kernel_has_more_than_64_copies(fake):
    adapter = counting(fake, cache=2**40)
    measure(kernel("memory_copy", 0.1, n=64), adapter, quiet)
    assert adapter.made[0].copies == 64


def test_a_model_has_no_copies(fake):
    adapter = fake(by_layers)
    adapter.cache = 2**30
    measure(decode("tiny-dense"), adapter, quiet)
    assert [ops.copies for ops in adapter.made] == [1]


def test_short_kernels_are_repeated_inside_a_sample_and_the_time_of_one_is_kept(fake):
    # 32 copies take 2**-12 s = 244 us; 3 rounds of them exceed 0.5 ms: 96 calls a sample.
    row = measure(kernel("memory_copy", 0.05, n=65_536), counting(fake, cache=2**20), quiet)
    assert row.calls_per_sample == 96
    assert row.step_s == 2.0**-17
    assert row.interval == (2.0**-17, 2.0**-17)


def test_long_steps_are_not_repeated(fake):
    assert measure(kernel(), fake(), quiet).calls_per_sample == 1


# -- what a row holds ------------------------------------------------------------------------------------------------------------


def test_a_row_keeps_its_samples_and_how_they_came(fake):
    # A step of 1 s: 6 to warm up, 69 until 75 of 100 s are gone.
    row = measure(kernel(), fake(), quiet)
    assert row.status == "ok"
    assert row.samples_s == [1.0] * 69
    assert (row.warmup_samples, row.warmup_s, row.timed_s) == (6, 6.0, 75.0)
    assert row.stop_reason == "median known within 1%"
    assert (row.stable, row.flags) == (True, [])


def test_percentiles_are_there_only_where_n_allows(fake):
    row = measure(kernel(), fake(), quiet)
    assert (row.p90_s, row.p99_s) == (1.0, None)
    assert measure(kernel(time_s=20.0), fake(), quiet).p90_s is None


def test_an_interval_says_what_it_is(fake):
    assert measure(kernel(), fake(), quiet).interval_kind == "95 % of the median, order statistics, one process"


def test_a_noisy_device_is_flagged_unstable(fake):
    times = itertools.cycle([0.75, 1.25])
    row = measure(kernel(), fake(lambda _: next(times)), quiet)
    assert row.stable is False
    assert "unstable" in row.flags


def test_too_few_samples_have_no_interval_and_are_not_called_stable(fake):
    row = measure(kernel(time_s=0.25), fake(), quiet)
    assert len(row.samples_s) == 1
    assert (row.interval, row.interval_kind, row.flags) == (None, None, ["unstable"])


@pytest.mark.parametrize("seconds", [0.0, -1e-3, float("nan"), float("inf")])
def test_a_clock_that_cannot_be_right_is_named(seconds, fake):
    with pytest.raises(DeviceError, match=r"the clock of fake:0 gave .* s for a step"):
        measure(kernel(), fake(lambda _: seconds), quiet)


def test_a_row_says_which_operators_ran(fake):
    assert measure(kernel(), fake(), quiet).operators == {"linear": "torch.nn.functional.linear"}


def test_a_row_says_where_it_was_measured(fake):
    row = measure(kernel(), fake(), quiet)
    assert (row.device, row.device_name, row.unit, row.source) == ("fake:0", "A fake device", "package", "measured")
    assert row.memory_peak_bytes == 12_345


def test_work_is_that_of_the_program(fake):
    # 2 * 4 * 8 * 16 = 1024 FLOP; (4 * 16 + 8 * 16) * 4 = 768 B read, 4 * 8 * 4 = 128 B written.
    row = measure(kernel(), fake(), quiet)
    assert (row.flops, row.read_bytes, row.written_bytes) == (1024.0, 768.0, 128.0)


def test_utilization_is_of_the_devices_sheet(fake):
    # 1024 FLOP in 1 s of 989.4e12, 896 / 2 bytes in bf16 of 3350e9.
    adapter = fake()
    adapter.sheet_id = "h100-sxm"
    case = Case(
        workload="tiny", phase="kernel", kernel="gemm", dtype="bf16", dims={"m": 4, "n": 8, "k": 16}, time_s=100
    )
    row = measure(case, adapter, quiet)
    assert row.mfu == pytest.approx(1024 / 989.4e12)
    assert row.mbu == pytest.approx(448 / 3350e9)
    assert row.mfu_achieved is None


def test_utilization_is_of_what_calibration_reached_where_there_is_one(fake, project):
    adapter = fake()
    path = achieved_path(project / "devices", fingerprint(adapter.facts()))
    path.parent.mkdir(parents=True)
    path.write_text(
        'device = "cpu"\nfingerprint = "x"\nmade = "today"\ncommand = "bench calibrate"\nthreads = 1\nsoftware = "torch"\n'
        "read_bytes_per_s = 3584.0\ncopy_bytes_per_s = 1.0\n"
        "[gemm_flops]\nfp32 = 4096.0\n[gemm_sizes]\nfp32 = 1024\n"
    )
    row = measure(kernel(), adapter, quiet)
    assert (row.mfu_achieved, row.mbu_achieved) == (0.25, 0.25)
    assert (row.mfu, row.mbu) == (None, None)


def test_energy_comes_from_what_the_device_told(fake, monkeypatch):
    # 300 W at 133.3 tokens per second.
    class Told(Sampler):
        def __exit__(self, *_):
            self.window = Window(5.0, power_w=300.0, power_samples=99, power_validity="ok", power_basis="board")

    monkeypatch.setattr(case_module, "Sampler", Told)
    row = measure(decode("tiny-moe"), fake(by_layers), quiet)
    assert (row.power_basis, row.power_samples, row.power_validity) == ("board", 99, "ok")
    assert row.joules_per_token == pytest.approx(2.25)


def test_without_a_sensor_there_is_no_energy(fake):
    assert measure(decode("tiny-moe"), fake(by_layers), quiet).joules_per_token is None


def test_what_a_device_has_no_path_for_becomes_a_row_with_the_reason():
    row = unsupported_row(kernel(), "fake:0", "A fake device", "package", Unsupported("no fp8 here"))
    assert (row.status, row.reason, row.step_s) == ("unsupported", "no fp8 here", None)


def test_a_precision_without_a_path_is_unsupported(fake):
    case = Case(workload="tiny", phase="kernel", kernel="gemm", dtype="fp8", dims={"m": 4, "n": 8, "k": 16})
    with pytest.raises(Unsupported, match="fp8"):
        measure(case, fake(), quiet)


def test_models_are_read_from_the_folder_a_person_stands_in():
    assert (Path("workloads") / "models" / "tiny-moe.toml").is_file()
    assert decode("tiny-moe").definition_hash != decode("tiny-dense").definition_hash
