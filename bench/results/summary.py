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

# What an interval's words say where samples drift.
WITH_TREND = "out to the medians of the first and last third, as the samples drift"


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
    return half_width(median_interval(samples), median(samples))


def steady_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Return the interval of the median, out to the medians of the first and the last third where there is a trend.

    Samples that drift are no draws of one distribution: where the time settles lies nearer to one of these ends than
    the median's own interval knows. None for too few samples.
    """
    interval, ends = median_interval(samples), _trend_ends(samples)
    if interval is None or ends is None:
        return interval
    return min(interval[0], *ends), max(interval[1], *ends)


def half_width(interval: tuple[float, float] | None, value: float) -> float:
    """Return half the width of an interval over the value; infinite where there is none."""
    return math.inf if interval is None else (interval[1] - interval[0]) / 2 / value


def percentile(samples: Sequence[float], share: float, fewest: int) -> float | None:
    """Return a percentile, or None where there are too few samples to tell."""
    if len(samples) < fewest:
        return None
    return float(np.quantile(np.asarray(samples, dtype=np.float64), share))


def oddities(samples: Sequence[float]) -> list[str]:
    """Return what a reader should know of the samples: a trend, or two levels."""
    values, ends = np.asarray(samples, dtype=np.float64), _trend_ends(samples)
    found = [] if ends is None else [f"trend {ends[1] / ends[0] - 1:+.0%}"]
    if len(values) >= 20 and _two_levels(values):
        found.append("two levels")
    return found


def _trend_ends(samples: Sequence[float]) -> tuple[float, float] | None:
    """The medians of the first and the last third, where they differ by more than the samples' noise."""
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 12:
        return None
    thirds = np.array_split(values, 3)
    first, last = float(np.median(thirds[0])), float(np.median(thirds[2]))
    # Around each third's own median: around that of all, a trend is its own noise and is never seen.
    apart = np.concatenate([third - np.median(third) for third in thirds])
    noise = float(np.median(np.abs(apart)) / np.median(values))
    return (first, last) if abs(last / first - 1) > max(0.03, 5 * noise) else None


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
