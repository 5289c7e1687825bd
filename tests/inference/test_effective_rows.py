"""Rows a prior is worth: exact for Gaussians, quadrature for one entry, consistent predictions; the cap."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from posterity.errors import ModelError
from posterity.inference.effective_rows import (
    FLATTENED,
    cap,
    edges_of,
    effective_rows,
    elir,
    elir_1d,
    mode,
    moment_1d,
    moment_rows,
    morita_1d,
    morita_rows,
)
from posterity.inference.mixture import Mixture

INFORMATION = np.array([[4.0, 1.0, 0.2], [1.0, 0.5, 0.0], [0.2, 0.0, 90.0]])


def heavy(dimension: int = 3) -> Mixture:
    """A scale mixture: what a population's predictive distribution looks like."""
    inner = np.linalg.inv(INFORMATION[:dimension, :dimension]) / 20
    return Mixture.gaussian(np.zeros(dimension), inner).joined(0.3, 0.2 * np.ones(dimension), 8 * inner)


def one_dimensional() -> Mixture:
    return Mixture(np.array([0.7, 0.3]), np.array([[0.0], [1.0]]), np.array([[[0.2]], [[1.5]]]))


def curves(found: Mixture):
    """Log density and quantile function of a mixture in one dimension."""
    sd = np.sqrt(found.covariances[:, 0, 0])
    grid = np.linspace(-12, 12, 20_001)
    below = stats.norm(found.means[:, 0], sd).cdf(grid[:, None]) @ found.weights
    return lambda x: found.log_density(x[:, None]), lambda q: np.interp(q, below, grid)


@pytest.mark.parametrize("rows", [0.3, 8, 4_000])
def test_a_gaussian_worth_n_rows_counts_for_exactly_n(rows: float) -> None:
    prior = Mixture.gaussian(np.ones(3), np.linalg.inv(rows * INFORMATION))
    assert effective_rows(prior, INFORMATION) == pytest.approx(rows, rel=1e-10)
    assert moment_rows(prior, INFORMATION) == pytest.approx(rows, rel=1e-10)
    assert morita_rows(prior, INFORMATION) == pytest.approx(rows * (1 - 1 / FLATTENED), rel=1e-10)


def test_units_and_rotations_of_the_parameters_change_nothing() -> None:
    change = np.random.default_rng(0).normal(size=(3, 3))
    back = np.linalg.inv(change)
    prior = heavy()
    moved = Mixture(prior.weights, prior.means @ change.T, change @ prior.covariances @ change.T)
    for count in (effective_rows, moment_rows, morita_rows):
        assert count(moved, back.T @ INFORMATION @ back) == pytest.approx(count(prior, INFORMATION), rel=0.02)


def test_in_one_dimension_all_three_agree_with_quadrature() -> None:
    prior = one_dimensional()
    log_density, quantile = curves(prior)
    edges, information = edges_of(quantile), np.array([[2.5]])

    def constant(x):
        return np.full_like(x, 2.5)

    exact = elir_1d(log_density, constant, edges)
    found = [effective_rows(prior, information, seed=seed) for seed in range(8)]
    assert found == pytest.approx([exact] * 8, rel=0.03)
    assert np.mean(found) == pytest.approx(exact, rel=0.01)
    drawn = prior.draw(np.random.default_rng(1), 40_000)
    assert elir(prior.curvature(drawn), information) == pytest.approx(exact, rel=0.03)
    assert moment_rows(prior, information) == pytest.approx(moment_1d(log_density, constant, edges), rel=1e-6)
    # The flattened part, one per cent, is the widest component's here and the whole density's there.
    assert morita_rows(prior, information) == pytest.approx(morita_1d(log_density, constant, edges), rel=0.01)
    assert moment_rows(prior, information) < exact < morita_rows(prior, information)


def test_quadrature_knows_a_beta_prior_and_bernoulli_rows() -> None:
    """On the scale of the probability Beta(a, b) is worth a + b rows, on that of log odds too."""
    beta = stats.beta(5, 15)
    edges = edges_of(beta.ppf)
    assert elir_1d(beta.logpdf, lambda x: 1 / (x * (1 - x)), edges) == pytest.approx(20, rel=1e-6)
    assert moment_1d(beta.logpdf, lambda x: 1 / (x * (1 - x)), edges) == pytest.approx(20, rel=1e-8)

    def log_odds_density(t):
        return beta.logpdf(expit(t)) + np.log(expit(t) * expit(-t))

    odds = np.log(edges / (1 - edges))
    assert elir_1d(log_odds_density, lambda t: expit(t) * expit(-t), odds) == pytest.approx(20, rel=1e-6)


def test_elir_is_predictively_consistent() -> None:
    """After m rows of the prior's own predictions it is n + m on average; the moment rule is not."""
    rng, prior, information, rows = np.random.default_rng(2), one_dimensional(), 2.5, 10
    truths = prior.draw(rng, 300)[:, 0]
    means = truths + rng.normal(size=300) / np.sqrt(rows * information)
    precise = 1 / prior.covariances[:, 0, 0] + rows * information
    elirs, moments = [], []
    for mean in means:
        wide = np.sqrt(prior.covariances[:, 0, 0] + 1 / (rows * information))
        weights = prior.weights * stats.norm(prior.means[:, 0], wide).pdf(mean)
        centre = (prior.means[:, 0] / prior.covariances[:, 0, 0] + rows * information * mean) / precise
        after = Mixture(weights / weights.sum(), centre[:, None], 1 / precise[:, None, None])
        elirs.append(effective_rows(after, np.array([[information]])))
        moments.append(moment_rows(after, np.array([[information]])))
    error = np.std(elirs) / np.sqrt(len(elirs))
    assert np.mean(elirs) - rows == pytest.approx(
        effective_rows(prior, np.array([[information]])), abs=4 * error
    )
    assert abs(np.mean(moments) - rows - moment_rows(prior, np.array([[information]]))) > 4 * error


def test_the_mode_is_the_highest() -> None:
    prior = Mixture(
        np.array([0.6, 0.4]), np.array([[0.0, 0], [4, 4]]), np.array([4 * np.eye(2), 0.1 * np.eye(2)])
    )
    top = mode(prior)
    around = top + 0.01 * np.random.default_rng(3).normal(size=(200, 2))
    assert top == pytest.approx([4, 4], abs=0.01)
    assert (prior.log_density(around) <= prior.log_density(top[None]) + 1e-12).all()


@pytest.mark.parametrize("rows", [1.0, 8.0])
def test_a_cap_lands_on_the_cap(rows: float) -> None:
    prior = heavy()
    assert effective_rows(prior, INFORMATION) > 10
    capped = cap(prior, INFORMATION, rows, [0, 1, 2])
    assert effective_rows(capped, INFORMATION) == pytest.approx(rows, rel=1e-9)
    assert [effective_rows(capped, INFORMATION, seed=seed) for seed in range(1, 6)] == pytest.approx(
        [rows] * 5, rel=0.02
    )
    np.testing.assert_allclose(capped.mean, prior.mean)
    twin = cap(prior, INFORMATION, 2 * rows, [0, 1, 2])
    assert effective_rows(twin, INFORMATION) > 1.5 * rows


def test_a_prior_below_the_cap_stays_as_it_is() -> None:
    prior = heavy()
    assert cap(prior, INFORMATION, 1e6, [0, 1, 2]) is prior
    assert cap(prior, INFORMATION, 1.0, []) is prior


def test_a_cap_leaves_shared_entries_alone_and_does_not_count_them() -> None:
    """Entry 2 is shared, known as if from 400,000 rows: it must not widen the others beyond the cap."""
    scale = np.array([1.0, 1.0, 1e-2])
    prior = heavy().spread(scale)
    capped = cap(prior, INFORMATION, 2.0, [0, 1])
    np.testing.assert_allclose(capped.select([2]).covariance, prior.select([2]).covariance)
    assert effective_rows(capped.select([0, 1]), INFORMATION[:2, :2]) == pytest.approx(2, rel=1e-9)
    assert effective_rows(capped, INFORMATION) > 1_000


@pytest.mark.parametrize("rows", [0.0, -1.0, np.nan])
def test_a_cap_of_no_rows_is_refused(rows: float) -> None:
    with pytest.raises(ModelError, match="above 0"):
        cap(heavy(), INFORMATION, rows, [0])


def test_directions_that_rows_say_nothing_about_are_not_counted() -> None:
    prior = Mixture.gaussian(np.zeros(3), np.linalg.inv(5 * INFORMATION))
    blind = INFORMATION.copy()
    blind[2], blind[:, 2] = 0, 0
    assert effective_rows(prior, blind) == pytest.approx(5, rel=0.01)
    indefinite = blind + np.diag([0, 0, -1.0])
    assert effective_rows(prior, indefinite) == pytest.approx(5, rel=0.01)
    assert effective_rows(prior, np.zeros((3, 3))) == np.inf
    assert cap(prior, np.zeros((3, 3)), 2.0, [0, 1, 2]) is prior
