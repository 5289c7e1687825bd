"""The basis and its sizes are those of PyMC's HSGP, and the posterior that of the exact Gaussian process."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from numpy.typing import NDArray

from posterity.config.smooths import RULES, Smooth
from posterity.models import smooths

KERNELS = {"expquad": pm.gp.cov.ExpQuad, "matern52": pm.gp.cov.Matern52, "matern32": pm.gp.cov.Matern32}
NOISE = 0.2
WEEKS = np.arange(104.0)


@pytest.mark.parametrize("kernel", RULES)
def test_basis_and_density_are_those_of_pymc(kernel: str) -> None:
    smooth, x = Smooth("week", 35, 1.5, kernel, low=0, high=100), np.linspace(-5, 120, 40)
    process = pm.gp.HSGP(m=[35], L=[75.0], cov_func=KERNELS[kernel](1, ls=13.0))
    process._X_center = np.array([50.0])
    functions, roots = process.prior_linearized(X=x[:, None])
    assert smooths.basis(smooth, x) == pytest.approx(functions.eval(), abs=1e-12)
    assert smooths.root_density(smooth, pt.as_tensor(13.0)).eval() == pytest.approx(roots.eval(), rel=1e-5)


def test_the_gradient_is_finite_where_the_density_has_become_0() -> None:
    smooth, scale = Smooth("week", 20, low=0, high=1), pt.dscalar("scale")
    size = smooths.root_density(smooth, scale)
    assert size.eval({scale: 80.0})[-1] == 0
    assert np.isfinite(pt.grad(size.sum(), scale).eval({scale: 80.0}))


def area(smooth: Smooth, scale: float) -> float:
    """The area between the covariance from the middle of the range to its end and the exact one, as a share
    of the exact one's: what Riutort-Mayol et al. (2023, section 4.2) hold to about 1 %.
    """
    away = np.linspace(0, smooth.half, 400)
    sizes = smooths.root_density(smooth, pt.as_tensor(scale)).eval()
    middle, rest = (smooths.basis(smooth, smooth.centre + x) * sizes for x in (np.zeros(1), away))
    exact = KERNELS[smooth.kernel](1, ls=scale)(np.zeros((1, 1)), away[:, None]).eval()[0]
    return float(np.abs(rest @ middle[0] - exact).sum() / exact.sum())


@pytest.mark.parametrize(("kernel", "m"), [("expquad", 24), ("matern52", 40), ("matern32", 60)])
def test_the_covariance_is_the_exact_one_where_m_and_c_are_said_to_suffice(kernel: str, m: int) -> None:
    smooth = Smooth("week", m, 1.5, kernel, low=0, high=111)
    assert area(smooth, smooth.shortest) < 0.02
    assert area(smooth, 1.3 * smooth.shortest) < 0.01
    assert area(smooth, smooth.longest) < 0.01
    # The twins: half and three times as long.
    assert area(smooth, smooth.shortest / 2) > 0.1
    assert area(smooth, 3 * smooth.longest) > 0.1


def exact(scale: float, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the posterior mean multiplies the rows by (n, rows), and its sd (n,)."""

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-((a[:, None] - b) ** 2) / (2 * scale**2))

    gain = kernel(at, WEEKS) @ np.linalg.inv(kernel(WEEKS, WEEKS) + NOISE**2 * np.eye(len(WEEKS)))
    return gain, np.sqrt(1 - np.einsum("ij,ij->i", gain, kernel(at, WEEKS)))


def approximate(
    smooth: Smooth, scale: float, at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same on a basis."""
    sizes = smooths.root_density(smooth, pt.as_tensor(scale)).eval()
    rows, new = (smooths.basis(smooth, x) * sizes for x in (WEEKS, at))
    covariance = np.linalg.inv(rows.T @ rows / NOISE**2 + np.eye(smooth.m))
    sd = np.sqrt(np.einsum("ij,jk,ik->i", new, covariance, new))
    return new @ covariance @ rows.T / NOISE**2, sd


def apart(smooth: Smooth, scale: float, ahead: float) -> tuple[float, float]:
    """Largest distance of the posterior means from the exact ones in sds, over functions that the process
    draws, and of the ratio of the sds from 1.
    """
    at = np.arange(104 + ahead)
    rng = np.random.default_rng(3)
    kernel = np.exp(-((at[:, None] - at) ** 2) / (2 * scale**2)) + 1e-9 * np.eye(len(at))
    function = np.linalg.cholesky(kernel) @ rng.normal(size=(len(at), 200))
    rows = function[:104] + NOISE * rng.normal(size=(104, 200))
    (gain, sd), (own, own_sd) = exact(scale, at), approximate(smooth, scale, at)
    distance = np.sqrt((((own - gain) @ rows) ** 2).mean(axis=1)) / sd
    return float(distance.max()), float(np.abs(own_sd / sd - 1).max())


def test_the_posterior_is_that_of_the_exact_process() -> None:
    """Near the shortest and the longest length scale that m and c are said to allow, and eight weeks after
    the last row, which are inside the range.

    The rule bounds the error of the covariance, by 1 %; what it makes of a posterior depends on the rows, and
    here is a fifth of an sd. Between the two ends there is next to none.
    """
    good = Smooth("week", 24, 1.5, low=0, high=111)
    assert max(apart(good, 15, ahead=8)) < 0.02
    assert max(apart(good, good.longest * 0.9, ahead=8)) < 0.2
    assert max(apart(good, good.shortest * 1.3, ahead=8)) < 0.2
    # The twins: too few functions, an edge too near, and a length scale too long for it.
    assert min(apart(replace(good, m=8), 10, ahead=8)) > 0.3
    assert min(apart(replace(good, c=1.01), 15, ahead=8)) > 0.5
    assert min(apart(good, 3 * good.longest, ahead=8)) > 0.3
