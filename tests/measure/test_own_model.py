"""A device's own kernels: which are timed, what is kept of them, and the profile fitted to made-up times."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bench.devices.emulated.forms import OTHER_FORMS, peaks_of
from bench.devices.sheet import Figure, Memory, Sheet
from bench.errors import DefinitionError, Unsupported
from bench.measure import own_kernels
from bench.measure.own_kernels import OwnKernel, cases_for, large_shapes, shapes
from bench.measure.own_model import achieved_of, model_name, profile_of, sheet_of

pytestmark = pytest.mark.usefixtures("project")


class Device:
    """What is asked of an adapter here: names, facts, a cache."""

    name = "acme:0"

    def __init__(self, sheet: str | None = None) -> None:
        self.known = sheet

    def facts(self) -> dict[str, str]:
        return {"name": "Acme 1", "vendor": "Acme", "memory": "64.0 GB", "runtime": "acme 7"}

    def sheet(self) -> str | None:
        return self.known

    def cache_bytes(self) -> int:
        return 50_000_000


def product(m: int, n: int, k: int, seconds: float, dtype: str = "bf16", kernel: str = "gemm") -> OwnKernel:
    moved = 2.0 * (m * k + k * n + m * n)
    dims = {"m": float(m), "n": float(n), "k": float(k), "moved_bytes": moved}
    return OwnKernel(kernel, "gemm", dtype, dims, 2.0 * m * n * k, moved, seconds)


def copy(seconds: float) -> OwnKernel:
    return OwnKernel("memory_copy", "copy", "bf16", {"moved_bytes": 4e9}, 0.0, 4e9, seconds)


def many(dtype: str = "bf16") -> list[OwnKernel]:
    # 200 TFLOP/s or 1 TB/s, whichever is slower, and 5 us.
    found = []
    for m in (1, 8, 64, 512, 4096):
        for n, k in ((4096, 4096), (8192, 2048), (2048, 8192)):
            one = product(m, n, k, 1.0, dtype)
            found.append(product(m, n, k, 5e-6 + max(one.flops / 200e12, one.moved_bytes / 1e12), dtype))
    return found


def sheet(**peaks: float) -> Sheet:
    def figure(value: float) -> Figure:
        return Figure(source="by hand", confidence="A", value=value)

    return Sheet(
        name="Acme 1", vendor="Acme", adapter="acme", torch_device="acme", checked="2026-11-21",
        peak_tflops={dtype: figure(value) for dtype, value in peaks.items()},
        memory=Memory(size_gb=figure(64), bandwidth_gb_per_s=figure(2000), cache_mb=figure(50)),
    )  # fmt: skip


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_the_best_rates_are_kept():
    # 2 x 4096^3 FLOP in 1 ms; one row reads 33.6 MB in 0.1 ms; a copy moves 4 GB in 2 ms.
    kernels = [
        product(4096, 4096, 4096, 1e-3),
        product(4096, 4096, 4096, 2e-3),
        product(1, 4096, 4096, 1e-4),
        copy(2e-3),
    ]
    kept = achieved_of(kernels, Device(), "bench calibrate -d acme:0")
    assert kept.gemm_flops == {"bf16": pytest.approx(137.438953472e12)}
    assert kept.gemm_sizes == {"bf16": 4096}
    assert kept.read_bytes_per_s == pytest.approx(2 * (4096 + 4096**2 + 4096) / 1e-4)
    assert kept.copy_bytes_per_s == pytest.approx(2e12)
    assert (kept.device, kept.command) == ("acme:0", "bench calibrate -d acme:0")


def test_each_precision_has_its_own_best_rate():
    kept = achieved_of([*many(), *many("fp8")], Device(), "")
    assert set(kept.gemm_flops) == {"bf16", "fp8"}


def test_without_any_product_nothing_is_kept():
    with pytest.raises(DefinitionError, match="acme:0: no bf16 product could be timed"):
        achieved_of([copy(1e-3)], Device(), "")


def test_a_device_is_modelled_by_the_sheet_that_describes_it():
    assert model_name(Device("h100-sxm")) == "h100-sxm"
    assert model_name(Device()) == "this-acme"


def test_a_sheet_of_reached_peaks_says_that_nobody_published_them():
    kept = achieved_of([*many(), copy(1e-3)], Device(), "bench calibrate -d acme:0")
    made = sheet_of(kept, Device())
    assert made.peak_tflops["bf16"].source == "measured here by `bench calibrate -d acme:0`"
    assert made.memory_bytes == 64e9
    assert made.torch_device == "acme"
    assert "reached" in made.name


# -- the fit -----------------------------------------------------------------------------------------------------------


def test_a_profile_finds_the_shares_that_the_times_were_made_with():
    kept = achieved_of(many(), Device(), "bench calibrate -d acme:0")
    profile = profile_of(many(), kept, sheet(bf16=400), "acme-1")
    (rule,) = profile.rules
    # Half of the sheet's 400 TFLOP/s and of its 2 TB/s.
    assert rule.numbers["compute"] == pytest.approx(0.5, rel=0.05)
    assert rule.numbers["memory"] == pytest.approx(0.5, rel=0.05)
    assert rule.evidence.mape < 0.05
    assert (profile.device, profile.eager, rule.includes_quantize) == ("acme-1", False, False)


def test_an_8_bit_product_was_timed_with_its_quantization():
    kept = achieved_of([*many(), *many("fp8")], Device(), "")
    profile = profile_of([*many(), *many("fp8")], kept, sheet(bf16=400, fp8=800), "acme-1")
    assert {rule.dtype: rule.includes_quantize for rule in profile.rules} == {"bf16": False, "fp8": True}


def test_a_kind_with_too_few_kernels_is_left_out():
    kept = achieved_of(many(), Device(), "")
    few = OwnKernel("attention_prefill", "attention_prefill", "bf16", {}, 1.0, 1.0, 1.0)
    assert {rule.kind for rule in profile_of([*many(), few, copy(1e-3)], kept, sheet(bf16=400), "acme-1").rules} == {
        "gemm"
    }


def test_experts_whose_kernels_compete_get_the_formula_of_two():
    rng = np.random.default_rng(1)
    peaks = peaks_of(sheet(bf16=1), "moe", "bf16", "")
    numbers = {"gathered": 0.6, "again": 2.0, "memory": 0.2, "compute": 0.9, "launch_us": 5.0, "expert_us": 0.05}
    kernels = []
    for rows in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        for experts in (16, 64):
            touched = experts * (1 - (1 - 1 / experts) ** rows)
            dims = {
                "rows": float(rows), "padded": float(rows), "touched": touched, "experts": float(experts),
                "hidden": 1024.0, "inner": 512.0, "busiest": rows / experts + 1,
            }  # fmt: skip
            seconds = float(OTHER_FORMS["gathered"].price(numbers, dims, peaks, 2.0).seconds) * rng.uniform(0.98, 1.02)
            kernels.append(OwnKernel("moe", "moe", "bf16", dims, 1.0, 1.0, seconds))
    kept = msgspec.structs.replace(achieved_of(many(), Device(), ""), device="cpu")
    (rule,) = profile_of(kernels, kept, sheet(bf16=1), "acme-1").rules
    assert rule.form == "gathered"
    assert not rule.padded
    assert rule.evidence.mape < 0.06


# -- what is timed -----------------------------------------------------------------------------------------------------


class Paths(Device):
    """A device of a given speed that has paths for some precisions."""

    def __init__(self, seconds: float, *dtypes: str) -> None:
        super().__init__()
        self.seconds, self.dtypes = seconds, dtypes

    def operators(self, step: Any, dtype: str, copies: int, layers: int | None) -> Any:
        from bench.operators.cost import CostOperators

        if dtype not in self.dtypes:
            raise Unsupported(f"no {dtype}")
        return CostOperators(step, "bf16")

    def time(self, step: Any, repeats: int) -> list[float]:
        return [self.seconds] * repeats


def test_a_slow_device_is_timed_at_small_sizes_and_a_fast_one_at_those_that_fill_it():
    assert cases_for(Paths(0.02, "bf16")) == list(shapes())
    assert cases_for(Paths(2e-5, "bf16")) == list(large_shapes())


def test_products_are_timed_in_every_precision_with_a_path():
    cases = cases_for(Paths(2e-5, "bf16", "int8"))
    assert {case.dtype for case in cases} == {"bf16", "int8"}
    assert {case.kernel for case in cases if case.dtype == "int8"} == {"gemm", "moe"}


def test_no_shape_is_timed_twice():
    for found in (list(shapes()), list(large_shapes())):
        assert len({(case.kernel, case.case_id) for case in found}) == len(found)


def test_a_kernel_that_fails_is_left_out_and_told(monkeypatch):
    heard: list[str] = []

    def time_one(case: Any, adapter: Any) -> OwnKernel:
        if case.kernel == "rms_norm":
            raise RuntimeError("ACME out of memory\nand a stack")
        return product(1, 1, 1, 1.0)

    monkeypatch.setattr(own_kernels, "_time", time_one)
    monkeypatch.setattr(own_kernels, "open_device", lambda _: Paths(0.02, "bf16"))
    kept = msgspec.json.decode(own_kernels.kernels_json("acme:0", heard.append), type=list[OwnKernel])
    norms = sum(case.kernel == "rms_norm" for case in shapes())
    assert len(kept) == len(list(shapes())) - norms
    assert sum("left out, ACME out of memory" in line for line in heard) == norms
