"""Importance sampling: kernels, smoothed weights, resampling, and whether the certificate tells the truth."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from posterity.inference.importance import FREEDOM, Kernels, certificate, resample, smoothed


def kernels(members: int, dimension: int, shared: bool = False) -> Kernels:
    rng = np.random.default_rng(members + 10 * dimension)
    lower = np.tril(rng.normal(size=(1 if shared else members, dimension, dimension)))
    lower[:, range(dimension), range(dimension)] = rng.uniform(0.3, 2, size=(len(lower), dimension))
    weights = rng.dirichlet(np.ones(members))
    return Kernels(rng.normal(size=(members, dimension), scale=3), lower, weights)


def reference(found: Kernels, points):
    """The same density by scipy."""
    scales = np.broadcast_to(
        found.lower @ np.swapaxes(found.lower, 1, 2), (len(found.centres), *found.lower.shape[1:])
    )
    parts = [
        stats.multivariate_t(centre, scale, df=FREEDOM).logpdf(points)
        for centre, scale in zip(found.centres, scales, strict=True)
    ]
    return logsumexp(np.log(found.weights)[:, None] + np.reshape(parts, (len(parts), -1)), axis=0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("members", "dimension"), [(1, 1), (1, 4), (6, 2), (40, 3)])
def test_density_of_kernels_is_scipys_up_to_one_constant(members: int, dimension: int, shared: bool) -> None:
    one, points = (
        kernels(members, dimension, shared),
        np.random.default_rng(1).normal(size=(50, dimension), scale=4),
    )
    difference = one.log_density(points) - reference(one, points)
    other = kernels(1, dimension)
    constant = (other.log_density(points) - reference(other, points))[0]
    np.testing.assert_allclose(difference, constant, atol=1e-8)


def test_draws_have_the_density_of_the_kernels() -> None:
    one = kernels(3, 2)
    draws = one.draw(np.random.default_rng(2), 40_000)
    covariances = FREEDOM / (FREEDOM - 2) * one.lower @ np.swapaxes(one.lower, 1, 2)
    mean = one.weights @ one.centres
    between = one.centres - mean
    covariance = np.einsum("m,mij->ij", one.weights, covariances + between[:, :, None] * between[:, None])
    assert np.abs(draws.mean(axis=0) - mean).max() < 0.05
    np.testing.assert_allclose(np.cov(draws, rowvar=False), covariance, rtol=0.06, atol=0.1)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_khat_is_the_shape_of_a_known_tail(shape: float) -> None:
    """Ratios U^-k are Pareto with shape k."""
    rng = np.random.default_rng(3)
    found = [smoothed(-shape * np.log(rng.uniform(size=8_000)))[1] for _ in range(20)]
    assert np.mean(found) == pytest.approx(shape, abs=0.05)


def test_smoothing_keeps_good_weights_and_tames_bad_ones() -> None:
    rng = np.random.default_rng(4)
    good = rng.normal(size=4_000, scale=0.1)
    weights, khat = smoothed(good)
    assert khat < 0.3
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights, np.exp(good) / np.exp(good).sum(), rtol=0.2)
    bad = -0.9 * np.log(rng.uniform(size=4_000))
    weights, khat = smoothed(bad)
    assert khat > 0.7
    assert weights.max() <= np.exp(bad).max() / np.exp(bad).sum() + 1e-9
    impossible = np.where(np.arange(4_000) < 2_000, good, -np.inf)
    weights, _ = smoothed(impossible)
    assert (weights[2_000:] < 1e-12).all()


def test_resampling_is_unbiased_and_copies_no_more_than_asked() -> None:
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.full(50, 0.3))
    counts = np.array([np.bincount(resample(weights, 200, rng), minlength=50) for _ in range(4_000)])
    wanted = 200 * weights
    assert (counts >= np.floor(wanted - 1e-9)).all()
    assert (counts <= np.ceil(wanted + 1e-9)).all()
    error = np.sqrt(np.maximum(counts.var(axis=0), 1e-3) / len(counts))
    assert (np.abs(counts.mean(axis=0) - wanted) < 5 * error).all()


def test_resampled_draws_are_in_random_order() -> None:
    kept = resample(np.full(1_000, 1e-3), 1_000, np.random.default_rng(6))
    assert abs(stats.spearmanr(np.arange(1_000), kept).statistic) < 0.1


def repeated(width: float, size: int = 1_000, repeats: int = 600) -> tuple[float, float]:
    """Variance of the resampled mean of N(0, 1) by proposals N(0, width) over repeats, and what the ESS
    promises.
    """
    rng, means, promised = np.random.default_rng(7), [], []
    for _ in range(repeats):
        x = width * rng.normal(size=size)
        weights, khat = smoothed(stats.norm.logpdf(x) - stats.norm(0, width).logpdf(x))
        kept = resample(weights, size, rng)
        found = certificate(x[:, None], np.bincount(kept, minlength=size), khat)
        means.append(x[kept].mean())
        promised.append(1 / found.ess_bulk[0])
    return float(np.var(means)), float(np.mean(promised))


@pytest.mark.parametrize("width", [1.2, 2.0, 5.0])
def test_effective_size_is_that_of_repeated_sampling(width: float) -> None:
    """The sd of the ratio over 600 repeats is 6 %. A size that ignores copies (1,000) must be far off for
    wide ones.
    """
    variance, promised = repeated(width)
    assert 0.8 < variance / promised < 1.3
    if width == 5.0:
        assert variance * 1_000 > 2


def test_identical_draws_have_no_effective_size() -> None:
    copies = np.zeros(100, dtype=np.int64)
    copies[7] = 400
    found = certificate(np.arange(100.0)[:, None], copies, 0.1)
    assert np.isnan(found.ess_bulk).all()
    assert np.isnan(found.rhat).all()
