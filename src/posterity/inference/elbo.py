"""The evidence lower bound along an optimisation, thin enough to keep and to draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posterity.inference.posterior import Floats

POINTS = 200
"""Points that a curve has at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Means of the bound over windows of steps, (k,), k at most `POINTS`; `steps` are where these end."""

    steps: NDArray[np.int64]
    elbo: Floats


def curve(losses: Floats) -> Curve:
    """The curve of minus the bound (steps,), one noisy value a step."""
    count = min(POINTS, len(losses))
    ends = np.linspace(0, len(losses), count + 1).astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    return Curve(ends[1:], -np.diff(sums[ends]) / np.diff(ends))
