"""What the model misses on measured kernels, told beside what a plain roofline misses."""

from __future__ import annotations

import pytest

from bench.devices.emulated.table import Timed, read_table
from bench.devices.emulated.validate import WORST, Validated, validate
from bench.errors import DefinitionError


def gemm(seconds: float, line: int = 2, device: str = "h100-sxm", software: str = "", **keys) -> Timed:
    text = {"kind": "gemm", "dtype": "bf16", "routing": "", "note": "", "source": ""} | keys
    return Timed(line, device, software=software, dims={"m": 64.0, "n": 4096.0, "k": 4096.0}, seconds=seconds, **text)


def one(rows: list[Timed]) -> Validated:
    (found,) = validate(rows, "mine.csv")
    return found


@pytest.fixture
def modelled_s() -> float:
    """What an H100's product of 64 x 4096 x 4096 is modelled to take."""
    return one([gemm(1e-5)]).worst[0].modelled_s


def test_errors_are_of_modelled_over_measured(modelled_s):
    # Modelled twice and 0.8 times of what was measured: 100 % and 20 %.
    found = one([gemm(modelled_s / 2), gemm(modelled_s / 0.8)])
    assert (found.n, found.mape, found.median) == (2, pytest.approx(0.6), pytest.approx(0.6))
    # sqrt(2 x 0.8).
    assert found.bias == pytest.approx(1.6**0.5)


def test_a_row_is_inside_where_the_stated_band_holds_it(modelled_s):
    assert one([gemm(modelled_s)]).inside == 1.0
    assert one([gemm(modelled_s), gemm(modelled_s * 3), gemm(modelled_s / 3), gemm(modelled_s)]).inside == 0.5


def test_the_worst_rows_come_first_with_their_lines(modelled_s):
    found = one([gemm(modelled_s * factor, line) for line, factor in enumerate((1.0, 0.25, 2.0, 8.0), 2)])
    # Too slow by 8, too fast by 4, too slow by 2.
    assert [row.line for row in found.worst] == [5, 3, 4, 2]
    assert found.worst[0].measured_s == pytest.approx(8 * modelled_s)
    assert found.worst[0].modelled_s == pytest.approx(modelled_s)
    assert found.worst[0].dims == {"m": 64.0, "n": 4096.0, "k": 4096.0}


def test_no_more_than_ten_worst_rows_are_kept():
    assert WORST == 10
    assert len(one([gemm(1e-5, line) for line in range(2, 40)]).worst) == 10


def test_a_rooflines_error_stands_beside_the_models(modelled_s):
    # (64 + 4096) x 4096 x 2 + 2 x 64 x 4096 B = 34.6 MB at 3.35e12 B/s = 10.33 us, computing takes 2.2 us.
    found = one([gemm(20.66e-6)])
    assert found.roofline_mape == pytest.approx(0.5, abs=0.001)


def test_groups_are_told_apart_by_device_kind_and_dtype(kernels_csv):
    rows = read_table(kernels_csv)
    found = validate(rows, "mine.csv")
    assert len(found) == len({(row.device, row.kind, row.dtype) for row in rows})
    assert sum(each.n for each in found) == len(rows)


def test_a_kind_without_a_formula_is_counted_and_not_guessed(kernels_csv):
    found = {each.kind: each for each in validate(read_table(kernels_csv), "mine.csv", "ascend-910c")}
    other = found["other"]
    assert (other.tier, other.mape, other.inside, other.reason) == (None, None, None, "no formula for this kind")
    assert other.n > 0


def test_a_device_whose_sheet_lacks_a_peak_is_told_and_not_guessed():
    found = one([gemm(1e-5, device="enflame-s60")])
    assert (found.tier, found.mape) == (None, None)
    assert found.reason == "cannot be modelled: no published bf16 peak in enflame-s60"


def test_a_tier_is_the_one_that_the_device_gets():
    assert one([gemm(1e-5)]).tier == "calibrated"
    assert one([gemm(1e-5, device="h200-sxm")]).tier == "transferred"
    assert one([gemm(1e-5, device="mtt-s4000")]).tier == "sheet"


def test_only_one_devices_rows_are_compared_where_it_is_named():
    rows = [gemm(1e-5), gemm(1e-5, device="h20")]
    assert [each.device for each in validate(rows, "mine.csv", "h20")] == ["h20"]
    with pytest.raises(DefinitionError, match=r"mine.csv: no rows of device 'h800-sxm'"):
        validate(rows, "mine.csv", "h800-sxm")


# -- the sample ---------------------------------------------------------------------------------------------------------


def test_every_calibrated_kind_misses_less_than_its_roofline(kernels_csv):
    calibrated = [each for each in validate(read_table(kernels_csv), "mine.csv") if each.tier == "calibrated"]
    assert len(calibrated) > 25
    for each in calibrated:
        assert each.mape < each.roofline_mape, (each.device, each.kind, each.dtype)


def test_the_stated_bands_hold_about_the_share_that_they_state(kernels_csv):
    found = [each for each in validate(read_table(kernels_csv), "mine.csv") if each.tier == "calibrated"]
    rows = sum(each.n for each in found)
    # P10 to P90 would be 80 %; these rows were part of the fit, so a little more.
    assert 0.6 < sum(each.inside * each.n for each in found) / rows < 0.97
    assert rows > 300


def test_the_sample_is_met_within_a_fifth(kernels_csv):
    for each in validate(read_table(kernels_csv), "mine.csv"):
        if each.tier == "calibrated":
            assert each.mape < 0.2, (each.device, each.kind, each.dtype)
            assert 0.8 < each.bias < 1.25, (each.device, each.kind, each.dtype)
