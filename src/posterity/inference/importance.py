"""Importance sampling: proposals around modes, Pareto-smoothed weights, systematic resampling, a certificate.

What `laplace` and `adaptive` share; those files hold only where proposals come from.
"""

from dataclasses import dataclass

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.special import logsumexp

from posterity.inference.compiled import Inputs
from posterity.inference.posterior import Diagnostics, Floats, Posterior
from posterity.inference.target import Target

FREEDOM = 5
"""Degrees of freedom of the t kernels: tails heavier than the posterior's keep the weights bounded."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """A mixture of M multivariate t distributions that share no more than their degrees of freedom.

    `centres` is (M, D), `lower` (M, D, D) or (1, D, D) holds Cholesky factors of their scales, `weights`
    (M,).
    """

    centres: Floats
    lower: Floats
    weights: Floats

    def draw(self, rng: np.random.Generator, size: int) -> Floats:
        """`size` draws (S, D), stratified over the kernels."""
        members, dimension = self.centres.shape
        which = np.searchsorted(np.cumsum(self.weights), (np.arange(size) + 0.5) / size).clip(0, members - 1)
        t = rng.standard_normal((size, dimension)) / np.sqrt(rng.chisquare(FREEDOM, size) / FREEDOM)[:, None]
        if len(self.lower) == 1:
            away: Floats = t @ self.lower[0].T
        else:
            away = np.einsum("sij,sj->si", self.lower[which], t)
        moved: Floats = self.centres[which] + away
        return moved

    def log_density(self, points: Floats) -> Floats:
        """Log density (S,) at points (S, D), up to a constant shared by all mixtures of the same
        dimension.
        """
        dimension = self.centres.shape[1]
        inverse = np.linalg.inv(self.lower)
        if len(inverse) == 1:
            # |a − b|² = |a|² + |b|² − 2ab: one matrix product for all pairs of points and kernels.
            a, b = points @ inverse[0].T, self.centres @ inverse[0].T
            squared = np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)
        else:
            away = points[:, None] - self.centres
            squared = (np.einsum("mij,smj->smi", inverse, away) ** 2).sum(-1)
        log_scale = np.log(np.diagonal(self.lower, axis1=1, axis2=2)).sum(1)
        terms = -0.5 * (FREEDOM + dimension) * np.log1p(squared / FREEDOM) + np.log(self.weights) - log_scale
        return terms[:, 0] if terms.shape[1] == 1 else np.asarray(logsumexp(terms, axis=1))


@dataclass(frozen=True, slots=True)
class Sample:
    """Weighted proposals: θ (S, D), parameters (S, P), normalised smoothed weights (S,), k̂."""

    thetas: Floats
    parameters: Floats
    weights: Floats
    khat: float


def sample(
    model: Target, inputs: Inputs, kernels: Kernels, rng: np.random.Generator, size: int
) -> Sample | None:
    """Proposals from the kernels with their Pareto-smoothed weights (Vehtari et al., JMLR 25(72), 2024).

    None where no proposal has a finite density.
    """
    thetas = kernels.draw(rng, size)
    log_density = model.densities(thetas, inputs)
    finite = np.isfinite(log_density)
    if not finite.any():
        return None
    # Shifted to a height of 0, for densities of many rows are far from it.
    shifted = np.where(finite, log_density - log_density[finite].max(), -np.inf)
    weights, khat = smoothed(shifted - kernels.log_density(thetas))
    return Sample(thetas, model.parameters(thetas, inputs), weights, khat)


def smoothed(log_ratio: Floats) -> tuple[Floats, float]:
    """Normalised Pareto-smoothed weights of log importance ratios (S,), and k̂."""
    # arviz-stats takes log likelihoods and negates them.
    log_weights, khat = array_stats.psislw(-log_ratio)
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), float(khat)


def posterior(method: str, drawn: Sample, rng: np.random.Generator, draws: int, chains: int) -> Posterior:
    """Resample a weighted sample into a posterior of chains × draws with its certificate."""
    kept = resample(drawn.weights, chains * draws, rng)
    return Posterior(
        method=method,
        unconstrained=drawn.thetas[kept].reshape(chains, draws, -1),
        draws=drawn.parameters[kept].reshape(chains, draws, -1),
        diagnostics=certificate(
            drawn.parameters, np.bincount(kept, minlength=len(drawn.weights)), drawn.khat
        ),
    )


def resample(weights: Floats, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of a systematic resample (Kitagawa 1996) of `size` draws, in random order.

    No draw is copied more often than its weight asks for, rounded up.
    """
    positions = (np.arange(size) + rng.random()) / size
    kept = np.minimum(np.searchsorted(np.cumsum(weights), positions), len(weights) - 1)
    return rng.permutation(kept)


def certificate(parameters: Floats, copies: NDArray[np.int64], khat: float) -> Diagnostics:
    """Effective sizes of resampled draws, `copies` of each proposal (S, P) counting once.

    The variance of a mean over clusters is the sum of their squared shares, whence ESS = variance / error².
    Bulk is for the mean, tail the smaller of those for the 5 % and 95 % quantiles, as for Markov chains.
    """
    kept = copies > 0
    values, share = parameters[kept], (copies[kept] / copies.sum())[:, None]

    def effective(x: Floats) -> Floats:
        centred = share * (x - (share * x).sum(axis=0))
        error = (centred**2).sum(axis=0)
        variance = (centred**2 / share).sum(axis=0)
        return np.where(error > 0, variance / np.where(error > 0, error, 1), np.nan)

    low, high = np.quantile(np.repeat(values, copies[kept], axis=0), [0.05, 0.95], axis=0)
    bulk, *tails = np.split(effective(np.hstack([values, values <= low, values <= high])), 3)
    return Diagnostics(bulk, np.minimum(*tails), np.full(parameters.shape[1], np.nan), khat)
