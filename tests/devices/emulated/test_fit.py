"""Fits: numbers that are known come back, and evidence is of rows that the fit had not seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.devices.emulated.fit import FOLDS, SEED, Sample, fit_rule
from bench.devices.emulated.form import Peaks
from bench.devices.emulated.forms import FORMS
from bench.errors import DefinitionError

PEAKS = Peaks(1e15, 3e12, 50e6, 450e9, 8, 50e9)
# Mean of |exp(0.05 z) - 1| for a normal z: 0.05 x sqrt(2 / pi) = 4 %; P10 is exp(-1.2816 x 0.05).
NOISE, NOISE_MAPE, NOISE_LOW, NOISE_HIGH = 0.05, 0.040, 0.938, 1.066


def spread(generator, low, high, count, whole=True):
    """Values that are spread evenly over orders of magnitude."""
    values = np.exp(generator.uniform(np.log(low), np.log(high), count))
    return np.round(values) if whole else values


def dims_of(kind: str, count: int, generator) -> dict[str, np.ndarray]:
    def pick(low, high):
        return spread(generator, low, high, count)

    ones = np.ones(count)
    if kind in ("gemm", "batched_gemm"):
        alone = {"m": pick(1, 16384), "n": pick(512, 16384), "k": pick(512, 16384)}
        return alone if kind == "gemm" else alone | {"batch": pick(1, 64)}
    if kind in ("attention_prefill", "mla_prefill"):
        widths = (128, 128) if kind == "attention_prefill" else (192, 128)
        length = pick(128, 32768)
        return {
            "batch": pick(1, 8), "heads": pick(4, 64), "kv_heads": pick(1, 4), "head_dim": widths[0] * ones,
            "v_dim": widths[1] * ones, "q_len": length, "kv_len": length,
        }  # fmt: skip
    if kind == "mla_decode":
        return {
            "batch": pick(1, 512), "heads": pick(8, 128), "head_dim": 576 * ones, "v_dim": 512 * ones, "q_len": ones,
            "kv_len": pick(128, 65536),
        }  # fmt: skip
    if kind in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all"):
        return {"ranks": generator.choice([2.0, 4.0, 8.0], count), "message_bytes": pick(512, 1e9)}
    if kind in ("ep_dispatch", "ep_combine"):
        return {"ranks": generator.choice([8.0, 16.0, 32.0, 64.0], count), "message_bytes": pick(1e4, 1e9)}
    assert kind == "pointwise"
    return {"moved_bytes": pick(1e3, 1e9)}


def made(kind: str, numbers: dict[str, float], count: int, noise: float = NOISE, dtype: str = "bf16") -> Sample:
    """A sample whose times come from known numbers and seeded noise."""
    generator = np.random.Generator(np.random.Philox(key=[1, count]))
    dims = dims_of(kind, count, generator)
    seconds = np.broadcast_to(FORMS[kind].price(numbers, dims, PEAKS, 2.0).seconds, (count,))
    return Sample(kind, dtype, dims, seconds * np.exp(noise * generator.standard_normal(count)), PEAKS, np.ones(count))


TRUTHS = {
    "gemm": {"compute": 0.62, "memory": 0.9, "launch_us": 7.0, "sharpness": 2.0},
    "batched_gemm": {"compute": 0.4, "memory": 0.6, "launch_us": 9.0, "sharpness": 3.0},
    "attention_prefill": {"compute": 0.45, "ramp_tokens": 300.0, "launch_us": 22.0, "memory": 0.6},
    "mla_decode": {"compute": 0.5, "memory": 0.7, "launch_us": 20.0, "sharpness": 2.0},
    "all_reduce": {"launch_us": 6.0, "per_rank_us": 2.0, "link_quick": 0.3, "link_bulk": 0.7, "bulk_launch": 4.0},
    "ep_dispatch": {"launch_us": 20.0, "per_rank_us": 0.8, "near": 0.5, "far": 0.8},
    "pointwise": {"memory": 0.6, "launch_us": 4.0},
}
# Where computing and reading meet, a p-norm's corner and its two shares stand in for one another.
LOOSE = {"sharpness": 0.2}


@pytest.mark.parametrize("kind", TRUTHS)
def test_known_numbers_come_back(kind):
    rule = fit_rule(made(kind, TRUTHS[kind], 400), "", "made", "made.csv")
    for name, truth in TRUTHS[kind].items():
        if kind == "attention_prefill" and name in ("ramp_tokens", "memory"):
            continue  # both grow with a prompt's length; only their sum is told apart from computing
        assert rule.numbers[name] == pytest.approx(truth, rel=LOOSE.get(name, 0.1)), name


def test_all_numbers_of_prompt_attention_come_back_where_there_is_little_noise():
    truth = TRUTHS["attention_prefill"]
    numbers = fit_rule(made("attention_prefill", truth, 400, noise=0.002), "", "made", "made.csv").numbers
    assert numbers == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize("kind", TRUTHS)
def test_evidence_is_the_noise_that_was_put_in(kind):
    evidence = fit_rule(made(kind, TRUTHS[kind], 400), "", "made", "made.csv").evidence
    assert evidence.n == 400
    assert evidence.mape == pytest.approx(NOISE_MAPE, rel=0.15)
    assert evidence.bias == pytest.approx(1.0, abs=0.01)
    assert (evidence.low, evidence.high) == (pytest.approx(NOISE_LOW, abs=0.015), pytest.approx(NOISE_HIGH, abs=0.015))


def test_the_median_of_the_noise_is_told_as_well():
    # Two thirds of a deviation: 0.6745 x 0.05 = 3.4 %.
    evidence = fit_rule(made("gemm", TRUTHS["gemm"], 400), "", "made", "made.csv").evidence
    assert evidence.median == pytest.approx(0.034, rel=0.15)


def test_rows_without_noise_are_met_exactly():
    evidence = fit_rule(made("gemm", TRUTHS["gemm"], 200, noise=0.0), "", "made", "made.csv").evidence
    assert evidence.mape < 0.005


def test_a_table_of_pure_noise_does_not_claim_to_be_accurate():
    generator = np.random.Generator(np.random.Philox(key=[2, 0]))
    sample = made("gemm", TRUTHS["gemm"], 60)
    # Times between a microsecond and a second that have nothing to do with the sizes.
    nonsense = Sample("gemm", "bf16", sample.dims, spread(generator, 1e-6, 1, 60, whole=False), PEAKS, np.ones(60))
    evidence = fit_rule(nonsense, "", "made", "made.csv").evidence
    assert evidence.mape > 1
    assert evidence.high / evidence.low > 30


def test_evidence_is_of_rows_left_out_and_so_worse_than_the_fit_itself():
    # Much noise, and a correction of thirteen terms on sixty rows: in sample it looks better than it is.
    sample = made("gemm", TRUTHS["gemm"], 60, noise=0.4)
    rule = fit_rule(sample, "", "made", "made.csv")
    again = rule.price(sample.dims, PEAKS, "bf16").seconds
    in_sample = float(np.abs(again / sample.seconds - 1).mean())
    assert rule.evidence.mape > in_sample


def test_one_row_that_is_far_off_is_in_the_evidence_and_hardly_in_the_numbers():
    sample = made("gemm", TRUTHS["gemm"], 200)
    sample.seconds[7] *= 100
    rule = fit_rule(sample, "", "made", "made.csv")
    assert rule.numbers["compute"] == pytest.approx(0.62, rel=0.07)
    # 199 rows of 4 % and one that is 99 % off.
    assert rule.evidence.mape == pytest.approx((199 * NOISE_MAPE + 0.99) / 200, rel=0.15)


def test_the_split_is_seeded_so_that_evidence_is_the_same_twice():
    first, second = (fit_rule(made("gemm", TRUTHS["gemm"], 90), "", "made", "made.csv") for _ in range(2))
    assert first == second
    assert first.evidence.method == f"{FOLDS} folds, seed {SEED}"


# -- few rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_fewer_rows_than_numbers_are_refused_with_how_many_are_needed(kind):
    numbers = len(FORMS[kind].numbers)
    row = np.ones(numbers)
    sample = Sample(kind, "bf16", {"m": row}, row, PEAKS, row)
    with pytest.raises(DefinitionError) as error:
        fit_rule(sample, "", "made", "made.csv")
    assert f"made.csv: {numbers} rows of {kind} bf16 cannot fit {numbers} numbers; give {numbers + 1} or more" == str(
        error.value
    )


def test_a_few_rows_stay_near_the_usual_numbers():
    # Six tiny products say nothing of the peak: its share stays what it usually is.
    dims = {"m": np.full(6, 1.0), "n": np.full(6, 512.0), "k": np.array([512.0, 600, 700, 800, 900, 1000])}
    sample = Sample("gemm", "bf16", dims, np.full(6, 5e-6), PEAKS, np.ones(6))
    usual = {"compute": 0.55, "memory": 0.8, "launch_us": 5.0, "sharpness": 2.5}
    numbers = fit_rule(sample, "", "made", "made.csv", start=usual).numbers
    assert numbers["compute"] == pytest.approx(0.55, rel=0.02)
    assert numbers["launch_us"] == pytest.approx(4.7, rel=0.1)


# -- the correction -----------------------------------------------------------------------------------------------------


def test_a_correction_is_left_out_where_the_formula_says_all():
    assert fit_rule(made("gemm", TRUTHS["gemm"], 400), "", "made", "made.csv").correction is None


def test_a_correction_of_noise_alone_is_not_kept():
    # Thirteen terms on sixty rows of noise: they would fit what they have seen by a tenth better, and nothing else.
    truth, count = TRUTHS["gemm"], 60
    sample = made("gemm", truth, count, noise=0.4)
    rule = fit_rule(sample, "", "made", "made.csv")
    assert rule.correction is None
    exact = FORMS["gemm"].price(truth, sample.dims, PEAKS, 2.0).seconds
    assert rule.evidence.mape > 0.97 * float(np.abs(exact / sample.seconds - 1).mean())


def test_a_correction_is_kept_where_it_helps_rows_that_it_had_not_seen():
    sample = made("gemm", TRUTHS["gemm"], 400)
    bent = np.exp(0.15 * np.sin(np.log(sample.dims["m"]) / 2))
    sample = Sample("gemm", "bf16", sample.dims, sample.seconds * bent, PEAKS, np.ones(400))
    rule = fit_rule(sample, "", "made", "made.csv")
    assert rule.correction is not None
    plain = rule.price(sample.dims, PEAKS, "bf16", corrected=False).seconds
    assert rule.evidence.mape < 0.8 * float(np.abs(plain / sample.seconds - 1).mean())


def test_a_correction_needs_four_rows_a_term():
    # Products have 1 + 3 + 6 + 3 = 13 terms: 51 rows are too few whatever they show, 52 are enough.
    for count, kept in ((51, False), (52, True)):
        sample = made("gemm", TRUTHS["gemm"], count, noise=0.0)
        bent = sample.seconds * np.exp(0.3 * np.sin(np.log(sample.dims["m"]) / 2))
        rule = fit_rule(Sample("gemm", "bf16", sample.dims, bent, PEAKS, np.ones(count)), "", "made", "made.csv")
        assert (rule.correction is not None) is kept


def test_a_correction_stays_what_it_was_at_the_edge_of_what_was_measured():
    sample = made("gemm", TRUTHS["gemm"], 200)
    bent = sample.seconds * np.exp(0.1 * np.log(sample.dims["m"] / 100))
    rule = fit_rule(Sample("gemm", "bf16", sample.dims, bent, PEAKS, np.ones(200)), "", "made", "made.csv")
    assert rule.correction is not None
    # Logarithms of m, n and k; m was at most 16384, which is 2^14.
    inside, outside = ([np.log(m), np.log(4096.0), np.log(4096.0)] for m in (2.0**14, 2.0**20))
    assert rule.correction.of(outside) == pytest.approx(rule.correction.of(inside), rel=0.01)
    assert max(rule.correction.high) < math.log(2.0**14) + 0.01
