"""What a formula leaves: a factor on its time, smooth in the logarithms of a kernel's dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from bench.operators.kernel import Dim

MOST_CORRECTION = 0.5


class Correction(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A cubic polynomial in standardised logarithms of dimensions, held constant outside the fitted range."""

    low: list[float]
    high: list[float]
    mean: list[float]
    scale: list[float]
    weights: list[float]

    def of(self, features: Sequence[Dim]) -> Dim:
        """Return the factor on the formula's time."""
        clipped = [np.clip(x, lo, hi) for x, lo, hi in zip(features, self.low, self.high, strict=True)]
        standard = [(x - m) / s for x, m, s in zip(clipped, self.mean, self.scale, strict=True)]
        logarithm = sum((w * term for w, term in zip(self.weights, terms(standard), strict=True)), start=0.0)
        return np.asarray(np.exp(np.clip(logarithm, -MOST_CORRECTION, MOST_CORRECTION)))


def terms(x: Sequence[Dim]) -> list[Dim]:
    """Return 1, x, all products of two, and cubes."""
    ones: Dim = np.ones_like(np.asarray(x[0], dtype=np.float64))
    squares = [a * b for i, a in enumerate(x) for b in x[i:]]
    return [ones, *x, *squares, *(a * a * a for a in x)]
