"""Gaussian mixtures: density, curvature, draws, marginals; and what EM makes of draws of every shape."""

import json
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import stats

from posterity.errors import ModelError
from posterity.inference.expectation_maximisation import NARROWEST
from posterity.inference.mixture import Mixture


def mixture(members: int = 3, dimension: int = 2, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(members, dimension, dimension)) + 1.5 * np.eye(dimension)
    return Mixture(
        rng.dirichlet(np.full(members, 5.0)),
        rng.normal(size=(members, dimension), scale=2),
        roots @ np.swapaxes(roots, 1, 2),
    )


def reference(found: Mixture, points):
    parts = [
        stats.multivariate_normal(m, c).pdf(points)
        for m, c in zip(found.means, found.covariances, strict=True)
    ]
    return np.log(found.weights @ np.reshape(parts, (len(parts), -1)))


@pytest.mark.parametrize(("members", "dimension"), [(1, 1), (1, 4), (3, 2), (5, 5)])
def test_density_is_scipys(members: int, dimension: int) -> None:
    found = mixture(members, dimension)
    points = np.random.default_rng(1).normal(size=(40, dimension), scale=3)
    np.testing.assert_allclose(found.log_density(points), reference(found, points), rtol=1e-10)
    share = found.responsibilities(points)
    np.testing.assert_allclose(share.sum(axis=1), 1)


def test_far_away_a_density_stays_a_number() -> None:
    found, far = mixture(), np.full((1, 2), 1e6)
    assert np.isfinite(found.log_density(far)).all()
    assert np.isfinite(found.curvature(far)).all()


def test_curvature_is_minus_the_hessian() -> None:
    found, step = mixture(3, 3), 1e-4
    points = np.random.default_rng(2).normal(size=(20, 3), scale=2)
    ways = step * np.eye(3)
    for i in range(3):
        for j in range(3):
            corners = [
                found.log_density(points + a * ways[i] + b * ways[j]) * a * b
                for a in (1, -1)
                for b in (1, -1)
            ]
            by_differences = -np.sum(corners, axis=0) / (4 * step**2)
            np.testing.assert_allclose(found.curvature(points)[:, i, j], by_differences, rtol=1e-4, atol=1e-4)


def test_draws_have_the_moments_and_shape_of_the_mixture() -> None:
    found = mixture()
    drawn = found.draw(np.random.default_rng(3), 40_000)
    error = np.sqrt(np.diag(found.covariance) / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - found.mean) < 4 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), found.covariance, rtol=0.05, atol=0.05)
    one = found.select([1])
    cdf = stats.norm(one.means[:, 0], np.sqrt(one.covariances[:, 0, 0])).cdf(drawn[:4_000, 1, None])
    assert stats.kstest(cdf @ one.weights, "uniform").pvalue > 0.01
    twin = found.spread(1.2).select([1])
    wide = stats.norm(twin.means[:, 0], np.sqrt(twin.covariances[:, 0, 0])).cdf(drawn[:4_000, 1, None])
    assert stats.kstest(wide @ twin.weights, "uniform").pvalue < 1e-3


def test_select_is_the_marginal_in_the_order_asked_for() -> None:
    found = mixture(3, 4)
    assert found.select([2, 0]).mean == pytest.approx(found.mean[[2, 0]])
    np.testing.assert_allclose(found.select([2, 0]).covariance, found.covariance[np.ix_([2, 0], [2, 0])])


@pytest.mark.parametrize("factors", [2.0, np.array([1.0, 3.0, 0.5])])
def test_spread_scales_sds_and_keeps_mean_and_correlation(factors) -> None:
    found = mixture(3, 3)
    wide = found.spread(factors)
    np.testing.assert_allclose(wide.mean, found.mean, atol=1e-12)
    scale = factors * np.ones(3)
    np.testing.assert_allclose(wide.covariance, scale[:, None] * found.covariance * scale)


def test_a_joined_component_is_last_and_has_its_weight() -> None:
    found = mixture()
    joined = found.joined(0.2, np.zeros(2), 9 * np.eye(2))
    np.testing.assert_allclose(joined.weights, [*(0.8 * found.weights), 0.2])
    np.testing.assert_array_equal(joined.covariances[-1], 9 * np.eye(2))
    nothing = found.joined(0.0, np.zeros(2), np.eye(2))
    points = np.zeros((3, 2))
    np.testing.assert_allclose(nothing.log_density(points), found.log_density(points))
    assert nothing.draw(np.random.default_rng(0), 10).shape == (10, 2)


def test_round_trips_to_the_last_bit() -> None:
    found = mixture(4, 3)
    for back in (
        Mixture.from_dict(json.loads(json.dumps(found.to_dict()))),
        pickle.loads(pickle.dumps(found)),
    ):
        for name in ("weights", "means", "covariances"):
            np.testing.assert_array_equal(getattr(back, name), getattr(found, name))


def test_a_mixture_cannot_be_written_to_nor_follows_what_it_was_made_from() -> None:
    mean = np.zeros(2)
    found = Mixture.gaussian(mean, np.eye(2))
    mean[0] = 5
    assert found.mean[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        found.means[0, 0] = 1


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "said"),
    [
        ([0.5, 0.6], np.zeros((2, 1)), np.ones((2, 1, 1)), "add up to 1"),
        ([1.5, -0.5], np.zeros((2, 1)), np.ones((2, 1, 1)), "at least 0"),
        ([1.0], np.zeros((1, 2)), np.ones((1, 1, 1)), "needs weights"),
        ([1.0], np.zeros(2), np.eye(2), "means are"),
        ([1.0], np.full((1, 1), np.nan), np.ones((1, 1, 1)), "not finite"),
        ([1.0], np.zeros((1, 2)), [[[1.0, 2.0], [2.0, 1.0]]], "positive definite"),
        ([1.0], np.zeros((1, 2)), [[[1.0, 0.5], [0.4, 1.0]]], "symmetric"),
    ],
)
def test_what_is_no_mixture_is_refused(weights, means, covariances, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Mixture(np.asarray(weights), np.asarray(means), np.asarray(covariances))


def test_a_file_without_covariances_is_refused() -> None:
    with pytest.raises(ModelError, match="covariances is not there"):
        Mixture.from_dict({"weights": [1.0], "means": [[0.0]]})
    with pytest.raises(ModelError, match="lists of numbers"):
        Mixture.from_dict({"weights": ["a"], "means": [[0.0]], "covariances": [[[1.0]]]})


def samples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    normal = rng.normal(size=(4_000, 3))
    return {
        "normal": normal @ np.array([[1.0, 0.9, 0], [0, 0.3, 0], [0, 0, 50.0]]),
        "heavy tails": normal * np.exp(0.6 * rng.normal(size=(4_000, 1))),
        "two modes": normal + 5 * (rng.random((4_000, 1)) < 0.3),
        "skewed": rng.gamma(2, size=(4_000, 3)),
    }


def test_a_fit_keeps_the_moments_of_the_draws_and_finds_their_shape() -> None:
    members = {}
    for name, drawn in samples().items():
        found = Mixture.fitted(drawn)
        members[name] = len(found.weights)
        np.testing.assert_allclose(found.mean, drawn.mean(axis=0), atol=1e-8)
        np.testing.assert_allclose(found.covariance, np.cov(drawn.T, ddof=0), rtol=1e-4, atol=1e-5)
        gained = (
            found.log_density(drawn) - Mixture.gaussian(drawn.mean(0), np.cov(drawn.T)).log_density(drawn)
        ).sum()
        assert gained > -1 if name == "normal" else gained > 150, name
    assert members["normal"] == 1
    assert members["two modes"] == 2
    assert members["heavy tails"] >= 2


def test_a_fit_finds_the_mixture_that_was_drawn_from() -> None:
    true = Mixture.gaussian([0.0, 10], np.diag([1.0, 4])).joined(0.25, [4.0, 0], [[0.5, 0.3], [0.3, 1.0]])
    found = Mixture.fitted(true.draw(np.random.default_rng(5), 4_000))
    order = np.argsort(-found.weights)
    np.testing.assert_allclose(found.weights[order], true.weights, atol=0.03)
    np.testing.assert_allclose(found.means[order], true.means, atol=0.15)
    np.testing.assert_allclose(found.covariances[order], true.covariances, atol=0.3)


def test_a_fit_does_not_depend_on_units() -> None:
    drawn = samples()["heavy tails"][:1_500]
    unit = np.array([1e-3, 1, 1e5])
    one, other = Mixture.fitted(drawn), Mixture.fitted(drawn * unit)
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-3)
    np.testing.assert_allclose(other.means / unit, one.means, atol=1e-2)


def test_shared_collinear_and_constant_entries() -> None:
    rng = np.random.default_rng(6)
    free = rng.normal(size=(2_000, 2)) * np.exp(0.5 * rng.normal(size=(2_000, 1)))
    shared = 1 + 1e-3 * rng.normal(size=2_000)
    drawn = np.column_stack([free, shared, free @ [1.0, -2.0], np.full(2_000, 40.0)])
    found = Mixture.fitted(drawn)
    sd = np.sqrt(np.diag(found.covariance))
    np.testing.assert_allclose(sd[:4], drawn[:, :4].std(axis=0), rtol=1e-3)
    assert sd[4] == pytest.approx(40 * NARROWEST, rel=0.5)
    again = found.draw(rng, 500)
    assert np.abs(again[:, 3] - again[:, :2] @ [1, -2]).max() < 1e-2
    assert np.isfinite(found.log_density(drawn)).all()
    assert len(Mixture.fitted(np.tile([1.0, 2.0], (50, 1))).weights) == 1


def test_few_draws_and_copies_make_no_components_of_their_own() -> None:
    rng = np.random.default_rng(7)
    assert len(Mixture.fitted(rng.normal(size=(5, 8))).weights) == 1
    copies = np.repeat(rng.normal(size=(250, 3)), 4, axis=0)
    found = Mixture.fitted(copies)
    assert np.linalg.eigvalsh(found.covariances).min() > 0.05


@pytest.mark.parametrize("drawn", [np.array([[1.0, np.nan], [0, 1]]), np.zeros((1, 2)), np.zeros(5)])
def test_draws_that_cannot_be_fitted_are_refused(drawn) -> None:
    with pytest.raises(ModelError, match="at least 2 finite draws"):
        Mixture.fitted(drawn)


def test_the_same_draws_and_seed_give_the_same_bits() -> None:
    drawn = samples()["skewed"][:1_000]
    one, other = (Mixture.fitted(drawn, seed=3).to_dict() for _ in range(2))
    assert one == other


def test_a_fit_is_fast() -> None:
    """Measured 0.1 to 0.4 s on an idle machine."""
    rng = np.random.default_rng(8)
    drawn = rng.normal(size=(4_000, 5)) * np.exp(0.5 * rng.normal(size=(4_000, 1)))
    Mixture.fitted(drawn[:500])
    start = time.process_time()
    Mixture.fitted(drawn)
    assert time.process_time() - start < 2.5


def test_reading_a_mixture_does_not_import_scikit_learn() -> None:
    code = "import sys; from posterity.inference import mixture; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
