"""Fits a profile's rules to measured kernels, and says honestly what they miss.

Numbers are fitted on the logarithm of time with a robust loss; a few rows are pulled towards the usual numbers so that
fifteen rows do not decide five numbers alone. Errors are of rows left out: five folds, split by a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.devices.emulated.correction import Correction, terms
from bench.devices.emulated.form import Dims, Form, Peaks
from bench.devices.emulated.forms import element_bytes, form_of, roofline
from bench.devices.emulated.profile import Evidence, Rule
from bench.errors import DefinitionError
from bench.units import counted

Array = NDArray[np.float64]
Index = NDArray[np.intp]

FOLDS = 5
SEED = 20261121
SOFT = 0.1
# Weight of the pull towards the usual numbers, in rows: strong for ten rows, nothing for hundreds.
PRIOR_ROWS = 0.15
RIDGE = 1e-4
ROWS_PER_TERM = 4
# A correction must lower the error of unseen rows by this share, or it is left out.
WORTH = 0.95


@dataclass(frozen=True)
class Sample:
    """Rows of one kind and dtype on one or several devices: dimensions, times, peaks (arrays where devices differ)."""

    kind: str
    dtype: str
    dims: Dims
    seconds: Array
    peaks: Peaks
    weights: Array
    # Another formula than the kind's own.
    other: str = ""

    @property
    def form(self) -> Form:
        return form_of(self.kind, self.other)

    def take(self, index: Index) -> Sample:
        """Return a part of the rows."""
        dims: Dims = {name: np.asarray(values)[index] for name, values in self.dims.items()}
        fields = {name: _part(getattr(self.peaks, name), index) for name in self.peaks.__dataclass_fields__}
        return replace(self, dims=dims, seconds=self.seconds[index], peaks=Peaks(**fields), weights=self.weights[index])

    @property
    def width(self) -> float:
        return element_bytes(self.dtype or "bf16")


def _part(value: Any, index: Index) -> Any:
    return value[index] if isinstance(value, np.ndarray) else value


def fit_rule(sample: Sample, library: str, source: str, where: str, start: dict[str, float] | None = None) -> Rule:
    """Return the rule of a sample with its out-of-fit evidence.

    start: numbers to begin from and to be pulled towards (default: the formula's usual ones).
    Raises: DefinitionError when there are fewer rows than numbers to fit.
    """
    form = sample.form
    n, needed = len(sample.seconds), len(form.numbers) + 1
    if n < needed:
        raise DefinitionError(
            f"{where}: {counted(n, 'row')} of {sample.kind} {sample.dtype} cannot fit"
            f" {counted(needed - 1, 'number')}; give {needed} or more"
        )
    usual = start or {name: first for name, (first, _, _) in form.numbers.items()}
    folds = np.random.Generator(np.random.Philox(key=[SEED, n])).permutation(n) % FOLDS
    plain, corrected = np.zeros(n), np.zeros(n)
    enough = n >= ROWS_PER_TERM * _terms(sample)
    for fold in range(FOLDS):
        left_in, left_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(left_out) == 0:
            continue
        numbers = _fit_numbers(sample.take(left_in), usual)
        plain[left_out] = _log_time(sample.take(left_out), numbers)
        if enough:
            correction = _fit_correction(sample.take(left_in), numbers)
            features = form.features(sample.take(left_out).dims)
            corrected[left_out] = plain[left_out] + np.log(correction.of(features))
    numbers = _fit_numbers(sample, usual)
    use = enough and _mape(corrected, sample) < WORTH * _mape(plain, sample)
    method = f"{FOLDS} folds, seed {SEED}"
    return Rule(
        kind=sample.kind,
        dtype=sample.dtype,
        library=library,
        form=sample.other,
        numbers={name: _rounded(value) for name, value in numbers.items()},
        correction=_fit_correction(sample, numbers) if use else None,
        evidence=evidence(sample, corrected if use else plain, source, method),
    )


def evidence(sample: Sample, log_predicted: Array, source: str, method: str) -> Evidence:
    """Return what predictions missed: of rows that the numbers behind them had not seen."""
    ratio = np.exp(log_predicted) / sample.seconds
    error = np.abs(ratio - 1)
    naive = np.abs(roofline(sample.kind, sample.dims, sample.peaks, sample.width) / sample.seconds - 1)
    return Evidence(
        n=len(ratio),
        mape=_rounded(float(error.mean())),
        median=_rounded(float(np.median(error))),
        bias=_rounded(float(np.exp(np.log(ratio).mean()))),
        low=_rounded(float(np.quantile(1 / ratio, 0.1))),
        high=_rounded(float(np.quantile(1 / ratio, 0.9))),
        roofline_mape=_rounded(float(naive.mean())),
        source=source,
        method=method,
    )


def _mape(log_predicted: Array, sample: Sample) -> float:
    return float(np.abs(np.exp(log_predicted) / sample.seconds - 1).mean())


def _log_time(sample: Sample, numbers: dict[str, float]) -> Array:
    parts = sample.form.price(numbers, sample.dims, sample.peaks, sample.width)
    return np.asarray(np.log(parts.seconds), dtype=np.float64)


def fit_numbers(sample: Sample) -> dict[str, float]:
    """Return the numbers that fit a sample best, for a rule whose evidence comes from elsewhere."""
    return _fit_numbers(sample, {name: first for name, (first, _, _) in sample.form.numbers.items()})


def _fit_numbers(sample: Sample, usual: dict[str, float]) -> dict[str, float]:
    from scipy.optimize import least_squares

    form = sample.form
    names = list(form.numbers)
    least = np.log([form.numbers[name][1] for name in names])
    most = np.log([form.numbers[name][2] for name in names])
    first = np.clip(np.log([usual[name] for name in names]), least + 1e-6, most - 1e-6)
    target = np.log(sample.seconds)
    pull = np.sqrt(PRIOR_ROWS) * SOFT

    def missed(logs: Array) -> Array:
        numbers = dict(zip(names, np.exp(logs), strict=True))
        off = (_log_time(sample, numbers) - target) * sample.weights
        return np.concatenate([off, pull * (logs - first)])

    found: Callable[..., Any] = least_squares
    best: Any = None
    for start in ({}, *form.starts):
        begin = np.clip([np.log(start[n]) if n in start else x for n, x in zip(names, first, strict=True)], least, most)
        inside = np.clip(begin, least + 1e-6, most - 1e-6)
        result = found(missed, inside, bounds=(least, most), loss="soft_l1", f_scale=SOFT, max_nfev=300)
        best = result if best is None or result.cost < best.cost else best
    return {name: float(value) for name, value in zip(names, np.exp(best.x), strict=True)}


def _terms(sample: Sample) -> int:
    features = sample.form.features(sample.take(np.arange(1)).dims)
    return len(terms(features)) if features else 10**9


def _fit_correction(sample: Sample, numbers: dict[str, float]) -> Correction:
    """Ridge regression of what the formula misses on a cubic in the logarithms of the dimensions."""
    raw = [np.asarray(x, dtype=np.float64) for x in sample.form.features(sample.dims)]
    mean, scale = [float(x.mean()) for x in raw], [float(x.std()) + 1e-9 for x in raw]
    design = np.stack(terms([(x - m) / s for x, m, s in zip(raw, mean, scale, strict=True)]), axis=1)
    missed = np.log(sample.seconds) - _log_time(sample, numbers)
    penalty = RIDGE * len(design) * np.eye(design.shape[1])
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ missed)
    return Correction(
        low=[_rounded(float(x.min())) for x in raw],
        high=[_rounded(float(x.max())) for x in raw],
        mean=[_rounded(value) for value in mean],
        scale=[_rounded(value) for value in scale],
        weights=[_rounded(float(value)) for value in weights],
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
