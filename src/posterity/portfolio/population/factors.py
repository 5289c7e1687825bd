"""What one entity says about the population: a Gaussian factor over its partial entries.

The factor is the quadratic expansion of the log likelihood at the entity's conditional mode (an iterated
nested Laplace approximation, Rue, Martino & Chopin, JRSSB 71:319, 2009); where the density is too skewed for
that, it is the Gaussian that gives the posterior under the current population its moments (a step of
expectation propagation, Vehtari et al., JMLR 21:17, 2020). Its dependence on shared parameters is kept as
Taylor coefficients, the determinant's part of it included.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from functools import partial as bind

import numpy as np
from scipy.special import logsumexp
from scipy.stats import qmc

from posterity.inference import adaptive, laplace
from posterity.inference.compiled import Inputs
from posterity.inference.mode import Mode, climb, modes
from posterity.inference.posterior import Failure
from posterity.portfolio.population.conditional import Conditional, Floats

CLOUD = 128
"""Points of a cloud."""
ENOUGH = 0.5
"""Share of a cloud's points that their weights must be worth; below it draws are taken."""
DRAWS = 2_000


@dataclass(frozen=True)
class Factor:
    """`coefficients` (B, 1 + p + p²): constant, shift η and precision Q of the factor and their Taylor
    coefficients in the shared parameters; `mode` the conditional mode x (p + i) it was expanded at;
    `information` (D_t, D_t) that of all its rows about the transferred entries; `moments` whether it was
    matched to moments.
    """

    coefficients: Floats
    mode: Floats
    information: Floats
    moments: bool = False

    def towards(self, before: "Factor") -> "Factor":
        """Half-way to an earlier factor of the entity that was expanded at the same shared values."""
        if before.coefficients.shape != self.coefficients.shape:
            return self
        return replace(self, coefficients=(self.coefficients + before.coefficients) / 2)


def first_mode(target: Conditional, inputs: Inputs, starts: Floats) -> Mode | None:
    """The conditional mode uphill of the likeliest of `starts` (K, p + i), or from several where there is
    none.
    """
    density = target.densities(starts, inputs)
    best = starts[int(np.argmax(np.where(np.isfinite(density), density, -np.inf)))]
    return _converged(climb(target, inputs, best)) or _converged(*modes(target, inputs, starts)[:1])


def next_mode(target: Conditional, inputs: Inputs, begins: Sequence[Floats]) -> Mode | None:
    """The highest conditional mode uphill of these points: where it was under the last population, say, and
    what is usual in this one.
    """
    found = [mode for begin in begins if (mode := _converged(climb(target, inputs, begin))) is not None]
    return min(found, key=lambda mode: mode.height) if found else None


def _converged(mode: Mode | None = None) -> Mode | None:
    return mode if mode is not None and mode.converged else None


def expand(target: Conditional, inputs: Inputs, mode: Mode, steps: Floats) -> Factor:
    """The factor of one entity by expansion at its conditional mode; `steps` (k,) are those of the
    differences in the shared parameters.
    """
    x, k = mode.theta, len(steps)
    at = bind(_quadratic, target, inputs, x)
    units = np.diag(steps)
    centre = at(np.zeros(k))
    ahead, behind = [at(u) for u in units], [at(-u) for u in units]
    rows = [centre, *((a - b) / (2 * h) for a, b, h in zip(ahead, behind, steps, strict=True))]
    for i in range(k):
        for j in range(i + 1):
            if i == j:
                rows.append((ahead[i] - 2 * centre + behind[i]) / steps[i] ** 2)
            else:
                both = at(units[i] + units[j])
                rows.append((both - ahead[i] - ahead[j] + centre) / (steps[i] * steps[j]))
    return Factor(np.array(rows), x, _information(target, inputs, x))


def _quadratic(target: Conditional, inputs: Inputs, x: Floats, delta: Floats) -> Floats:
    """(c, η, Q) flattened, at shared parameters `delta` away, independent entries integrated out."""
    entries, p = target.entries, len(target.entries.partial)
    theta = target.theta(x[None])[0]
    theta[entries.shared] += delta
    value, gradient, hessian = target.model.evaluate(theta, inputs)
    free = entries.free
    slope, curvature = -gradient[free], hessian[np.ix_(free, free)]
    # Where independent entries are, too, the factor is what is left after integrating over them.
    constant = -float(value)
    eta, q = slope + curvature @ x, curvature
    constant += -float(slope @ x) - 0.5 * float(x @ curvature @ x)
    if len(free) > p:
        inner, cross = q[p:, p:], q[:p, p:]
        solved = np.linalg.solve(inner, np.column_stack([eta[p:], cross.T]))
        _, log_det = np.linalg.slogdet(inner)
        constant += 0.5 * float(eta[p:] @ solved[:, 0]) - 0.5 * float(log_det)
        eta, q = eta[:p] - cross @ solved[:, 0], q[:p, :p] - cross @ solved[:, 1:]
    eta, q = _bounded(eta, q, x[:p], target.precision)
    return np.concatenate([[constant], eta, q.ravel()])


def _information(target: Conditional, inputs: Inputs, x: Floats) -> Floats:
    """Observed information (D_t, D_t) of all rows about the transferred entries, no less than none."""
    entries = target.entries
    _, _, hessian = target.likelihood(x, inputs)
    own, rest = entries.transferred, entries.independent
    q = hessian[np.ix_(own, own)]
    if len(rest):
        cross = hessian[np.ix_(own, rest)]
        q = q - cross @ np.linalg.solve(hessian[np.ix_(rest, rest)], cross.T)
    values, vectors = np.linalg.eigh(q)
    return np.asarray(vectors * np.maximum(values, 0) @ vectors.T)


def _bounded(eta: Floats, q: Floats, x: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """The same slope at x with directions of negative curvature made flat: under a wider population the
    factor would not be integrable otherwise.
    """
    scale = np.linalg.cholesky(np.linalg.inv(precision))
    values, vectors = np.linalg.eigh(scale.T @ q @ scale)
    if values[0] >= 0:
        return eta, q
    back = np.linalg.solve(scale.T, vectors)
    flat = back * np.maximum(values, 0) @ back.T
    return eta + (flat - q) @ x, flat


def match_moments(
    target: Conditional, inputs: Inputs, mode: Mode, factor: Factor, steps: Floats, rng: np.random.Generator
) -> Factor:
    """The factor that gives the conditional posterior its first two moments, and its evidence the right slope
    in shared parameters; the expansion itself where no weighted draws are good enough for that.

    Mild skewness is met by a cloud of fixed points whose moments are those of the expansion exactly, so that
    only the departure from it is estimated; stronger by importance sampling.
    """
    points, density, weights = _cloud(target, inputs, mode)
    if 1 / (weights**2).sum() < ENOUGH * len(weights):
        size = {"draws": DRAWS, "chains": 1}
        drawn = laplace.fit(target, inputs, [mode], rng, **size)
        if isinstance(drawn, Failure) or drawn.diagnostics.khat > 0.5:
            drawn = adaptive.fit(target, inputs, [mode], rng, **size)
        if isinstance(drawn, Failure) or drawn.diagnostics.khat > 0.7:
            return factor
        points = drawn.unconstrained[0]
        density = target.model.densities(target.theta(points), inputs)
        weights = np.full(len(points), 1 / len(points))
    p = len(target.entries.partial)
    mean = weights @ points[:, :p]
    away = points[:, :p] - mean
    posterior = np.linalg.inv((weights[:, None] * away).T @ away)
    q = posterior - target.precision
    eta, q = _bounded(posterior @ mean - target.precision @ target.mean, q, mean, target.precision)
    coefficients = factor.coefficients.copy()
    coefficients[0, 1 : 1 + p], coefficients[0, 1 + p :] = eta, q.ravel()
    for j, step in enumerate(steps):
        coefficients = _match_shared(target, inputs, (points, density, weights), coefficients, j, step)
    return Factor(coefficients, mode.theta, factor.information, True)


def _cloud(target: Conditional, inputs: Inputs, mode: Mode) -> tuple[Floats, Floats, Floats]:
    """Points around the mode with the expansion's mean and covariance, the log likelihood there, weights."""
    z = _points(len(mode.theta))
    lower = np.linalg.cholesky(np.linalg.inv(mode.hessian))
    points = mode.theta + z @ lower.T
    density = target.model.densities(target.theta(points), inputs)
    log_weights = density + target.log_population(points) + 0.5 * (z**2).sum(axis=1)
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    weights = np.exp(log_weights - log_weights.max())
    return points, density, weights / weights.sum()


@cache
def _points(dimension: int) -> Floats:
    """Quasi-random normal points in pairs ±z, rotated and scaled to a covariance of exactly I."""
    sobol = qmc.MultivariateNormalQMC(np.zeros(dimension), rng=np.random.default_rng(7)).random(CLOUD // 2)
    half = sobol @ np.linalg.inv(np.linalg.cholesky(sobol.T @ sobol / len(sobol))).T
    return np.concatenate([half, -half])


def _match_shared(
    target: Conditional,
    inputs: Inputs,
    drawn: tuple[Floats, Floats, Floats],
    coefficients: Floats,
    j: int,
    step: float,
) -> Floats:
    """Slope and curvature of the constant in shared parameter j such that the factor's evidence moves as
    that of the draws does.
    """
    points, here, weights = drawn
    thetas = np.tile(target.theta(points), (2, 1))
    thetas[:, target.entries.shared[j]] += np.repeat([step, -step], len(points))
    there = np.split(target.model.densities(thetas, inputs), 2)
    moved = [float(logsumexp(density - here, b=weights)) for density in there]
    k = len(target.shared)
    row = k + sum(range(1, j + 1)) + j + 1
    first, second = coefficients[1 + j], coefficients[row]

    def of_factor(sign: int) -> float:
        f = coefficients[0] + sign * step * first + 0.5 * step**2 * second
        return _log_evidence(f, target) - _log_evidence(coefficients[0], target)

    ahead, behind = moved[0] - of_factor(1), moved[1] - of_factor(-1)
    out = coefficients.copy()
    out[1 + j, 0] += (ahead - behind) / (2 * step)
    out[row, 0] += (ahead + behind) / step**2
    return out


def _log_evidence(factor: Floats, target: Conditional) -> float:
    """Log of the factor integrated over the population, up to what does not depend on the factor."""
    p = len(target.mean)
    q = factor[1 + p :].reshape(p, p) + target.precision
    b = factor[1 : 1 + p] + target.precision @ target.mean
    return float(factor[0] + 0.5 * b @ np.linalg.solve(q, b) - 0.5 * np.linalg.slogdet(q)[1])


def standardised(factors: Sequence[Factor], mean: Floats, scale: Floats) -> Floats:
    """Coefficients (E, B, 1 + p + p²) in the coordinates u = (a − mean)/scale."""
    raw = np.stack([f.coefficients for f in factors])
    p = len(mean)
    constant, eta, q = raw[..., 0], raw[..., 1 : 1 + p], raw[..., 1 + p :].reshape(*raw.shape[:2], p, p)
    pulled = q @ mean
    constant = constant + eta @ mean - 0.5 * pulled @ mean
    # Only differences matter, and sums of many large constants would lose them.
    constant = constant - np.where(np.arange(raw.shape[1]) == 0, constant, 0)
    return np.concatenate(
        [
            constant[..., None],
            scale * (eta - pulled),
            (scale[:, None] * q * scale).reshape(*raw.shape[:2], p * p),
        ],
        axis=-1,
    )
