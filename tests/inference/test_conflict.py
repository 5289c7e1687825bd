"""Prior–data conflict: uniform under the prior, small when it is wrong."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from posterity.inference.conflict import conflict_p

DRAWS = 199
"""p is a multiple of 1/200: exactly uniform on 1/200, ..., 1 without ties."""

type Simulate = Callable[[np.random.Generator, int, int], np.ndarray]


def normal(rng: np.random.Generator, size: int, rows: int) -> np.ndarray:
    """A level and a slope of its own for every draw: rows are strongly correlated."""
    level, slope = rng.normal(size=(2, size, 1))
    return level + slope * np.linspace(0, 1, rows) + 0.2 * rng.normal(size=(size, rows))


def heavy(rng: np.random.Generator, size: int, rows: int) -> np.ndarray:
    return rng.standard_cauchy((size, 1)) + rng.standard_cauchy((size, rows))


def counts(rng: np.random.Generator, size: int, rows: int) -> np.ndarray:
    return rng.poisson(rng.gamma(2, size=(size, 1)), (size, rows)).astype(float)


def ps(simulate: Simulate, rows: int, repeats: int = 300, moved: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(100 + rows)
    return np.array(
        [conflict_p(simulate(rng, DRAWS, rows), simulate(rng, 1, rows)[0] + moved) for _ in range(repeats)]
    )


@pytest.mark.parametrize("rows", [1, 5, 200])
@pytest.mark.parametrize("simulate", [normal, heavy])
def test_uniform_when_rows_come_from_the_prior(simulate: Simulate, rows: int) -> None:
    found = ps(simulate, rows, repeats=800 if rows < 100 else 200)
    assert stats.kstest(found - 0.5 / (DRAWS + 1), "uniform").pvalue > 0.005
    assert found.min() >= 1 / (DRAWS + 1)
    assert found.max() <= 1


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_not_uniform_when_the_prior_is_one_sd_off(rows: int) -> None:
    found = ps(normal, rows, moved=1.5)
    assert stats.kstest(found, "uniform").pvalue < 1e-6
    assert found.mean() < 0.4


@pytest.mark.parametrize("rows", [5, 40])
def test_uniform_for_counts_with_ties(rows: int) -> None:
    found = ps(counts, rows)
    binned = np.histogram(found, bins=5, range=(0, 1 + 1e-9))[0]
    assert stats.chisquare(binned).pvalue > 0.005


def test_one_count_gives_no_false_alarms() -> None:
    """With few different values p is large rather than uniform: never too small."""
    found = ps(counts, 1, repeats=600)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / 600)


@pytest.mark.parametrize(("simulate", "moved"), [(normal, 5.0), (heavy, 2_000.0), (counts, 30.0)])
@pytest.mark.parametrize("rows", [1, 16, 100])
def test_rows_from_elsewhere_are_a_conflict(simulate: Simulate, moved: float, rows: int) -> None:
    found = ps(simulate, rows, repeats=40, moved=moved)
    assert np.mean(found <= 0.05) > 0.9
    assert stats.kstest(found, "uniform").pvalue < 1e-6


def test_a_shape_that_the_prior_does_not_know_is_a_conflict() -> None:
    """The level is right in the middle: only the pattern over time is off."""
    rng = np.random.default_rng(1)
    predictive = normal(rng, 999, 40)
    zigzag = np.where(np.arange(40) < 20, 0.0, 1.0) * np.where(np.arange(40) < 30, 1.0, -1.0)
    assert conflict_p(predictive, zigzag) < 0.01
    assert conflict_p(predictive, np.full(40, 0.3) + 0.2 * rng.normal(size=40)) > 0.05


@pytest.mark.parametrize("rows", [1, 4, 16, 52])
def test_rows_beyond_every_draw_have_nearly_the_smallest_probability(rows: int) -> None:
    """One draw may be as extreme as that by each of the four statistics, or at either end of the only one.

    z' C⁻¹ z alone gave 0.04 for 8 rows and more for 16: ranks end at the most extreme draw.
    """
    predictive = normal(np.random.default_rng(2), 999, rows)
    assert conflict_p(predictive, np.full(rows, 100.0)) <= 4 / 1_000
    assert conflict_p(predictive, np.full(rows, -100.0)) <= 4 / 1_000
    assert conflict_p(predictive, np.linspace(50, 100, rows)) <= 4 / 1_000


def test_units_and_their_logarithm_change_nothing() -> None:
    rng = np.random.default_rng(3)
    predictive, observed = np.exp(normal(rng, 499, 10)), np.exp(normal(rng, 1, 10)[0])
    found = conflict_p(predictive, observed)
    assert conflict_p(1e6 * predictive, 1e6 * observed) == found
    assert conflict_p(np.log(predictive), np.log(observed)) == found


def test_constant_columns_say_nothing() -> None:
    rng = np.random.default_rng(4)
    predictive, observed = normal(rng, 499, 6), normal(rng, 1, 6)[0]
    padded = np.column_stack([np.zeros((499, 2)), predictive])
    # Shrinkage depends a little on the number of columns.
    assert conflict_p(padded, np.append([0.0, 0.0], observed)) == pytest.approx(
        conflict_p(predictive, observed), abs=0.02
    )
    assert conflict_p(np.ones((499, 3)), np.ones(3)) == 1
    assert conflict_p(np.ones((499, 3)), np.array([1.0, 1.0, 9.0])) == pytest.approx(1 / 500)


def test_identical_columns_do_not_break_it() -> None:
    rng = np.random.default_rng(5)
    column = rng.normal(size=(499, 1))
    assert conflict_p(np.repeat(column, 16, axis=1), np.zeros(16)) > 0.5
    assert conflict_p(np.repeat(column, 16, axis=1), np.full(16, 9.0)) <= 2 / 500


def test_overflowing_draws_and_missing_rows() -> None:
    rng = np.random.default_rng(6)
    predictive = normal(rng, 499, 40)
    predictive[:5, 3], predictive[:5, 4], predictive[7, 0] = np.inf, -np.inf, np.nan
    observed = normal(rng, 1, 40)[0]
    assert 0 < conflict_p(predictive, observed) <= 1
    observed[:30] = np.nan
    assert 0 < conflict_p(predictive, observed) <= 1
    assert np.isnan(conflict_p(predictive, np.full(40, np.nan)))
    assert np.isnan(conflict_p(np.empty((499, 0)), np.empty(0)))


def test_it_is_fast() -> None:
    """Measured 1.6 ms for 1,000 draws of 16 rows, 2.2 ms for counts."""
    rng = np.random.default_rng(7)
    predictive = normal(rng, 1_000, 16)

    def seconds() -> float:
        start = time.perf_counter()
        conflict_p(predictive, predictive[0])
        return time.perf_counter() - start

    assert min(seconds() for _ in range(10)) < 6e-3
