"""The vague component: one row's worth, inside the declared prior, well outside the population."""

import numpy as np
import pytest
from scipy.linalg import eigh

from posterity.errors import ModelError
from posterity.inference.effective_rows import effective_rows
from posterity.inference.mixture import Mixture
from posterity.inference.unit_information import UNDECLARED, WIDER, vague

NARROW = 1e-4 * np.eye(3)


def covariance(seed: int, dimension: int = 3, scale: float = 1.0):
    root = np.random.default_rng(seed).normal(size=(dimension, dimension))
    return scale * (root @ root.T + 0.1 * np.eye(dimension))


def test_between_wide_and_narrow_it_is_unit_information() -> None:
    information = covariance(0)
    found = vague(information, 1e6 * np.eye(3), NARROW)
    np.testing.assert_allclose(found, np.linalg.inv(information), rtol=1e-8)
    assert effective_rows(Mixture.gaussian(np.zeros(3), found), information) == pytest.approx(1)


def test_no_direction_is_wider_than_the_declared_prior() -> None:
    declared = covariance(1)
    found = vague(covariance(2, scale=0.5), declared, NARROW)
    ratios = eigh(found, declared, eigvals_only=True)
    assert ratios.max() <= 1 + 1e-9
    assert ratios.min() < 0.9
    np.testing.assert_allclose(vague(1e-9 * np.eye(3), declared, NARROW), declared, rtol=1e-6)


def test_every_direction_is_wider_than_the_population() -> None:
    """Even where the population is wider than the declared prior or than a row's information."""
    population = covariance(3)
    found = vague(covariance(4, scale=10), covariance(5), population)
    ratios = eigh(found, population, eigvals_only=True)
    assert ratios.min() >= WIDER - 1e-9
    twin = np.linalg.inv(covariance(4, scale=10))
    assert eigh(twin, population, eigvals_only=True).min() < WIDER


@pytest.mark.parametrize(
    "information",
    [
        np.zeros((3, 3)),
        np.diag([4.0, 0, 0]),
        np.diag([4.0, -2, 0]),
        np.outer([1.0, 2, 3], [1, 2, 3]),
        np.full((3, 3), np.nan),
    ],
)
def test_information_that_is_singular_or_indefinite(information) -> None:
    declared = covariance(6)
    found = vague(information, declared, NARROW)
    np.linalg.cholesky(found)
    assert eigh(found, declared, eigvals_only=True).max() <= 1 + 1e-9


def test_units_change_nothing() -> None:
    unit = np.array([1e-3, 1.0, 1e4])
    numbers = covariance(7), covariance(8), covariance(9, scale=0.1)
    one = vague(*numbers)
    other = vague(numbers[0] / unit / unit[:, None], *(c * unit * unit[:, None] for c in numbers[1:]))
    np.testing.assert_allclose(other / unit / unit[:, None], one, rtol=1e-6)


def test_a_population_without_spread_in_a_shared_entry() -> None:
    population = np.diag([0.2, 0.0, 1e-6])
    found = vague(np.eye(3), 4 * np.eye(3), population)
    np.testing.assert_allclose(found, np.eye(3), atol=1e-8)


def test_a_flat_declared_prior_is_no_limit() -> None:
    declared = np.diag([np.inf, 1.0, np.inf])
    found = vague(np.diag([1e-2, 1e-2, 0.0]), declared, np.diag([0.1, 0.1, 0.1]))
    np.testing.assert_allclose(np.diag(found), [100, 1, 0.1 * UNDECLARED], rtol=1e-8)


def test_a_declared_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="declared prior"):
        vague(np.eye(2), np.array([[1.0, 2], [2, 1]]), np.eye(2))
