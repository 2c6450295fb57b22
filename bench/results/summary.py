"""Statistics of samples: the median, its interval, what is odd about the samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Fewer samples than this cannot bear a 95 % interval of the median: P(all on one side) = 2 * 0.5**n > 5 %.
FEWEST_FOR_INTERVAL = 6
# A percentile is printed only where about three samples lie beyond it.
FEWEST_FOR_P90 = 30
FEWEST_FOR_P99 = 300


def median(samples: Sequence[float]) -> float:
    """Return the median."""
    return float(np.median(np.asarray(samples, dtype=np.float64)))


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the distribution-free interval of the median from order statistics, or None for too few samples.

    The number of samples below the true median is binomial(n, 1/2); the interval runs between the two order
    statistics that hold at least `confidence` of it. Source: Hahn and Meeker, Statistical Intervals, section 5.2.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    rank = _lower_rank(n, confidence)
    if rank is None:
        return None
    return float(ordered[rank]), float(ordered[n - 1 - rank])


def _lower_rank(n: int, confidence: float) -> int | None:
    """Largest 0-based rank r such that [r, n-1-r] holds the median with the confidence, or None."""
    tail, best = 0.0, None
    for below in range(n // 2):
        tail += math.exp(math.lgamma(n + 1) - math.lgamma(below + 1) - math.lgamma(n - below + 1) - n * math.log(2))
        if 2 * tail > 1 - confidence:
            break
        best = below
    return best


def relative_half_width(samples: Sequence[float]) -> float:
    """Return half the width of the median's interval over the median; infinite for too few samples."""
    interval = median_interval(samples)
    if interval is None:
        return math.inf
    return (interval[1] - interval[0]) / 2 / median(samples)


def percentile(samples: Sequence[float], share: float, fewest: int) -> float | None:
    """Return a percentile, or None where there are too few samples to tell."""
    if len(samples) < fewest:
        return None
    return float(np.quantile(np.asarray(samples, dtype=np.float64), share))


def oddities(samples: Sequence[float]) -> list[str]:
    """Return what a reader should know of the samples: a trend, or two levels."""
    values = np.asarray(samples, dtype=np.float64)
    found: list[str] = []
    if len(values) >= 12:
        thirds = np.array_split(values, 3)
        drift = float(np.median(thirds[2]) / np.median(thirds[0]) - 1)
        # Around each third's own median: around that of all, a trend is its own noise and is never seen.
        apart = np.concatenate([third - np.median(third) for third in thirds])
        noise = float(np.median(np.abs(apart)) / np.median(values))
        if abs(drift) > max(0.03, 5 * noise):
            found.append(f"trend {drift:+.0%}")
    if len(values) >= 20 and _two_levels(values):
        found.append("two levels")
    return found


def _two_levels(values: NDArray[np.float64]) -> bool:
    """Whether the sorted samples fall into two groups, each of a fifth or more, with a wide gap between."""
    ordered = np.sort(values)
    n = len(ordered)
    gaps = np.diff(ordered)[n // 5 : n - n // 5 - 1]
    if len(gaps) == 0:
        return False
    cut = int(np.argmax(gaps)) + n // 5 + 1
    low, high = ordered[:cut], ordered[cut:]
    spread = max(float(np.ptp(low)), float(np.ptp(high)))
    return float(high[0] - low[-1]) > spread and float(high[0] / low[-1]) > 1.05
