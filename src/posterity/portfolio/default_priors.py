"""Priors of a formula's coefficients that were given none: wide on the scale of columns and target."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config import Config
from posterity.config.design import Design, DesignTerm
from posterity.models import Description
from posterity.models.design import matrix

type Columns = Mapping[str, NDArray[Any]]

WIDTH = 2.5
"""Default sd of a coefficient: what one sd of its column changes, in sds of the target where the quantity is
its mean, else in units of the quantity (Gelman et al., Annals of Applied Statistics 2:1360, 2008; the default
of rstanarm and bambi)."""
DIGITS = 3
"""Significant digits of the default priors: people read them."""


class Defaults:
    """Priors for coefficients without one, in plain values.

    A coefficient is Normal(0, 2.5 s / d), where d is the sd of its column, or the distance of its two values,
    or 1 for categories; the sd between groups is HalfNormal(s / d). Where the quantity is the mean of the
    target and the family one of location and scale, s is the sd of the target, and the intercept is around
    the target's mean; else s is 1. The intercept is as wide as the other terms together need it to be where
    their columns are not centred.
    """

    def __init__(self, centre: float, scale: float, means: Mapping[str, float], sds: Mapping[str, float]):
        self._centre, self._scale, self._means, self._sds = centre, scale, means, sds

    @classmethod
    def of(
        cls, config: Config, description: Description, name: str, made: Design, columns: Columns
    ) -> "Defaults":
        """Those of the quantity `name`, from its columns and the target (n,) of the first panel."""
        centre, scale = 0.0, 1.0
        if config.model.observed.get("mu") == name and config.model.family.location_scale:
            target = columns[description.target]
            target = target[np.isfinite(target)]
            if len(target) and (sd := float(target.std())) > 0:
                centre, scale = float(target.mean()), sd
        rows = len(columns[description.target])
        means, sds = {}, {}
        for term in made.terms:
            found = matrix(term, made, columns, rows)
            found = found[np.isfinite(found.reshape(rows, -1)).all(axis=1)]
            if len(found) and term.parts and not term.by:
                means[term.name] = float(np.sqrt((found.mean(axis=0) ** 2).sum()))
            sds[term.name] = _spread(found) if term.parts and not _categories(term, made) else 1.0
        return cls(centre, scale, means, sds)

    def prior(self, term: DesignTerm) -> dict[str, Any]:
        """The default prior of a term's coefficients, without dims."""
        sd = WIDTH * self._scale / self._sds[term.name]
        if term.by:
            between = {"dist": "HalfNormal", "kwargs": {"sigma": _short(sd / WIDTH)}}
            return {"dist": "Normal", "kwargs": {"mu": 0.0, "sigma": between}, "centered": False}
        if term.parts:
            return {"dist": "Normal", "kwargs": {"mu": 0.0, "sigma": _short(sd)}}
        others = [WIDTH * self._scale / self._sds[name] * mean for name, mean in self._means.items()]
        return {
            "dist": "Normal",
            "kwargs": {"mu": _short(self._centre), "sigma": _short(math.hypot(sd, *others))},
        }


def _categories(term: DesignTerm, made: Design) -> bool:
    return all(part in made.levels for part in term.parts)


def _spread(columns: NDArray[np.float64]) -> float:
    """What a column's values differ by: the distance of two values, the sd of more; over several columns
    their root mean square; 1 where they are all the same.
    """
    wide = columns.reshape(len(columns), -1)
    squares = []
    for column in wide.T:
        values = np.unique(column) if len(column) else np.zeros(1)
        squares.append(np.ptp(values) ** 2 if len(values) == 2 else float(column.var()))
    found = math.sqrt(float(np.mean(squares)))
    return found if found > 0 and math.isfinite(found) else 1.0


def _short(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")
