"""How many rows a prior is worth: expected local information ratio, moments, Morita; and the cap by rows.

Sources: Neuenschwander et al., Biometrics 76:578, 2020 (ELIR and the comparison of all three); Morita et al.,
Biometrics 64:595, 2008, at the mode rather than the mean as RBesT does. Only ELIR is predictively consistent:
a prior worth n rows is, after m rows of its own predictions, worth n + m on average.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from posterity.errors import ModelError
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Floats

DRAWS = 2_048
"""Draws per component, in pairs mirrored at its mean. One Gaussian needs none: its curvature is constant."""
FLATTENED = 100.0
"""Morita's flattened prior: the same with this much more variance."""
KNOWN = 1e-9
"""Eigenvalue of the information with a diagonal of ones; below it a row says nothing about that direction."""

type Curve = Callable[[Floats], Floats]
"""A function of one variable: (N,) → (N,)."""


def elir(curvature: Floats, information: Floats, weights: Floats | None = None) -> float:
    """Mean of tr(I⁻¹ C) / D: the curvature C of the log prior in units of one row's information I.

    `curvature` is (S, D, D) at draws of the prior, which `weights` (S,) may weight. The number is that of D
    entries on average: an entry that rows say little about counts for many. Directions about which a row says
    nothing (`information` (D, D) singular or indefinite) cannot be counted in rows and are left out of the
    average; where that leaves none, the prior is worth infinitely many.
    """
    inverse, seen = _inverse(information)
    average = np.average(curvature, axis=0, weights=weights)
    return float(np.sum(inverse * average) / seen) if seen else np.inf


def effective_rows(mixture: Mixture, information: Floats, *, seed: int = 0) -> float:
    """ELIR of a mixture over D entries where one row has the information (D, D); same seed, same number."""
    if len(mixture.weights) == 1:
        return elir(mixture.precisions, information)
    points, weights = _common_draws(mixture, seed)
    return elir(mixture.curvature(points), information, weights)


def moment_rows(mixture: Mixture, information: Floats) -> float:
    """Rows of the Gaussian with the mixture's mean and covariance: tr(I⁻¹ Cov⁻¹) / D. Never above ELIR."""
    return elir(np.linalg.inv(mixture.covariance)[None], information)


def morita_rows(mixture: Mixture, information: Floats) -> float:
    """Curvature at the highest mode, less that of the widest component flattened, in rows.

    The most optimistic of the three for a mixture with a sharp peak.
    """
    widest = np.log(np.diagonal(mixture.lower, axis1=1, axis2=2)).sum(axis=1).argmax()
    flattened = mixture.precisions[widest] / FLATTENED
    return elir(mixture.curvature(mode(mixture)[None]) - flattened, information)


def mode(mixture: Mixture) -> Floats:
    """The highest mode (D,): fixed point of the mean shift (Carreira-Perpiñán, IEEE PAMI 22:1318, 2000).

    Started at every component's mean; each step climbs.
    """
    points = mixture.means
    pull = np.einsum("kij,kj->ki", mixture.precisions, mixture.means)
    scale = np.sqrt(np.diagonal(mixture.covariance))
    for _ in range(1_000):
        share = mixture.responsibilities(points)
        moved = np.linalg.solve(np.tensordot(share, mixture.precisions, 1), (share @ pull)[..., None])[..., 0]
        still = (np.abs(moved - points) < 1e-10 * scale).all()
        points = moved
        if still:
            break
    best: Floats = points[mixture.log_density(points).argmax()]
    return best


def cap(mixture: Mixture, information: Floats, rows: float, partial: Sequence[int] | np.ndarray) -> Mixture:
    """The mixture, stretched along the `partial` positions until these are worth at most `rows` rows.

    Counted is their marginal against their own block of the information (D, D), that is with the other
    entries known: a shared entry, taught by every row of the established, would drown the others in the
    average and cannot be widened. Stretching by f divides the curvature at a draw by f², so the factor is
    exact for the draws that `effective_rows` uses, and nothing is searched.
    """
    if not rows > 0:
        raise ModelError(f"a prior cannot be capped at {rows} rows; give a number above 0")
    kept = np.asarray(partial, dtype=np.intp)
    if not kept.size:
        return mixture
    found = effective_rows(mixture.select(kept), information[np.ix_(kept, kept)])
    if found <= rows or np.isinf(found):
        return mixture
    factors = np.ones(mixture.dimension)
    factors[kept] = np.sqrt(found / rows)
    return mixture.spread(factors)


def elir_1d(log_density: Curve, information: Curve, edges: Floats) -> float:
    """ELIR of any density in one dimension, by quadrature: ∫ p · (-log p)'' / i.

    `edges` (E,), increasing, cut the support into panels fine enough for the density (`edges_of` makes them
    from a quantile function); `information` is one row's. The density must vanish at both ends, else the
    integral differs from the mean squared score or does not exist.
    """
    points, mass, curvature = _panels(log_density, edges)
    return float(np.sum(mass * curvature / information(points)))


def moment_1d(log_density: Curve, information: Curve, edges: Floats) -> float:
    """E[1 / i] / variance: for a Beta density and Bernoulli rows that is a + b of the matched Beta."""
    points, mass, _ = _panels(log_density, edges)
    variance = np.sum(mass * (points - np.sum(mass * points)) ** 2)
    return float(np.sum(mass / information(points)) / variance)


def morita_1d(log_density: Curve, information: Curve, edges: Floats) -> float:
    """Curvature at the mode less that of a flattened Gaussian of the same sd, in rows at the mode."""
    points, mass, curvature = _panels(log_density, edges)
    top = log_density(points).argmax()
    variance = np.sum(mass * (points - np.sum(mass * points)) ** 2)
    return float((curvature[top] - 1 / (FLATTENED * variance)) / information(points[[top]])[0])


def edges_of(quantile: Curve, panels: int = 400, tail: float = 1e-12) -> Floats:
    """Edges (E,) of panels from `tail` to 1 - `tail`, equal in normal score: both tails have theirs."""
    reach = ndtri(tail)
    return np.unique(quantile(ndtr(np.linspace(reach, -reach, panels + 1))))


def _panels(log_density: Curve, edges: Floats) -> tuple[Floats, Floats, Floats]:
    """Gauss–Legendre points (N,) in all panels, their probability mass, and minus (log density)'' there."""
    nodes, shares = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges) / 2
    points = ((edges[:-1] + edges[1:]) / 2)[:, None] + half[:, None] * nodes
    # A step inside the panel: the outermost node is a fiftieth of the panel away from its edge.
    step = np.broadcast_to(half[:, None] / 200, points.shape).ravel()
    flat = points.ravel()
    height = [log_density(flat + by * step) for by in (-2, -1, 0, 1, 2)]
    second = (-height[0] + 16 * height[1] - 30 * height[2] + 16 * height[3] - height[4]) / (12 * step**2)
    mass = np.exp(height[2]) * (half[:, None] * shares).ravel()
    return flat, mass / mass.sum(), -second


def _common_draws(mixture: Mixture, seed: int) -> tuple[Floats, Floats]:
    """The same standard normal draws for every component: points (K·S, D) and their weights."""
    half = np.random.default_rng(seed).standard_normal((DRAWS // 2, mixture.dimension))
    normal = np.concatenate([half, -half])
    points = mixture.means[:, None] + normal @ np.swapaxes(mixture.lower, 1, 2)
    return points.reshape(-1, mixture.dimension), np.repeat(mixture.weights / len(normal), len(normal))


def _inverse(information: Floats) -> tuple[Floats, int]:
    """Inverse (D, D) of one row's information over the directions that a row says something about, and how
    many those are.
    """
    finite = np.where(np.isfinite(information), information, 0)
    scale = np.sqrt(np.abs(np.diagonal(finite)))
    scale = np.where(scale > 0, scale, 1)
    values, vectors = np.linalg.eigh(finite / scale / scale[:, None])
    seen = values > KNOWN
    inverse: Floats = (vectors[:, seen] / values[seen]) @ vectors[:, seen].T / scale / scale[:, None]
    return inverse, int(seen.sum())
