"""A Gaussian mixture for draws: EM from two kinds of start, the number of components by AIC.

EM is scikit-learn's. Draws are whitened first, so that one convergence rule and one regularisation fit
entries of any scale; directions without spread (collinear or constant entries) are left out and get a narrow
sd.
"""

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2
from threadpoolctl import threadpool_limits

from posterity.errors import ModelError
from posterity.inference.posterior import Floats

type Numbers = tuple[Floats, Floats, Floats]
"""Weights (K,), means (K, D), covariances (K, D, D)."""

COLLINEAR = 1e-8
"""A direction of standardised entries with less variance has no spread; it is given this much."""
NARROWEST = 1e-6
"""Smallest sd of an entry, relative to its mean where that is above 1: a constant must have a density too."""
LEAST = 10
"""A component has at least this many distinct draws per dimension."""
GAIN = 10
"""What a further component must take off the AIC (Burnham & Anderson 2002: no support left for the other).
Less makes small bumps, and bumps of a prior become modes of a posterior with few rows."""
STEPS = 100
TOLERANCE = 1e-4


def fit(draws: Floats, most: int, seed: int) -> Numbers:
    """Weights, means and covariances of the mixture of up to `most` components with the lowest AIC.

    `draws` is (S, D). The same draws and seed give the same mixture. Overall mean and covariance are the
    draws' own (a fixed point of EM).
    """
    if draws.ndim != 2 or len(draws) < 2 or not np.isfinite(draws).all():
        raise ModelError(
            f"a mixture is fitted to at least 2 finite draws (draws, entries); found shape {draws.shape}, "
            f"{int((~np.isfinite(draws)).sum())} values not finite"
        )
    centre = draws.mean(axis=0)
    sd, least = draws.std(axis=0), NARROWEST * np.maximum(1, np.abs(centre))
    scale = np.where(sd > least, sd, least / np.sqrt(COLLINEAR))
    standard = (draws - centre) / scale
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(standard, rowvar=False, ddof=0)))
    spread = variances > COLLINEAR
    back = scale[:, None] * directions * np.sqrt(np.maximum(variances, COLLINEAR))
    white = standard @ directions[:, spread] / np.sqrt(variances[spread])
    # Matrices are small: threads would only wait for each other, for seconds on a busy machine.
    with threadpool_limits(1):
        weights, means, covariances = _best(white, most, seed)
    inside = np.flatnonzero(spread)
    full_means = np.zeros((len(weights), len(centre)))
    full_means[:, inside] = means
    full = np.tile(np.eye(len(centre)), (len(weights), 1, 1))
    full[:, inside[:, None], inside] = covariances
    mixed = back @ full @ back.T
    return weights, centre + full_means @ back.T, (mixed + np.swapaxes(mixed, 1, 2)) / 2


def _best(white: Floats, most: int, seed: int) -> Numbers:
    """The mixture with the lowest AIC for whitened draws (S, R); one Gaussian is where it starts."""
    rank = white.shape[1]
    best: Numbers = np.ones(1), np.zeros((1, rank)), np.eye(rank)[None]
    if not rank:
        return best
    size = len(np.unique(white[:, 0]))  # copies, as resampling makes them, add no evidence for a component
    lowest = size * rank * (1 + np.log(2 * np.pi)) + 2 * _parameters(1, rank)
    for members in range(2, most + 1):
        if size < 2 * members * LEAST * rank:
            break
        found, log_density = max(
            (_em(white, labels, members) for labels in _starts(white, members, seed)), key=lambda run: run[1]
        )
        aic = -2 * size * log_density + 2 * _parameters(members, rank)
        if aic < lowest - GAIN and found[0].min() * size >= LEAST * rank:
            best, lowest = found, aic
    return best


def _parameters(members: int, rank: int) -> int:
    return members * (1 + rank + rank * (rank + 1) // 2) - 1


def _starts(white: Floats, members: int, seed: int) -> list[np.ndarray]:
    """Labels (S,) to start EM from: clusters for several modes, shells about the centre for heavy tails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster: its start is of no use, no more
        clusters = kmeans2(white, members, iter=10, minit="++", rng=np.random.default_rng(seed))[1]
    radius = (white**2).sum(axis=1)
    # Ever fewer draws outwards: 1/2, 1/4, ... of them; a tail is a small component.
    edges = np.quantile(radius, 1 - 0.5 ** np.arange(1, members))
    return [clusters, np.searchsorted(edges, radius)]


def _em(white: Floats, labels: np.ndarray, members: int) -> tuple[Numbers, float]:
    """EM from the moments of labelled draws: the mixture and its mean log density."""
    from sklearn.exceptions import ConvergenceWarning  # a second to import, and most processes never fit one
    from sklearn.mixture import GaussianMixture

    rank = white.shape[1]
    shares = [np.mean(labels == member) for member in range(members)]
    groups = [white[labels == member] if share else white for member, share in enumerate(shares)]
    ridge = 0.01 * np.eye(rank)  # a group of few draws has no covariance of its own
    covariances = [np.atleast_2d(np.cov(group, rowvar=False, ddof=0)) + ridge for group in groups]
    start = np.maximum(shares, 1e-3)
    model = GaussianMixture(
        members,
        tol=TOLERANCE,
        max_iter=STEPS,
        init_params="random_from_data",  # the cheapest; what it finds is replaced
        weights_init=start / start.sum(),
        means_init=np.array([group.mean(axis=0) for group in groups]),
        precisions_init=np.linalg.inv(covariances),
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a slow one is judged by its AIC like the others
        model.fit(white)
    return (model.weights_, model.means_, model.covariances_), float(model.score(white))
