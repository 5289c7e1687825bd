"""Forecasts that any model should beat, from an entity's own past alone.

Each is a whole distribution, so that it has a CRPS and a coverage: a centre, and around it the errors that
the same rule would have made in the past, that many steps ahead. Every error counts with both signs where the
rule says "no change", so that the centre stays the median (Hyndman & Athanasopoulos, Forecasting, 3rd ed.,
§5.2 and 5.5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.inference.compiled import Floats
from posterity.portfolio.scores import quantiles

POINTS = 100
"""Quantiles that stand for a distribution: those at (k - 1/2) / POINTS."""
FEWEST = 4
"""An entity with fewer past errors than this at a lead also borrows those of all others."""
LEVELS = (np.arange(POINTS) + 0.5) / POINTS

NAIVE, DRIFT, SEASONAL = "naive", "drift", "seasonal naive"


@dataclass(frozen=True)
class Past:
    """What was known of an entity at an origin, on the grid of steps that ends there: `values[-1]` belongs to
    the step of the origin, NaN stands where there was no row, `last` is the index of the last one.
    """

    values: Floats
    last: int

    @classmethod
    def of(cls, ahead: NDArray[np.int64], target: Floats) -> "Past | None":
        """From steps (n,), all 0 or less and ascending, and values there; None without any."""
        present = np.isfinite(target)
        if not present.any():
            return None
        steps, values = ahead[present], target[present]
        grid = np.full(1 - int(steps[0]), np.nan)
        grid[steps - steps[0]] = values  # of several rows in one step the last stays
        return cls(grid, int(steps[-1] - steps[0]))

    def changes(self, lag: int) -> Floats:
        """Changes over `lag` steps, wherever both ends are known."""
        if lag >= len(self.values):
            return np.zeros(0)
        found = self.values[lag:] - self.values[:-lag]
        return found[np.isfinite(found)]


def forecasts(
    pasts: Mapping[str, Past], wanted: Sequence[tuple[str, int]], rule: str, season: int | None
) -> Floats:
    """Points (n, POINTS) of the forecast of each wanted (entity, steps ahead); NaN where there is none.

    `naive`: the last value; `drift`: the last value and the changes that followed such values in the past;
    `seasonal naive`: the value one or more whole seasons before.
    """
    pooled: dict[int, Floats] = {}
    found = np.full((len(wanted), POINTS), np.nan)
    for i, (entity, ahead) in enumerate(wanted):
        past = pasts.get(entity)
        placed = None if past is None else _placed(past, ahead, rule, season)
        if past is None or placed is None:
            continue
        centre, lag = placed
        errors = past.changes(lag)
        if len(errors) < FEWEST:
            if lag not in pooled:
                pooled[lag] = np.concatenate([p.changes(lag) for p in pasts.values()])
            errors = np.concatenate([errors, pooled[lag]])
        if not len(errors):
            continue
        spread = errors if rule == DRIFT else np.concatenate([errors, -errors])
        found[i] = quantiles(centre + np.sort(spread)[None], LEVELS)[0]
    return found


def _placed(past: Past, ahead: int, rule: str, season: int | None) -> tuple[Any, int] | None:
    """The centre of a forecast, and over how many steps it is made."""
    end = len(past.values) - 1
    if rule != SEASONAL:
        return past.values[past.last], end - past.last + ahead
    assert season is not None
    lag = season * -(-ahead // season)
    place = end + ahead - lag
    return (past.values[place], lag) if place >= 0 and np.isfinite(past.values[place]) else None
