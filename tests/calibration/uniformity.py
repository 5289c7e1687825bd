"""Are ranks uniform? The two tests of statistics.md §6, on the probability integral transform of ranks."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from arviz_stats.ecdf_utils import compute_ecdf, ecdf_pit
from numpy.typing import NDArray
from scipy.stats import chi2

type Floats = NDArray[np.float64]

LEVEL = 0.01
"""Probability that a calibrated suite is called miscalibrated, over all its quantities (Bonferroni)."""


def pit(truth: float, draws: Floats, rng: np.random.Generator) -> float:
    """Rank of the truth among draws as a number in (0, 1); ties and the place within a rank are
    randomised.
    """
    below, equal = np.sum(draws < truth), np.sum(draws == truth)
    return float((below + rng.integers(0, equal + 1) + rng.random()) / (len(draws) + 1))


def departures(transforms: Mapping[str, Floats]) -> list[str]:
    """The quantities whose transforms (one a simulation) are not uniform, with the test that says so."""
    level = LEVEL / (2 * len(transforms))
    found = []
    for name, values in transforms.items():
        if (p := mean_and_spread(values)) < level:
            found.append(f"{name}: mean and spread, p = {p:.1e}")
        if outside_envelope(values, level):
            found.append(f"{name}: outside the simultaneous envelope of the ECDF")
    return found


def mean_and_spread(values: Floats) -> float:
    """p-value of the mean and the mean squared distance from 1/2, jointly χ² with two degrees of freedom.

    Under uniformity the two are uncorrelated, with variances 1/12 and 1/180 an observation.
    """
    n, centred = len(values), values - 0.5
    shift = centred.mean() * np.sqrt(12 * n)
    spread = ((centred**2).mean() - 1 / 12) * np.sqrt(180 * n)
    return float(chi2.sf(shift**2 + spread**2, 2))


def outside_envelope(values: Floats, level: float) -> bool:
    """Whether the ECDF leaves the simultaneous envelope (Säilynoja et al., Stat Comput 32:32, 2022)."""
    points, lower, upper = _envelope(len(values), level)
    ecdf = compute_ecdf(values, points)
    return bool(np.any(ecdf < lower) or np.any(ecdf > upper))


@cache
def _envelope(size: int, level: float) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(1)
    points, _, lower, upper = ecdf_pit(rng.random(size), 1 - level, 4_000, rng=rng)
    return points[1:-1], lower[1:-1], upper[1:-1]
