"""Gaussian approximations on the unconstrained scale, as a variational method moves them.

A family holds one flat array of numbers φ. θ = m + L z with z standard normal, and the gradient is that along
the path of θ with the numbers inside log q held fixed, which vanishes where the approximation is exact
(Roeder, Wu & Duvenaud, NeurIPS 2017).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from posterity.inference.posterior import Floats

LOG_2PI = float(np.log(2 * np.pi))


class Gaussian(Protocol):
    """A Gaussian over D unknowns whose numbers φ an optimiser moves."""

    @property
    def dimension(self) -> int:
        """D."""
        ...

    def draw(self, phi: Floats, noise: Floats) -> Floats:
        """θ (D,) or (S, D) for standard normal noise of that shape."""
        ...

    def log_density(self, phi: Floats, noise: Floats) -> Floats:
        """log q (S,) of the draws that noise (S, D) makes."""
        ...

    def slope(self, phi: Floats, noise: Floats, gradient: Floats) -> Floats:
        """Gradient of one draw's log p - log q by φ, given that of log p by θ (D,)."""
        ...


@dataclass(frozen=True, slots=True)
class Diagonal:
    """Mean-field: φ is the mean (D,) and the logarithm of the sd (D,)."""

    dimension: int

    def begin(self, mean: Floats, sd: float) -> Floats:
        """φ around a point."""
        return np.concatenate([mean, np.full(self.dimension, np.log(sd))])

    def draw(self, phi: Floats, noise: Floats) -> Floats:
        """See `Gaussian`."""
        moved: Floats = phi[: self.dimension] + np.exp(phi[self.dimension :]) * noise
        return moved

    def log_density(self, phi: Floats, noise: Floats) -> Floats:
        """See `Gaussian`."""
        scale = phi[self.dimension :].sum()
        found: Floats = -0.5 * (noise**2).sum(axis=-1) - scale - 0.5 * self.dimension * LOG_2PI
        return found

    def slope(self, phi: Floats, noise: Floats, gradient: Floats) -> Floats:
        """See `Gaussian`."""
        sd = np.exp(phi[self.dimension :])
        path = gradient + noise / sd
        return np.concatenate([path, path * noise * sd])


@dataclass(frozen=True, slots=True)
class Full:
    """With a covariance LL': φ is the mean (D,) and the lower triangle of L by rows, its diagonal as
    logarithms.
    """

    dimension: int

    def begin(self, diagonal: Floats) -> Floats:
        """φ of a diagonal one's numbers."""
        lower = np.diag(diagonal[self.dimension :])
        return np.concatenate([diagonal[: self.dimension], lower[np.tril_indices(self.dimension)]])

    def _lower(self, phi: Floats) -> Floats:
        lower = np.zeros((self.dimension, self.dimension))
        lower[np.tril_indices(self.dimension)] = phi[self.dimension :]
        np.fill_diagonal(lower, np.exp(np.diagonal(lower)))
        return lower

    def draw(self, phi: Floats, noise: Floats) -> Floats:
        """See `Gaussian`."""
        moved: Floats = phi[: self.dimension] + noise @ self._lower(phi).T
        return moved

    def log_density(self, phi: Floats, noise: Floats) -> Floats:
        """See `Gaussian`."""
        scale = np.log(np.diagonal(self._lower(phi))).sum()
        found: Floats = -0.5 * (noise**2).sum(axis=-1) - scale - 0.5 * self.dimension * LOG_2PI
        return found

    def slope(self, phi: Floats, noise: Floats, gradient: Floats) -> Floats:
        """See `Gaussian`."""
        lower = self._lower(phi)
        path = gradient + np.linalg.solve(lower.T, noise)
        by_lower = np.outer(path, noise)
        np.fill_diagonal(by_lower, np.diagonal(by_lower) * np.diagonal(lower))
        return np.concatenate([path, by_lower[np.tril_indices(self.dimension)]])
