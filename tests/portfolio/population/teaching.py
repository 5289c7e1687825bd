"""Settings and teachers for `learn`, from a configuration and arrays, and normal hierarchical models whose
exact answers are sums over a grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from posterity.models import describe
from posterity.panel import Rows
from posterity.portfolio.population import Setting, Teacher
from posterity.portfolio.population.prepare import likelihood_inputs, setting
from tests.entities import configuration, prior, rows

type Floats = NDArray[np.float64]


def taught(
    likelihood: Mapping[str, Any],
    parameters: Mapping[str, Any],
    entities: Sequence[Rows],
    groups: Sequence[str] = (),
    quantities: Mapping[str, Any] | None = None,
    **pool: Any,
) -> tuple[Setting, list[Teacher]]:
    """How a population of this model is learned, and from whom: entities `e0`, `e1`, ..."""
    transfer = {"established": {"min_rows": 1}, "pool": pool}
    config = configuration(likelihood, parameters, quantities, transfer=transfer)
    how = setting(config, describe(config), entities[0])
    return how, [
        Teacher(
            f"e{i}",
            f"{i:08x}",
            groups[i] if groups else "",
            likelihood_inputs(how.model, one, how.description.numbers),
            one.n,
        )
        for i, one in enumerate(entities)
    ]


def normal(
    means: Floats,
    errors: Floats,
    groups: Sequence[str] = (),
    *,
    centre: float = 0.0,
    wide: float = 10.0,
    **pool: Any,
) -> tuple[Setting, list[Teacher]]:
    """Entities with one row each: y ~ N(θ, error), θ declared N(centre, wide)."""
    return taught(
        {"dist": "Normal", "kwargs": {"mu": "theta", "sigma": "error"}},
        {"theta": prior("Normal", mu=centre, sigma=wide)},
        [rows([y], error=[e]) for y, e in zip(means, errors, strict=True)],
        groups,
        **pool,
    )


@dataclass(frozen=True)
class Exact:
    """y_e ~ N(θ_e, error_e), θ_e ~ N(μ, τ), μ ~ N(centre, wide), τ ~ HalfNormal(scale): moments by a grid."""

    means: Floats
    errors: Floats
    scale: float
    centre: float = 0.0
    wide: float = 10.0
    grid: int = 4_000

    @property
    def tau(self) -> Floats:
        return (np.arange(self.grid) + 0.5) / self.grid * 6 * self.scale

    def posterior(self) -> tuple[Floats, Floats, Floats]:
        """Weights of τ (T,), and mean and variance of μ given each."""
        tau = self.tau[:, None]
        variance = self.errors**2 + tau**2
        precision = (1 / variance).sum(axis=1) + self.wide**-2
        mean = ((self.means / variance).sum(axis=1) + self.centre * self.wide**-2) / precision
        log = stats.halfnorm.logpdf(self.tau, scale=self.scale)
        log += -0.5 * np.log(variance).sum(axis=1) - 0.5 * np.log(precision)
        log += -0.5 * (self.means**2 / variance).sum(axis=1) + 0.5 * mean**2 * precision
        return np.exp(log - logsumexp(log)), mean, 1 / precision

    def mu(self) -> tuple[float, float]:
        """Mean and sd of μ."""
        return _moments(*self.posterior())

    def spread(self) -> tuple[float, float]:
        """Mean and sd of τ."""
        return _moments(self.posterior()[0], self.tau, np.zeros(self.grid))

    def predictive(self) -> tuple[float, float]:
        """Mean and sd of a new θ."""
        weights, mean, variance = self.posterior()
        return _moments(weights, mean, variance + self.tau**2)

    def theta(self, entity: int) -> tuple[float, float]:
        """Mean and sd of an entity's θ given all rows."""
        weights, mean, variance = self.posterior()
        keep = self.errors[entity] ** 2 / (self.errors[entity] ** 2 + self.tau**2)
        centre = keep * mean + (1 - keep) * self.means[entity]
        return _moments(weights, centre, keep**2 * variance + keep * self.tau**2)

    def without(self, entity: int) -> "Exact":
        """The same model of all other entities."""
        others = np.arange(len(self.means)) != entity
        return Exact(self.means[others], self.errors[others], self.scale, self.centre, self.wide, self.grid)


def _moments(weights: Floats, means: Floats, variances: Floats) -> tuple[float, float]:
    mean = float(weights @ means)
    return mean, float(np.sqrt(weights @ (variances + (means - mean) ** 2)))
