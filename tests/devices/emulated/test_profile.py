"""Profiles: which numbers price what, how wide they are told to be, and profiles that are wrong."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from bench.devices.emulated.form import Peaks
from bench.devices.emulated.forms import FORMS, peaks_of
from bench.devices.emulated.profile import (
    WIDER_OTHER_CLASS,
    WIDER_OTHER_VENDOR,
    WIDER_SAME_CHIP,
    Chosen,
    Evidence,
    Profile,
    Rule,
    choose,
    engine,
    load_profile,
    profiles,
)
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, Unsupported

PEAKS = Peaks(1e15, 1e12, 50e6, 1e11, 8, 5e10)

# A product of 1000 x 1000 x 1000: 2e9 FLOP and 6 MB.
PRODUCT = {"m": 1000, "n": 1000, "k": 1000}

PROFILE = """
device = "h100-sxm"
software = "mine 1.0"
summary = "mine"
made = "2026-11-21"
command = "by hand"

[[rules]]
kind = "gemm"
dtype = "bf16"
library = "mine"

[rules.numbers]
compute = 0.5
memory = 0.5
launch_us = 5.0
sharpness = 2.0

[rules.evidence]
n = 10
mape = 0.1
median = 0.1
bias = 1.0
low = 0.81
high = 1.21
source = "me"
method = "by hand"
"""
CORRECTION = """
[rules.correction]
low = [0.0, 6.0, 6.0]
high = [9.0, 9.0, 9.0]
mean = [5.0, 8.0, 8.0]
scale = [2.0, 1.0, 1.0]
weights = [0.1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
"""
MINE = "devices/calibrations/h100-sxm/mine.toml"
# What `bench calibrate -d cpu` leaves in a working copy; not shipped.
LOCAL = "this-cpu"


def chosen(device: str, kind: str = "gemm", dtype: str = "bf16", library: str = "") -> Chosen:
    return choose(device, load_sheet(device), kind, dtype, library)


def shipped() -> list[Profile]:
    return [profile for profile in profiles().values() if profile.device != LOCAL]


def us(found: Chosen, dtype: str = "bf16") -> float:
    return float(found.price(PRODUCT, PEAKS, dtype).seconds) * 1e6


# -- which numbers ------------------------------------------------------------------------------------------------------


def test_a_device_with_its_own_numbers_is_calibrated():
    found = chosen("h100-sxm")
    assert (found.tier, found.corrected, found.wider) == ("calibrated", True, 1.0)
    assert found.reason.startswith("h100-sxm: calibrated with trtllm")


def test_a_device_with_the_same_chip_and_peak_gets_its_numbers_and_correction():
    found = chosen("h200-sxm")
    assert (found.tier, found.corrected, found.wider) == ("transferred", True, WIDER_SAME_CHIP)
    assert found.reason.startswith("h200-sxm: numbers of h100-sxm (trtllm")
    assert found.reason.endswith("the same architecture sm_90")
    assert found.rules == chosen("h100-sxm").rules


def test_a_device_with_the_same_chip_and_another_peak_gets_the_numbers_alone():
    # H20: 148 TFLOP/s of bf16 where an H100 has 989.
    found = chosen("h20")
    assert (found.tier, found.corrected) == ("transferred", False)
    assert found.rules == chosen("h100-sxm").rules
    dims = {"m": 64, "n": 4096, "k": 4096}
    peaks = peaks_of(load_sheet("h20"), "gemm", "bf16", "h20")
    plain = found.rules[0].price(dims, peaks, "bf16", corrected=False).seconds
    assert found.price(dims, peaks, "bf16").seconds == plain
    assert found.rules[0].price(dims, peaks, "bf16").seconds != plain


def test_numbers_of_the_same_architecture_reach_from_die_to_package():
    found = chosen("ascend-910b2")
    assert (found.tier, found.wider) == ("transferred", WIDER_SAME_CHIP)
    assert found.reason.startswith("ascend-910b2: numbers of ascend-910c (")


def test_an_exchange_is_carried_over_only_where_links_join_as_many_devices():
    # 768 dies of a supernode, 8 of a server of 910B: the same chip, another fabric.
    assert chosen("ascend-910c", "ep_combine", "").rules[0].library == "UB-exchange"
    assert chosen("ascend-910b2", "ep_combine", "").rules[0].devices == ["h100-sxm"]
    assert "numbers of h100-sxm" in chosen("h200-sxm", "ep_combine", "").reason


@pytest.mark.parametrize("device", ["l40s", "rtx-4090"])
def test_a_device_of_the_same_vendor_gets_the_average(device):
    found = chosen(device)
    assert (found.tier, found.corrected, found.wider) == ("transferred", False, 1.5)
    assert found.reason.startswith(f"{device}: average of a100-sxm-80, b200-sxm, h100-sxm")
    assert found.reason.endswith("the same vendor")


def test_the_average_is_of_the_vendors_own_devices_where_there_are_two_and_else_of_all():
    assert chosen("l40s", "all_gather", "").rules[0].devices == ["a100-sxm-80", "h100-sxm"]
    assert chosen("mi300x", "all_gather", "").rules[0].devices == ["a100-sxm-80", "h100-sxm", "ascend-910c"]


def test_a_device_of_the_same_class_gets_the_average_and_a_wider_interval():
    found = chosen("mi300x")
    assert (found.tier, found.corrected, found.wider) == ("transferred", False, WIDER_OTHER_VENDOR)
    assert found.reason.endswith("the same class (stacked memory)")


def test_a_device_of_another_class_is_told_to_rest_on_its_sheet():
    found = chosen("mtt-s4000")
    assert (found.tier, found.corrected, found.wider) == ("sheet", False, WIDER_OTHER_CLASS)
    assert found.reason.endswith("another class of device")


def test_a_910c_is_calibrated_for_products_and_transferred_for_attention():
    # Nobody published attention of a 910C by its sizes; the profile must not pretend to hold any.
    assert chosen("ascend-910c").tier == "calibrated"
    for kind in ("attention_prefill", "attention_decode", "mla_prefill", "mla_decode", "moe"):
        found = chosen("ascend-910c", kind)
        assert (found.tier, found.wider) == ("transferred", WIDER_OTHER_VENDOR), kind
        assert "ascend-910c: average of " in found.reason
        assert all(not rule.evidence.source.startswith("Horacehxw") for rule in found.rules)


def test_numbers_that_nobody_measured_say_so():
    for device in ("h100-sxm", "mi300x", "mtt-s4000"):
        found = chosen(device, "pointwise", "")
        assert "usual numbers, assumed" in found.reason
        assert found.rules[0].evidence.method == "assumed, not measured"


def test_a_kernel_that_no_calibration_has_is_unsupported():
    with pytest.raises(Unsupported, match="cannot be modelled: no calibration has attention_decode fp8"):
        chosen("h100-sxm", "attention_decode", "fp8")


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_every_device_has_numbers_for_every_kind_in_bf16(kind):
    for device in sorted(set(known_sheets()) - {LOCAL}):
        found = chosen(device, kind, "bf16" if FORMS[kind].matrix else "")
        low, high = found.band
        assert 0 < low < 1 < high < 10, device


def test_bands_widen_the_further_numbers_travel():
    # All of the same kind: own numbers, the same chip, then the average for its vendor, its class, anyone.
    widths = [high / low for low, high in (chosen(d).band for d in ("h100-sxm", "h200-sxm"))]
    widths += [high / low for low, high in (chosen(d).band for d in ("l40s", "mi300x", "mtt-s4000"))]
    assert widths == sorted(widths)
    assert len(set(widths)) == 5


@pytest.mark.parametrize(
    ("low", "high", "wider", "band"),
    [
        (0.81, 1.21, 1.0, (0.81, 1.21)),
        # 0.9^3 and 1.1^3.
        (0.81, 1.21, 1.5, (0.729, 1.331)),
        (0.81, 1.21, 2.0, (0.6561, 1.4641)),
        # A side that does not reach one is not drawn towards it.
        (1.1, 1.21, 2.0, (1.1, 1.4641)),
    ],
)
def test_a_transfer_widens_a_band_by_a_power(low, high, wider, band):
    found = Evidence(n=9, mape=0.1, median=0.1, bias=1.0, low=low, high=high, source="", method="")
    rule = Rule(kind="pointwise", numbers={"memory": 0.7, "launch_us": 3.0}, evidence=found)
    assert Chosen([rule], "transferred", "", corrected=False, wider=wider).band == pytest.approx(band)


# -- of several libraries -----------------------------------------------------------------------------------------------


def test_software_takes_the_faster_of_two_libraries():
    # One has a short launch and little of the bandwidth, the other the reverse.
    quick = {"memory": 0.1, "launch_us": 2.0}
    bulk = {"memory": 0.5, "launch_us": 10.0}
    found = Evidence(n=9, mape=0.1, median=0.1, bias=1.0, low=0.9, high=1.1, source="", method="")
    rules = [Rule(kind="pointwise", numbers=numbers, evidence=found) for numbers in (quick, bulk)]
    both = Chosen(rules, "calibrated", "", corrected=True, wider=1.0)
    # 1e5 B: 2 + 1 us against 10 + 0.2; 1e7 B: 2 + 100 us against 10 + 20.
    parts = both.price({"moved_bytes": np.array([1e5, 1e7])}, PEAKS, "")
    assert list(parts.seconds) == pytest.approx([3e-6, 30e-6])
    assert list(parts.launch) == pytest.approx([2e-6, 10e-6])
    assert float(both.price({"moved_bytes": 1e7}, PEAKS, "").seconds) == pytest.approx(30e-6)


def test_a_library_that_is_named_is_taken_alone():
    assert len(chosen("h100-sxm", "all_reduce", "").rules) == 2
    assert [rule.library for rule in chosen("h100-sxm", "all_reduce", "", "nccl").rules] == ["nccl"]
    assert len(chosen("h100-sxm", "all_reduce", "", "somebody's").rules) == 2


# -- a person's own -----------------------------------------------------------------------------------------------------


def test_a_profile_of_ones_own_is_used_instead_of_the_shipped_one(own):
    own(MINE, PROFILE)
    found = chosen("h100-sxm")
    assert found.reason == "h100-sxm: calibrated with mine 1.0"
    # 2e9 / 0.5e15 = 4 us and 6 MB / 0.5e12 = 12 us: 12.649 us, launch 5 us.
    assert us(found) == pytest.approx(17.649, abs=0.001)


def test_a_profile_of_ones_own_is_carried_to_other_devices_as_well(own):
    own(MINE, PROFILE)
    found = chosen("h200-sxm")
    assert found.reason == "h200-sxm: numbers of h100-sxm (mine 1.0), the same architecture sm_90"
    assert found.band == pytest.approx((0.729, 1.331))


def test_a_correction_is_a_factor_on_the_formulas_time(own):
    # A constant weight of 0.1: e^0.1 = 1.10517.
    own(MINE, PROFILE + CORRECTION)
    assert us(chosen("h100-sxm")) == pytest.approx(17.6491 * 1.10517, rel=1e-4)


def test_a_correction_is_of_half_an_e_fold_at_most(own):
    # e^0.5 = 1.64872.
    own(MINE, PROFILE + CORRECTION.replace("0.1, 0,", "3.0, 0,"))
    assert us(chosen("h100-sxm")) == pytest.approx(17.6491 * 1.64872, rel=1e-4)


def test_what_a_profile_of_ones_own_lacks_comes_from_the_shipped_one(own):
    own(MINE, PROFILE)
    assert chosen("h100-sxm", "moe").reason.startswith("h100-sxm: calibrated with trtllm")


def test_of_two_of_ones_own_the_newer_comes_first(own):
    own(
        "devices/calibrations/h100-sxm/zz.toml",
        PROFILE.replace("mine 1.0", "older 1.0").replace("2026-11-21", "2020-01-01"),
    )
    own(MINE, PROFILE)
    assert chosen("h100-sxm").reason == "h100-sxm: calibrated with mine 1.0"


# -- what ships ---------------------------------------------------------------------------------------------------------


def test_shipped_profiles_are_of_devices_with_a_sheet():
    devices = {profile.device for profile in shipped()}
    assert {"generic", "a100-sxm-80", "ascend-910c", "b200-sxm", "h100-sxm", "h800-sxm"} <= devices
    assert devices - {"generic"} <= set(known_sheets())


def test_every_shipped_rule_says_where_it_is_from_and_what_it_misses():
    for profile in shipped():
        for rule in profile.rules:
            evidence = rule.evidence
            assert evidence.source, (profile.device, rule.kind)
            if evidence.method == "assumed, not measured":
                assert (profile.device, evidence.n, rule.devices) == ("generic", 0, [])
                continue
            assert "@" in evidence.source or "arXiv:" in evidence.source, (profile.device, rule.kind)
            assert evidence.n > len(FORMS[rule.kind].numbers), (profile.device, rule.kind)
            assert 0 < evidence.median <= 2 * evidence.mape
            # A band that does not reach what the formula says would be a bias that nobody took out.
            assert evidence.low < 1 < evidence.high, (profile.device, rule.kind)
            assert evidence.mape < evidence.roofline_mape, (profile.device, rule.kind)


def test_the_average_says_which_devices_it_is_of():
    for rule in profiles()["generic"].rules:
        assert bool(rule.devices) is (rule.evidence.n > 0), rule.kind
        assert set(rule.devices) <= set(known_sheets())


def test_shipped_engine_numbers_are_of_rows_that_were_left_out():
    found = engine()
    assert found is not None
    assert 0 < found.launch_share <= 1
    assert 0 < found.prefill_share <= 1
    assert found.evidence.n >= 20
    assert found.evidence.low < 1 < found.evidence.high
    assert "half left out of the fit" in found.evidence.method
    assert "@" in found.evidence.source


# -- profiles that are wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("compute = 0.5\n", "", "rule 'gemm' needs the numbers ['compute', 'launch_us', 'memory', 'sharpness'], found"),
        ("compute = 0.5", "compute = -0.5", "rule 'gemm': every number must be above 0, found"),
        ("compute = 0.5", "compute = 0.0", "rule 'gemm': every number must be above 0, found"),
        ("compute = 0.5", "compute = nan", "rule 'gemm': every number must be above 0, found"),
        ("compute = 0.5", "compute = inf", "rule 'gemm': every number must be above 0, found"),
        ("compute = 0.5", 'compute = "half"', "Expected `float`, got `str`"),
        ("low = 0.81", "low = 1.3", "rule 'gemm': low 1.3 and high 1.21 are not in order"),
        ("low = 0.81", "low = -0.1", "rule 'gemm': low -0.1 and high 1.21 are not in order"),
        ("high = 1.21", "high = inf", "rule 'gemm': low 0.81 and high inf are not in order"),
        ('kind = "gemm"', 'kind = "gem"', "kind is 'gem'; known: gemm, batched_gemm"),
        ('device = "h100-sxm"', 'device = "h100-smx"', "device 'h100-smx' has no sheet; did you mean 'h100-sxm'"),
        ('source = "me"\n', "", "missing required field `source`"),
        ("n = 10", "rows = 10", "unknown key 'rows'"),
        ("[rules.numbers]", "[rules.numbers", "not valid TOML"),
    ],
)
def test_a_profile_that_is_wrong_is_one_line_with_its_file(before, after, says, own):
    assert before in PROFILE
    own(MINE, PROFILE.replace(before, after))
    with pytest.raises(DefinitionError) as error:
        chosen("h100-sxm")
    message = str(error.value)
    assert message.startswith(f"{MINE}: ")
    assert says in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("cut", ["low = [0.0, 6.0, 6.0]", "scale = [2.0, 1.0, 1.0]"])
def test_a_correction_of_the_wrong_length_is_refused(cut, own):
    path = own(MINE, PROFILE + CORRECTION.replace(cut, cut.replace("0, ", "0] #", 1)))
    with pytest.raises(DefinitionError, match="a correction needs 3 of low, high, mean, scale each, and 13 weights"):
        load_profile(path)


def test_a_correction_without_all_its_weights_is_refused(own):
    path = own(MINE, PROFILE + CORRECTION.replace("weights = [0.1, 0,", "weights = [0.1,"))
    with pytest.raises(DefinitionError, match="a correction needs 3 of low, high, mean, scale each, and 13 weights"):
        load_profile(path)


ENGINE = """
made = "2026-11-21"
command = "by hand"
step_overhead_us = 100.0
launch_share = 0.5
pointwise_factor = 1.5
prefill_share = 1.0

[evidence]
n = 10
mape = 0.1
median = 0.1
bias = 1.0
low = 0.9
high = 1.1
source = "me"
method = "by hand"
"""


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("launch_share = 0.5", "launch_share = -0.5", "launch_share is -0.5; it must be 0 or more"),
        ("step_overhead_us = 100.0", "step_overhead_us = nan", "step_overhead_us is nan; it must be 0 or more"),
        ("low = 0.9", "low = 1.2", "low 1.2 and high 1.1 are not in order"),
        ("prefill_share = 1.0\n", "", "missing required field `prefill_share`"),
    ],
)
def test_engine_numbers_that_are_wrong_are_one_line_with_their_file(before, after, says, own):
    own("devices/calibrations/engine/serving.toml", ENGINE.replace(before, after))
    with pytest.raises(DefinitionError) as error:
        engine()
    assert str(error.value).startswith("devices/calibrations/engine/serving.toml: ")
    assert says in str(error.value)


def test_engine_numbers_of_ones_own_are_used(own):
    own("devices/calibrations/engine/serving.toml", ENGINE)
    assert msgspec.structs.astuple(engine())[2:6] == (100.0, 0.5, 1.5, 1.0)
