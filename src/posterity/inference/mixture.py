"""Gaussian mixtures over θ: what a transferred prior is, from draws or from numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from posterity.errors import ModelError
from posterity.inference.posterior import Floats

WEIGHTS_SUM = 1e-6
"""How far the sum of the weights may be from 1: published weights have seven digits."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """K Gaussian components over D entries: `weights` (K,), `means` (K, D), `covariances` (K, D, D).

    Arrays are copied and cannot be written to. Raises ModelError where they are no mixture.
    """

    weights: Floats
    means: Floats
    covariances: Floats

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _check(self.weights, self.means, self.covariances)
        _ = self.lower  # raises where a covariance is not positive definite

    @classmethod
    def gaussian(cls, mean: ArrayLike, covariance: ArrayLike) -> Self:
        """One component with this mean (D,) and covariance (D, D)."""
        return cls(np.ones(1), np.asarray(mean)[None], np.asarray(covariance)[None])

    @classmethod
    def fitted(cls, draws: Floats, *, most: int = 4, seed: int = 0) -> Self:
        """Fitted to draws (S, D) by EM; the number of components, up to `most`, has the lowest AIC.

        `posterity.inference.expectation_maximisation` says how, and what becomes of collinear draws.
        """
        from posterity.inference.expectation_maximisation import fit  # only here: most mixtures are read

        return cls(*fit(draws, most, seed))

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.means.shape[1])

    @property
    def mean(self) -> Floats:
        """Mean (D,) of the whole mixture."""
        mean: Floats = self.weights @ self.means / self.weights.sum()
        return mean

    @property
    def covariance(self) -> Floats:
        """Covariance (D, D) of the whole mixture: within components plus between them."""
        away = self.means - self.mean
        spread = self.covariances + away[:, :, None] * away[:, None, :]
        covariance: Floats = np.tensordot(self.weights, spread, 1) / self.weights.sum()
        return covariance

    @cached_property
    def lower(self) -> Floats:
        """Lower Cholesky factors (K, D, D) of the covariances."""
        try:
            return np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError:
            worst = float(np.linalg.eigvalsh(self.covariances).min())
            raise ModelError(
                f"a mixture has a covariance that is not positive definite (smallest eigenvalue "
                f"{worst:.3g}); give every component a symmetric covariance with eigenvalues above 0"
            ) from None

    @cached_property
    def whiteners(self) -> Floats:
        """Inverses (K, D, D) of the lower Cholesky factors: whitener @ (θ - mean) is standard normal."""
        return np.linalg.inv(self.lower)

    @cached_property
    def precisions(self) -> Floats:
        """Inverses (K, D, D) of the covariances."""
        precisions: Floats = np.swapaxes(self.whiteners, 1, 2) @ self.whiteners
        return precisions

    def log_density(self, points: Floats) -> Floats:
        """Log density (S,) at points (S, D)."""
        return np.asarray(logsumexp(self._terms(points), axis=1))

    def responsibilities(self, points: Floats) -> Floats:
        """Probability (S, K) of every component at points (S, D)."""
        terms = self._terms(points)
        return np.asarray(np.exp(terms - logsumexp(terms, axis=1, keepdims=True)))

    def curvature(self, points: Floats) -> Floats:
        """Minus the Hessian (S, D, D) of the log density at points (S, D).

        Precisions averaged over the responsibilities, less the covariance of the components' scores: between
        two components the density is convex, and the curvature is not positive definite.
        """
        share = self.responsibilities(points)
        scores = np.einsum("kij,skj->ski", self.precisions, self.means - points[:, None])
        scores -= np.einsum("sk,ski->si", share, scores)[:, None]
        between = np.swapaxes(scores * share[:, :, None], 1, 2) @ scores
        curvature: Floats = np.tensordot(share, self.precisions, 1) - between
        return curvature

    def draw(self, rng: np.random.Generator, size: int) -> Floats:
        """`size` independent draws (S, D)."""
        which = rng.choice(len(self.weights), size=size, p=self.weights / self.weights.sum())
        away = np.einsum("sij,sj->si", self.lower[which], rng.standard_normal((size, self.dimension)))
        drawn: Floats = self.means[which] + away
        return drawn

    def select(self, positions: Sequence[int] | np.ndarray) -> Self:
        """The marginal of these entries, in this order."""
        kept = np.asarray(positions, dtype=np.intp)
        return type(self)(self.weights, self.means[:, kept], self.covariances[:, kept[:, None], kept])

    def spread(self, factors: float | Floats) -> Self:
        """Stretched about its mean: sds grow by one factor, or each by its own (D,)."""
        by = np.broadcast_to(np.asarray(factors, dtype=np.float64), (self.dimension,))
        centre = self.mean
        return type(self)(
            self.weights,
            centre + by * (self.means - centre),
            by[:, None] * self.covariances * by,
        )

    def joined(self, weight: float, mean: ArrayLike, covariance: ArrayLike) -> Self:
        """With another component of this weight, last; the others' weights are scaled by 1 - weight."""
        return type(self)(
            np.append((1 - weight) * self.weights, weight),
            np.concatenate([self.means, np.asarray(mean)[None]]),
            np.concatenate([self.covariances, np.asarray(covariance)[None]]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists of floats; `from_dict` gives the same mixture to the last bit."""
        return {name: getattr(self, name).tolist() for name in ("weights", "means", "covariances")}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `to_dict` wrote. Raises ModelError where it is no mixture."""
        names = ("weights", "means", "covariances")
        if missing := [name for name in names if name not in found]:
            raise ModelError(f"a mixture needs {', '.join(names)}; {', '.join(missing)} is not there")
        try:
            return cls(*(np.array(found[name], dtype=np.float64) for name in names))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"a mixture's weights, means and covariances are lists of numbers: {error}"
            ) from None

    def _terms(self, points: Floats) -> Floats:
        """Log of weight × density (S, K)."""
        away = np.einsum("kij,skj->ski", self.whiteners, points[:, None] - self.means)
        with np.errstate(divide="ignore"):  # a weight of 0 is a log weight of -inf
            heights = np.log(self.weights) + np.log(np.diagonal(self.whiteners, axis1=1, axis2=2)).sum(1)
        terms: Floats = heights - 0.5 * ((away**2).sum(-1) + self.dimension * np.log(2 * np.pi))
        return terms


def _check(weights: Floats, means: Floats, covariances: Floats) -> None:
    """Raise ModelError where shapes, weights or covariances are not those of a mixture."""
    if means.ndim != 2 or not means.size:
        raise ModelError(f"a mixture's means are (components, entries), both at least 1; found {means.shape}")
    members, dimension = means.shape
    wanted = (members,), (members, dimension, dimension)
    if (weights.shape, covariances.shape) != wanted:
        raise ModelError(
            f"a mixture with means {means.shape} needs weights {wanted[0]} and covariances {wanted[1]}; "
            f"found {weights.shape} and {covariances.shape}"
        )
    if not all(np.isfinite(array).all() for array in (weights, means, covariances)):
        raise ModelError("a mixture has a number that is not finite")
    if (weights < 0).any() or abs(weights.sum() - 1) > WEIGHTS_SUM:
        raise ModelError(f"a mixture's weights are at least 0 and add up to 1; found {weights.tolist()}")
    scale = np.sqrt(np.abs(np.diagonal(covariances, axis1=1, axis2=2)))
    skew = np.abs(covariances - np.swapaxes(covariances, 1, 2))
    if (skew > 1e-8 * scale[:, :, None] * scale[:, None, :]).any():
        raise ModelError("a mixture has a covariance that is not symmetric")
