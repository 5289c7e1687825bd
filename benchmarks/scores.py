"""Scores of forecasts, and their means over entities with standard errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from posterity.portfolio.scores import score_draws

type Floats = NDArray[np.float64]

LEVELS = 100
"""Quantiles that stand for a predictive distribution: those at (k - 1/2) / LEVELS, for which the CRPS of the
points is closest to that of the distribution (0.02 % off for a normal one)."""
MASSES = tuple(round(1 - (2 * k + 1) / LEVELS, 6) for k in range(LEVELS // 2))
"""Masses of the equal-tailed intervals that those quantiles bound."""


@dataclass(frozen=True)
class Mean:
    """A mean over entities with its standard error."""

    value: float
    se: float
    number: int

    @classmethod
    def of(cls, values: "pd.Series[float]") -> "Mean":
        """Of one value an entity."""
        number = len(values)
        se = float(values.std(ddof=1) / np.sqrt(number)) if number > 1 else float("nan")
        return cls(float(values.mean()), se, number)


def crps(table: pd.DataFrame, target: str) -> Floats:
    """The CRPS of every row of `Result.predict(rows, interval=MASSES)` with what was observed beside it."""
    names = [f"{100 * mass:.6g}".replace(".", "_") for mass in MASSES]
    columns = [f"lower_{name}" for name in names] + [f"upper_{name}" for name in reversed(names)]
    points = table[columns].to_numpy(dtype=np.float64)
    observed = table[target].to_numpy(dtype=np.float64)
    nowhere = np.zeros(len(observed))  # the PIT is not asked for
    return np.asarray(
        score_draws(observed, points.T, (0.9,), nowhere, sample=False)["crps"], dtype=np.float64
    )


def inside(table: pd.DataFrame, target: str, percent: str = "90") -> Floats:
    """1 where the interval holds what was observed, else 0."""
    held = table[target].between(table[f"lower_{percent}"], table[f"upper_{percent}"])
    return held.to_numpy(dtype=np.float64)


def by_entity(table: pd.DataFrame, column: str, entity: str) -> "pd.Series[float]":
    """One value an entity, the mean of its rows: rows of an entity depend on each other."""
    means: pd.Series[float] = table.groupby(entity)[column].mean()
    return means


def summary(tables: Mapping[str, pd.DataFrame], entity: str, against: str) -> dict[str, dict[str, Mean]]:
    """Means over entities of the columns `crps` and `inside`, and of the paired differences of CRPS between
    every rule and the rule `against` (negative: `against` is better).
    """
    scores = {rule: by_entity(table, "crps", entity) for rule, table in tables.items()}
    return {
        "crps": {rule: Mean.of(values) for rule, values in scores.items()},
        "coverage": {rule: Mean.of(by_entity(table, "inside", entity)) for rule, table in tables.items()},
        "gain": {rule: Mean.of(scores[against] - scores[rule]) for rule in tables if rule != against},
    }


def folds(names: Sequence[str], number: int, seed: int) -> list[tuple[str, ...]]:
    """Names in `number` parts of nearly equal size, at random."""
    order = np.random.default_rng(seed).permutation(sorted(names))
    return [tuple(str(name) for name in part) for part in np.array_split(order, number)]
