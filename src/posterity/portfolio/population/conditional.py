"""One entity's density where the population is known: a target for the same mode search and samplers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.inference.compiled import CompiledModel, Inputs

type Floats = NDArray[np.float64]
type Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Entries:
    """Positions in θ of the entries that vary between entities (p), are shared (k), or belong to no
    population (i).
    """

    partial: Positions
    shared: Positions
    independent: Positions

    @property
    def free(self) -> Positions:
        """What an entity has of its own: partial entries, then independent ones."""
        return np.concatenate([self.partial, self.independent])

    @property
    def transferred(self) -> Positions:
        """What a population hands down: partial and shared entries, in the order of θ."""
        return np.sort(np.concatenate([self.partial, self.shared]))

    def all_partial(self) -> "Entries":
        """The same with shared entries varying too: where a first guess of them comes from."""
        return Entries(self.transferred, self.shared[:0], self.independent)


@dataclass(frozen=True)
class Conditional:
    """Density of an entity's free entries x (p + i) given shared ones and a Gaussian over the partial ones.

    `model` is a transferred structure whose `inputs` hold the flat mixture, so that it gives the likelihood
    and the declared prior of independent entries; `mean` (p,) and `precision` (p, p) are the population's.
    """

    model: CompiledModel
    entries: Entries
    shared: Floats
    mean: Floats
    precision: Floats

    def theta(self, points: Floats) -> Floats:
        """θ (S, D) of points x (S, p + i)."""
        thetas = np.empty((len(points), self.model.dimension))
        thetas[:, self.entries.shared] = self.shared
        thetas[:, self.entries.free] = points
        return thetas

    def likelihood(self, x: Floats, inputs: Inputs) -> tuple[float, Floats, Floats]:
        """Minus the log likelihood (with independent priors) at x, gradient and Hessian over all of θ."""
        value, gradient, hessian = self.model.evaluate(self.theta(x[None])[0], inputs)
        return float(value), gradient, hessian

    def evaluate(self, x: Floats, inputs: Inputs) -> tuple[float, Floats, Floats]:
        """Minus the log density at x, its gradient and Hessian."""
        value, gradient, hessian = self.likelihood(x, inputs)
        free, p = self.entries.free, len(self.entries.partial)
        away = x[:p] - self.mean
        pull = self.precision @ away
        gradient, hessian = gradient[free], hessian[np.ix_(free, free)]
        gradient[:p] += pull
        hessian[:p, :p] += self.precision
        return value + 0.5 * float(away @ pull), gradient, hessian

    def densities(self, points: Floats, inputs: Inputs) -> Floats:
        """Log density (S,) at points x (S, p + i)."""
        return self.model.densities(self.theta(points), inputs) + self.log_population(points)

    def log_population(self, points: Floats) -> Floats:
        """Log density (S,) of the population at points x (S, p + i), up to a constant."""
        away = points[:, : len(self.entries.partial)] - self.mean
        return np.asarray(-0.5 * np.einsum("si,ij,sj->s", away, self.precision, away))

    def parameters(self, points: Floats, _: Any) -> Floats:
        """The points themselves: what certificates look at."""
        return points
