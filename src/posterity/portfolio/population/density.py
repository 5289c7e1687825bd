"""The marginal posterior of a population's spread, given the factors of the entities that teach it.

ψ stacks log sds between entities (p), partial correlations on the real line (p(p − 1)/2, none if diagonal),
log sds between groups (p, none for one population) and the shared parameters (k, as distances from where the
factors were expanded). The population's mean and the groups' means are integrated out.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from posterity.portfolio.population import kernels
from posterity.portfolio.runners import cores

type Floats = NDArray[np.float64]
type LogDensity = Callable[[Floats], Floats]

STEP = 1e-4
"""Of central differences over ψ, whose entries are logarithms or of that order."""
LKJ = 2.0
"""Shape of the correlations' prior (Lewandowski, Kurowicka & Joe 2009), Stan's usual choice."""


@dataclass(frozen=True)
class PopulationDensity:
    """Log posterior of ψ, in the standardised coordinates where the mean's prior is N(0, I).

    `coefficients` (E, B, 1 + p + p²) as in `kernels.log_marginals`, `group` (E,) numbers from 0, `spread`
    the log prior density of each sd (p functions of arrays), `shared_prior` that of the k shared parameters
    ((S, k) distances to (S,)), whose Taylor coefficients hold as far as `reach` (k,): further away the
    density is zero.
    """

    coefficients: Floats
    group: NDArray[np.int64]
    groups: int
    full: bool
    spread: Sequence[LogDensity]
    shared_prior: LogDensity
    reach: Floats

    @property
    def shared(self) -> int:
        """k, the number of shared parameters."""
        return len(self.reach)

    @cached_property
    def partial(self) -> int:
        """p, the number of entries that vary between entities."""
        size = self.coefficients.shape[2] - 1
        return int((np.sqrt(1 + 4 * size) - 1) / 2)

    @cached_property
    def slices(self) -> tuple[slice, slice, slice, slice]:
        """Where ψ holds log sds, partial correlations, log sds between groups, and shared parameters."""
        p = self.partial
        ends = np.cumsum(
            [p, p * (p - 1) // 2 if self.full else 0, p if self.groups > 1 else 0, self.shared]
        ).tolist()
        starts = [0, *ends[:-1]]
        a, b, c, d = (slice(i, j) for i, j in zip(starts, ends, strict=True))
        return a, b, c, d

    @property
    def dimension(self) -> int:
        """Number of entries of ψ."""
        return int(self.slices[-1].stop)

    def spreads(self, psis: Floats) -> tuple[Floats, Floats, Floats]:
        """Cholesky factors of Σ (S, p, p), sds between groups (S, p or 0), shared distances (S, k)."""
        sds, correlations, between, shared = self.slices
        tau = np.exp(psis[:, sds])
        lower = tau[:, :, None] * correlation_factor(psis[:, correlations], self.partial)
        return lower, np.exp(psis[:, between]), np.ascontiguousarray(psis[:, shared])

    def log_prior(self, psis: Floats) -> Floats:
        """Log prior density (S,) of ψ (S, ·), Jacobians included."""
        sds, correlations, between, shared = self.slices
        total = self.shared_prior(psis[:, shared])
        for i, log_density in enumerate(self.spread):
            for part in (sds, between):
                if part.stop > part.start:
                    log_sd = psis[:, part.start + i]
                    total = total + log_density(np.exp(log_sd)) + log_sd
        if self.full:
            total = total + _log_lkj(psis[:, correlations], self.partial)
        return total

    def densities(self, psis: Floats, _: Any = ()) -> Floats:
        """Log posterior (S,) of ψ (S, ·), up to a constant."""
        lower, between, deltas = self.spreads(psis)
        marginal = np.concatenate(
            _in_threads(
                lambda part: kernels.log_marginals(
                    self.coefficients, self.group, lower[part], between[part], deltas[part]
                ),
                len(psis),
            )
        )
        total = marginal + self.log_prior(psis)
        within = (np.abs(deltas) <= self.reach).all(axis=1)
        return np.where(within & np.isfinite(total), total, -np.inf)

    def parameters(self, psis: Floats, _: Any = ()) -> Floats:
        """ψ itself: what the certificate of an importance sample looks at."""
        return psis

    def gradient(self, psi: Floats) -> Floats:
        """Gradient (·,) of the log posterior at ψ."""
        sds, correlations, between, shared = self.slices
        lower, omega, delta = (x[0] for x in self.spreads(psi[None]))
        means, covariances, mean, covariance, factors = self.levels(lower, omega, delta)
        by_lower, by_delta = kernels.scores(self.coefficients, self.group, lower, delta, means, covariances)
        out = np.zeros(len(psi))
        # A log sd stretches its own row of L.
        out[sds] = (by_lower * lower).sum(axis=1)
        if count := correlations.stop - correlations.start:
            steps = STEP * np.eye(len(psi))[correlations]
            around = self.spreads(np.concatenate([psi + steps, psi - steps]))[0]
            moved = (around[:count] - around[count:]) / (2 * STEP)
            out[correlations] = np.einsum("ij,cij->c", by_lower, moved)
        if omega.size:
            by_omega, _ = kernels.scores(
                factors,
                np.zeros(self.groups, np.int64),
                np.diag(omega),
                np.zeros(0),
                mean[None],
                covariance[None],
            )
            out[between] = np.diag(by_omega) * omega
        out[shared] = by_delta
        steps = STEP * np.eye(len(psi))
        around = self.log_prior(np.concatenate([psi + steps, psi - steps]))
        out += (around[: len(psi)] - around[len(psi) :]) / (2 * STEP)
        return out

    def evaluate(self, psi: Floats, _: Any = ()) -> tuple[float, Floats, Floats]:
        """Minus the log posterior, its gradient and its Hessian, by differences of the gradient."""
        size = 10 * STEP
        rows = [
            (self.gradient(psi - size * unit) - self.gradient(psi + size * unit)) / (2 * size)
            for unit in np.eye(len(psi))
        ]
        hessian = np.array(rows)
        return -float(self.densities(psi[None])[0]), -self.gradient(psi), (hessian + hessian.T) / 2

    def levels(
        self, lower: Floats, omega: Floats, delta: Floats
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Means (groups, p) and covariances (groups, p, p) of the groups' means given the spread, those of
        the population's mean, and the groups' factors (groups, 1, 1 + p + p²).
        """
        p = self.partial
        g, h = kernels.totals(self.coefficients, self.group, lower, delta, self.groups)
        factors = self._as_entities(g, h)
        if not omega.size:
            covariance = np.linalg.inv(np.eye(p) + g[0])
            mean = covariance @ h[0]
            return mean[None], covariance[None], mean, covariance, factors
        gt, ht = self._of_groups(g, h, omega)
        covariance = np.linalg.inv(np.eye(p) + gt)
        mean = covariance @ ht
        # μ_g = μ + ωu: given μ Gaussian with this gain and covariance.
        inner = np.linalg.inv(np.eye(p) + omega[:, None] * g * omega)
        spread = omega[:, None] * inner * omega
        means = mean + np.einsum("gij,gj->gi", spread, h - g @ mean)
        keep = np.eye(p) - spread @ g
        return means, spread + keep @ covariance @ keep.transpose(0, 2, 1), mean, covariance, factors

    def draw_means(self, psis: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draws of the population's mean (S, p) and of the groups' (S, groups, p), one for each ψ."""
        lower, between, deltas = self.spreads(psis)

        def summed(part: slice) -> list[tuple[Floats, Floats]]:
            chosen = zip(lower[part], deltas[part], strict=True)
            return [kernels.totals(self.coefficients, self.group, *one, self.groups) for one in chosen]

        sums = [one for part in _in_threads(summed, len(psis)) for one in part]
        drawn = [self._draw_means(*one, omega, rng) for one, omega in zip(sums, between, strict=True)]
        return np.array([mean for mean, _ in drawn]), np.array([means for _, means in drawn])

    def _draw_means(
        self, g: Floats, h: Floats, omega: Floats, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The population's mean and the groups', given their factors."""
        p, groups = self.partial, self.groups
        if not omega.size:
            mean = _gaussian(rng, np.eye(p) + g[0], h[0])
            return mean, mean[None]
        gt, ht = self._of_groups(g, h, omega)
        mean = _gaussian(rng, np.eye(p) + gt, ht)
        inner = np.linalg.inv(np.eye(p) + omega[:, None] * g * omega)
        spread = omega[:, None] * inner * omega
        centre = mean + np.einsum("gij,gj->gi", spread, h - g @ mean)
        noise = np.einsum("gij,gj->gi", np.linalg.cholesky(inner), rng.standard_normal((groups, p)))
        return mean, centre + omega * noise

    def _of_groups(self, g: Floats, h: Floats, omega: Floats) -> tuple[Floats, Floats]:
        """The factor (p, p), (p,) of the population's mean from those of the groups' means."""
        factors, one = self._as_entities(g, h), np.zeros(self.groups, np.int64)
        gt, ht = kernels.totals(factors, one, np.diag(omega), np.zeros(0), 1)
        return gt[0], ht[0]

    def _as_entities(self, g: Floats, h: Floats) -> Floats:
        """Groups' factors in the shape of entities' (groups, 1, 1 + p + p²): the same functions take them."""
        flat = g.reshape(self.groups, self.partial**2)
        return np.concatenate([np.zeros((self.groups, 1)), h, flat], axis=1)[:, None]


def _in_threads[R](function: Callable[[slice], R], size: int) -> list[R]:
    """A function of slices of so many populations, one slice a core; numba's loops run without the GIL."""
    edges = np.linspace(0, size, min(size, cores()) + 1).astype(int).tolist()
    slices = [slice(a, b) for a, b in itertools.pairwise(edges)]
    if len(slices) == 1:
        return [function(slices[0])]
    with ThreadPoolExecutor(len(slices)) as pool:
        return list(pool.map(function, slices))


def correlation_factor(z: Floats, p: int) -> Floats:
    """Cholesky factors (S, p, p) of correlations whose partial ones are tanh(z) (S, p(p − 1)/2, or none)."""
    if not z.shape[1]:
        return np.tile(np.eye(p), (len(z), 1, 1))
    lower = np.zeros((len(z), p, p))
    lower[:, 0, 0] = 1
    partial, at = np.tanh(z), 0
    for i in range(1, p):
        left = np.ones(len(z))
        for j in range(i):
            lower[:, i, j] = partial[:, at] * np.sqrt(left)
            left = left - lower[:, i, j] ** 2
            at += 1
        lower[:, i, i] = np.sqrt(np.maximum(left, 1e-300))
    return lower


def _log_lkj(z: Floats, p: int) -> Floats:
    """Log density of LKJ(2) for partial correlations tanh(z), with the Jacobian of tanh."""
    powers = np.array([LKJ + (p - 2 - j) / 2 for i in range(1, p) for j in range(i)])
    # log(1 − tanh²) without cancellation
    log_rest = 2 * (np.log(2) - np.logaddexp(z, -z))
    # Normalised, so that models with and without correlations can be compared.
    constant = ((2 * powers - 1) * np.log(2) + betaln(powers, powers)).sum()
    return np.asarray(log_rest @ powers - constant)


def _gaussian(rng: np.random.Generator, precision: Floats, shift: Floats) -> Floats:
    lower = np.linalg.cholesky(precision)
    centre = np.linalg.solve(precision, shift)
    return np.asarray(centre + np.linalg.solve(lower.T, rng.standard_normal(len(shift))))
