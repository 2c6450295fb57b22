"""From a table to profiles: what is fitted alone, what together, and what stands for devices that nobody measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.devices.emulated.assumed import assumed_rules
from bench.devices.emulated.calibrate import calibrate, calibrate_generic, sample_of
from bench.devices.emulated.forms import FORMS, element_bytes, peaks_of, roofline
from bench.devices.emulated.links import OTHER_LINK_FORMS
from bench.devices.emulated.profile import Rule, choose
from bench.devices.emulated.table import Timed, read_table
from bench.devices.sheet import load_sheet
from bench.errors import DefinitionError

GEMM = {"compute": 0.6, "memory": 0.8, "launch_us": 6.0, "sharpness": 2.0}
GATHER = {"launch_us": 6.0, "per_rank_us": 1.0, "link_quick": 0.3, "link_bulk": 0.7, "bulk_launch": 4.0}


def timed(
    device: str, kind: str, numbers: dict[str, float], count: int, noise: float = 0.03, key: int = 1, **text: str
) -> list[Timed]:
    """Rows whose times come from known numbers on a device's sheet, and seeded noise."""
    generator = np.random.Generator(np.random.Philox(key=[key, count]))
    names = {"gemm": (("m", 1, 8192), ("n", 512, 16384), ("k", 512, 16384))}.get(kind, (("message_bytes", 1024, 1e9),))
    dtype = text.get("dtype") or "bf16"
    peaks = peaks_of(load_sheet(device), kind, dtype, device)
    rows = []
    for line in range(2, count + 2):
        dims = {
            name: float(np.round(np.exp(generator.uniform(np.log(low), np.log(high))))) for name, low, high in names
        }
        if kind != "gemm":
            dims["ranks"] = float(generator.choice([2, 4, 8]))
        seconds = float(FORMS[kind].price(numbers, dims, peaks, element_bytes(dtype)).seconds)
        seconds *= float(np.exp(noise * generator.standard_normal()))
        empty = {"dtype": "bf16", "software": "lib 1.0", "routing": "", "note": "", "source": "made"}
        rows.append(Timed(line, device, kind, **empty | text, dims=dims, seconds=seconds))
    return rows


def only(profiles, device: str):
    (found,) = (profile for profile in profiles if profile.device == device)
    return found


# -- one device ---------------------------------------------------------------------------------------------------------


def test_each_device_gets_a_profile_and_each_library_a_rule():
    rows = timed("h100-sxm", "gemm", GEMM, 40)
    rows += timed("h100-sxm", "gemm", GEMM | {"compute": 0.3}, 40, software="other 2.0")
    rows += timed("b200-sxm", "gemm", GEMM, 30)
    found = calibrate(rows, "mine.csv", "bench calibrate")
    assert [profile.device for profile in found] == ["h100-sxm", "b200-sxm"]
    rules = {rule.library: rule for rule in only(found, "h100-sxm").rules}
    assert rules["lib"].numbers["compute"] == pytest.approx(0.6, rel=0.1)
    assert rules["other"].numbers["compute"] == pytest.approx(0.3, rel=0.1)
    assert only(found, "h100-sxm").libraries == ["lib 1.0", "other 2.0"]


def test_a_profile_is_named_after_the_software_of_most_rows():
    rows = timed("h100-sxm", "gemm", GEMM, 10) + timed("h100-sxm", "gemm", GEMM, 20, software="other 2.0")
    (found,) = calibrate(rows, "mine.csv", "bench calibrate")
    assert (found.software, found.summary) == ("other 2.0", "H100 SXM5 80GB with other 2.0")


def test_evidence_names_the_sources_of_its_rows():
    rows = timed("h100-sxm", "gemm", GEMM, 10, source="b") + timed("h100-sxm", "gemm", GEMM, 10, key=2, source="a")
    (found,) = calibrate(rows, "mine.csv", "bench calibrate")
    assert [rule.evidence.source for rule in found.rules] == ["a; b"]


def test_products_that_all_include_quantization_say_so():
    note = "includes dynamic quantization of the activations"
    rows = timed("h100-sxm", "gemm", GEMM, 20, dtype="fp8", note=note)
    assert calibrate(rows, "mine.csv", "")[0].rules[0].includes_quantize
    rows[3] = timed("h100-sxm", "gemm", GEMM, 1, dtype="fp8")[0]
    assert not calibrate(rows, "mine.csv", "")[0].rules[0].includes_quantize


def test_messages_are_fitted_without_their_dtype_so_that_they_price_any():
    rows = timed("h100-sxm", "all_to_all", GATHER, 30, dtype="bf16")
    (rule,) = calibrate(rows, "mine.csv", "")[0].rules
    assert (rule.kind, rule.dtype) == ("all_to_all", "")


def test_a_kind_without_a_formula_is_left_out():
    rows = timed("h100-sxm", "gemm", GEMM, 20)
    rows.append(Timed(22, "h100-sxm", "other", "", "lib", "", "", "", {}, 1e-6))
    (found,) = calibrate(rows, "mine.csv", "")
    assert [rule.kind for rule in found.rules] == ["gemm"]


def test_collectives_of_few_rows_are_fitted_together_and_adding_up_costs_link_time():
    # Reducing reaches 1 / 1.3 of the link that gathering reaches.
    slower = GATHER | {"link_quick": 0.3 / 1.3, "link_bulk": 0.7 / 1.3}
    rows = [
        *timed("h100-sxm", "all_gather", GATHER, 18, 0.002, 1, dtype=""),
        *timed("h100-sxm", "reduce_scatter", slower, 18, 0.002, 2, dtype=""),
        *timed("h100-sxm", "all_reduce", slower, 18, 0.002, 3, dtype=""),
    ]
    rules = {rule.kind: rule for rule in calibrate(rows, "mine.csv", "")[0].rules}
    assert set(rules) == {"all_gather", "reduce_scatter", "all_reduce"}
    assert rules["all_gather"].numbers["link_bulk"] == pytest.approx(0.7, rel=0.05)
    for kind in ("reduce_scatter", "all_reduce"):
        assert rules[kind].numbers["link_bulk"] == pytest.approx(0.7 / 1.3, rel=0.05)
        assert rules[kind].evidence.n == 54
        assert rules[kind].correction is None


def test_exchanges_of_few_rows_are_fitted_together_and_quantizing_costs_link_time():
    numbers = {"launch_us": 9.0, "per_rank_us": 0.06, "near": 0.6, "far": 0.6}
    rows = []
    for line, (kind, ranks, m) in enumerate(
        [(kind, ranks, m) for kind in ("ep_dispatch", "ep_combine") for ranks in (8, 256) for m in (4, 32, 128)], 2
    ):
        dims = {"m": float(m), "hidden": 7168.0, "top_k": 8.0, "ranks": float(ranks)}
        # 2 bytes an element to combine, 1 to dispatch, which takes as long.
        sent = m * 8 * 7168 * 2 * (ranks - 1) / ranks
        seconds = (9 + 0.06 * ranks) * 1e-6 + sent / (0.6 * 196e9)
        rows.append(Timed(line, "ascend-910c", kind, "", "UB-exchange 1", "", "", "made", dims, seconds))
    combine, dispatch = calibrate(rows, "mine.csv", "")[0].rules
    assert (combine.kind, dispatch.kind) == ("ep_combine", "ep_dispatch")
    for name in ("launch_us", "per_rank_us", "near"):
        assert combine.numbers[name] == pytest.approx(numbers[name], rel=0.1), name
    assert dispatch.numbers["near"] == pytest.approx(combine.numbers["near"] / 2)
    assert combine.evidence.n == 12


def test_collectives_of_many_rows_are_fitted_alone():
    rows = timed("h100-sxm", "all_gather", GATHER, 20, dtype="") + timed("h100-sxm", "all_reduce", GATHER, 25, dtype="")
    rules = {rule.kind: rule for rule in calibrate(rows, "mine.csv", "")[0].rules}
    assert (rules["all_gather"].evidence.n, rules["all_reduce"].evidence.n) == (20, 25)


# -- too few rows -------------------------------------------------------------------------------------------------------


def test_a_group_of_too_few_rows_is_left_to_the_average():
    rows = timed("h100-sxm", "gemm", GEMM, 20) + timed("h100-sxm", "gemm", GEMM, 4, dtype="fp8")
    (found,) = calibrate(rows, "mine.csv", "")
    assert [(rule.kind, rule.dtype) for rule in found.rules] == [("gemm", "bf16")]


def test_a_group_of_too_few_rows_is_refused_where_its_device_was_asked_for():
    rows = timed("h100-sxm", "gemm", GEMM, 20) + timed("h100-sxm", "gemm", GEMM, 4, dtype="fp8")
    with pytest.raises(DefinitionError, match=r"mine.csv: 4 rows of gemm fp8 cannot fit 4 numbers; give 5 or more"):
        calibrate(rows, "mine.csv", "", device="h100-sxm")


def test_too_few_collectives_are_refused_where_their_device_was_asked_for():
    rows = timed("h100-sxm", "all_gather", GATHER, 3, dtype="") + timed("h100-sxm", "all_reduce", GATHER, 2, dtype="")
    with pytest.raises(DefinitionError, match=r"5 rows of all_gather .*cannot fit 5 numbers; give 6 or more"):
        calibrate(rows, "mine.csv", "", device="h100-sxm")


def test_a_table_that_fits_nothing_is_refused_with_what_it_lacks():
    rows = timed("h100-sxm", "gemm", GEMM, 3) + timed("b200-sxm", "gemm", GEMM, 2)
    with pytest.raises(DefinitionError) as error:
        calibrate(rows, "mine.csv", "")
    assert str(error.value) == (
        "mine.csv: too few rows to fit anything; the most are 3 of h100-sxm gemm bf16, which needs 5"
    )


def test_a_table_of_kinds_without_formulas_is_refused():
    rows = [Timed(2, "h100-sxm", "other", "", "lib", "", "", "", {}, 1e-6)]
    for fit in (lambda: calibrate(rows, "mine.csv", ""), lambda: calibrate_generic(rows, "mine.csv", "", [])):
        with pytest.raises(DefinitionError, match=r"mine.csv: no row has a kind that a formula prices"):
            fit()


def test_a_device_without_rows_is_refused_with_the_nearest_that_has():
    with pytest.raises(DefinitionError, match=r"mine.csv: no rows of device 'h200-sxm'; did you mean 'h100-sxm'"):
        calibrate(timed("h100-sxm", "gemm", GEMM, 20), "mine.csv", "", device="h200-sxm")


# -- the average --------------------------------------------------------------------------------------------------------


def generic(rows: list[Timed], assumed: list[Rule] | None = None) -> dict[tuple[str, str], Rule]:
    profile = calibrate_generic(rows, "mine.csv", "", assumed or [])
    assert (profile.device, profile.software) == ("generic", "average")
    return {(rule.kind, rule.dtype): rule for rule in profile.rules}


def test_devices_that_nearly_agree_weigh_alike_however_many_rows_each_has():
    # 40 rows of one and 400 of another: the middle of 0.59 and 0.61 is 0.6, where rows alone would make it 0.609.
    # Devices further apart than the loss's scale do not: there most rows decide, and the few count as outliers.
    rows = timed("h100-sxm", "gemm", GEMM | {"compute": 0.59}, 40, 0.0)
    rows += timed("b200-sxm", "gemm", GEMM | {"compute": 0.61}, 400, 0.0, 2)
    rule = generic(rows)["gemm", "bf16"]
    assert rule.devices == ["h100-sxm", "b200-sxm"]
    assert rule.numbers["compute"] == pytest.approx(0.6, abs=0.006)


def test_an_averages_evidence_is_of_each_device_predicted_from_the_others():
    # Both are met exactly by numbers of their own, and missed by those of the other: computing by half or by double.
    rows = timed("h100-sxm", "gemm", GEMM | {"compute": 0.4}, 60, 0.0)
    rows += timed("b200-sxm", "gemm", GEMM | {"compute": 0.8}, 60, 0.0, 2)
    evidence = generic(rows)["gemm", "bf16"].evidence
    assert evidence.method == "each of h100-sxm, b200-sxm predicted from the others"
    assert evidence.n == 120
    assert evidence.mape > 0.1
    assert evidence.low < 0.7
    assert evidence.high > 1.4
    assert max(rule.evidence.mape for profile in calibrate(rows, "mine.csv", "") for rule in profile.rules) < 0.02


def test_devices_of_one_vendor_have_an_average_of_their_own_beside_that_of_all():
    rows = timed("h100-sxm", "gemm", GEMM | {"compute": 0.8}, 60, 0.0)
    rows += timed("b200-sxm", "gemm", GEMM | {"compute": 0.8}, 60, 0.0, 2)
    rows += timed("ascend-910c", "gemm", GEMM | {"compute": 0.4}, 60, 0.0, 3)
    profile = calibrate_generic(rows, "mine.csv", "", [])
    every, alone = profile.rules
    assert every.devices == ["h100-sxm", "b200-sxm", "ascend-910c"]
    assert alone.devices == ["h100-sxm", "b200-sxm"]
    assert alone.numbers["compute"] == pytest.approx(0.8, rel=0.02)
    assert alone.evidence.mape < 0.02 < every.evidence.mape
    # Where all are of one vendor there is one average, and of a vendor with one device none.
    assert len(calibrate_generic(rows[:120], "mine.csv", "", []).rules) == 1


def test_a_library_that_sends_everything_to_everyone_is_fitted_so():
    made = []
    numbers = GATHER | {"link_bulk": 0.8, "bulk_launch": 6.0}
    for row in timed("h100-sxm", "all_reduce", numbers, 60):
        peaks = peaks_of(load_sheet("h100-sxm"), "all_reduce", "", "x")
        seconds = float(OTHER_LINK_FORMS["one_shot"].price(numbers, row.dims, peaks, 2.0).seconds)
        made.append(replace(row, seconds=seconds))
    rings = timed("h100-sxm", "all_reduce", GATHER, 60, 0.0, 2, software="ring 1.0")
    shot, ring = calibrate(made + rings, "mine.csv", "")[0].rules
    assert (shot.form, ring.form) == ("one_shot", "")
    assert max(shot.evidence.mape, ring.evidence.mape) < 0.02


def test_an_average_of_one_device_is_widened_by_half_and_says_so():
    rows = timed("h100-sxm", "gemm", GEMM, 60)
    rule = generic(rows)["gemm", "bf16"]
    own = calibrate(rows, "mine.csv", "")[0].rules[0]
    assert rule.evidence.low == pytest.approx(own.evidence.low**1.5, rel=0.02)
    assert rule.evidence.high == pytest.approx(own.evidence.high**1.5, rel=0.02)
    assert rule.evidence.method == "5 folds on the only device measured; band widened by half for others"
    assert rule.correction is None


def test_an_average_holds_no_correction():
    rows = timed("h100-sxm", "gemm", GEMM, 200) + timed("b200-sxm", "gemm", GEMM, 200, key=2)
    for i, row in enumerate(rows):
        bent = row.seconds * float(np.exp(0.2 * np.sin(np.log(row.dims["m"]))))
        rows[i] = Timed(row.line, row.device, "gemm", "bf16", "lib", "", "", "made", row.dims, bent)
    assert all(profile.rules[0].correction is not None for profile in calibrate(rows, "mine.csv", ""))
    assert generic(rows)["gemm", "bf16"].correction is None


def test_what_no_table_holds_is_assumed_and_what_one_holds_is_not():
    rules = generic(timed("h100-sxm", "gemm", GEMM, 40), assumed_rules())
    assert rules["gemm", "bf16"].evidence.n == 40
    assert rules["pointwise", ""].evidence.method == "assumed, not measured"
    # Forty rows of fp16 take the place of the assumption for fp16.
    rules = generic(timed("h100-sxm", "gemm", GEMM, 40, dtype="fp16"), assumed_rules())
    assert rules["gemm", "fp16"].evidence.n == 40


def test_fewer_than_thirty_rows_make_no_average():
    assert generic(timed("h100-sxm", "gemm", GEMM, 29)) == {}
    assert set(generic(timed("h100-sxm", "gemm", GEMM, 30))) == {("gemm", "bf16")}


def test_a_library_for_small_messages_is_no_part_of_the_average():
    rows = timed("h100-sxm", "all_reduce", GATHER, 40, dtype="", software="trtllm-custom")
    rows += timed("h100-sxm", "all_reduce", GATHER, 35, dtype="", software="nccl-2.29")
    assert generic(rows)["all_reduce", ""].evidence.n == 35


# -- what is measured of real devices -----------------------------------------------------------------------------------

# Kinds of which three or more devices have enough rows in the sample to stand in for one that is left out.
TRAVELS = [("gemm", 0.25), ("attention_prefill", 0.30), ("attention_decode", 0.40)]


@pytest.mark.parametrize(("kind", "most"), TRAVELS)
def test_a_device_left_out_is_predicted_from_the_others(kind, most, kernels_csv):
    rows = [row for row in read_table(kernels_csv) if row.kind == kind and row.dtype == "bf16"]
    devices = list(dict.fromkeys(row.device for row in rows))
    assert len(devices) >= 3
    for device in devices:
        rule = generic([row for row in rows if row.device != device])[kind, "bf16"]
        assert device not in rule.devices
        sample = sample_of(device, kind, "bf16", [row for row in rows if row.device == device])
        modelled = rule.price(sample.dims, sample.peaks, "bf16").seconds
        missed = float(np.abs(modelled / sample.seconds - 1).mean())
        naive = roofline(kind, sample.dims, sample.peaks, sample.width)
        assert missed < most, device
        assert missed < 0.6 * float(np.abs(naive / sample.seconds - 1).mean()), device


@pytest.mark.parametrize("kind", ["gemm", "attention_prefill", "attention_decode"])
def test_numbers_of_ones_own_beat_those_of_others(kind, kernels_csv):
    # Evidence against evidence: rows left out at home, and devices left out.
    rows = [row for row in read_table(kernels_csv) if row.kind == kind and row.dtype == "bf16"]
    away = generic(rows)[kind, "bf16"].evidence
    home = [profile.rules[0].evidence for profile in calibrate(rows, "mine.csv", "")]
    assert sum(e.mape * e.n for e in home) / sum(e.n for e in home) < away.mape
    assert away.mape < away.roofline_mape


def test_a_910c_has_no_attention_of_its_own_and_does_not_claim_any(kernels_csv):
    rows = read_table(kernels_csv)
    fitted = only(calibrate(rows, "mine.csv", ""), "ascend-910c")
    assert {rule.kind for rule in fitted.rules} == {"gemm", "all_gather", "reduce_scatter", "all_reduce"}
    for kind in ("attention_prefill", "attention_decode"):
        assert choose("ascend-910c", load_sheet("ascend-910c"), kind, "bf16").tier == "transferred"
