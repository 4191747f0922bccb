"""95% intervals of the benchmarks: Student's t on what documents, or seeds, leave of the ratio of two sums.

docs/methods.md says why.
"""

import numpy
from scipy import stats


def interval(sums, weights):
    """Σ sums / Σ weights with both ends of its interval; NaN for the ends of fewer than two.

    @param weights: tokens of each document, 1 of each seed
    """
    sums, weights = numpy.asarray(sums, float), numpy.asarray(weights, float)
    n, ratio = len(sums), sums.sum() / weights.sum()
    if n < 2:
        return ratio, numpy.nan, numpy.nan
    half = stats.t.ppf(0.975, n - 1) * numpy.sqrt(n / (n - 1) * ((sums - ratio * weights) ** 2).sum()) / weights.sum()
    return ratio, ratio - half, ratio + half


def in_words(sums, weights):
    """+0.0741 [+0.0710, +0.0773]; without an interval where there is none."""
    ratio, low, high = interval(sums, weights)
    return f"{ratio:+.4f}" if numpy.isnan(low) else f"{ratio:+.4f} [{low:+.4f}, {high:+.4f}]"
