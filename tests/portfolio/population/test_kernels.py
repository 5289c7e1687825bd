"""The closed-form marginal of factors against the joint Gaussian that it stands for, and its gradient."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from posterity.portfolio.population import kernels
from posterity.portfolio.population.density import PopulationDensity, correlation_factor

type Floats = NDArray[np.float64]

P, ENTITIES = 3, 24


def factors(rng: np.random.Generator, shared: int, entities: int = ENTITIES) -> Floats:
    """Random factors (E, B, 1 + p + p²) with all their Taylor coefficients."""
    rows = 1 + shared + shared * (shared + 1) // 2
    out = np.zeros((entities, rows, 1 + P + P * P))
    for one in out:
        root = rng.normal(size=(P, P))
        q = 2 * root @ root.T
        one[0] = np.concatenate([rng.normal(size=1), q @ rng.normal(size=P), q.ravel()])
        for row in one[1:]:
            symmetric = rng.normal(size=(P, P)) * 0.2
            row[:] = np.concatenate(
                [rng.normal(size=1), rng.normal(size=P) * 0.3, (symmetric + symmetric.T).ravel()]
            )
        one[1 + shared :, 0] -= 10
    return out


def density(*, full: bool, groups: int, shared: int, seed: int = 0) -> PopulationDensity:
    rng = np.random.default_rng(seed)
    group = np.arange(ENTITIES, dtype=np.int64) % groups
    return PopulationDensity(
        factors(rng, shared),
        group,
        groups,
        full,
        [stats.halfnorm.logpdf] * P,
        lambda x: -0.5 * (x**2).sum(axis=1),
        np.full(shared, 5.0),
    )


def somewhere(one: PopulationDensity, seed: int = 1) -> Floats:
    psi = np.random.default_rng(seed).normal(size=one.dimension) * 0.3
    psi[one.slices[-1]] *= 0.1
    return psi


def joint(one: PopulationDensity, psi: Floats, *, determinant: bool = True) -> tuple[float, Floats, Floats]:
    """Log marginal by the Gaussian of all entities' a at once, and mean and covariance of all a."""
    lowers, between, deltas = one.spreads(psi[None])
    sigma = lowers[0] @ lowers[0].T
    within = one.group[:, None] == one.group[None]
    omega = np.diag(between[0] ** 2) if between.size else np.zeros((P, P))
    prior = np.kron(np.ones((ENTITIES, ENTITIES)), np.eye(P)) + np.kron(within, omega)
    prior += np.kron(np.eye(ENTITIES), sigma)
    k, delta = one.shared, deltas[0]
    f = one.coefficients[:, 0] + np.einsum("k,ekv->ev", delta, one.coefficients[:, 1 : 1 + k])
    row = 1 + k
    for i in range(k):
        for j in range(i + 1):
            f = f + delta[i] * delta[j] * (0.5 if i == j else 1) * one.coefficients[:, row]
            row += 1
    q = np.zeros_like(prior)
    for e in range(ENTITIES):
        q[e * P : e * P + P, e * P : e * P + P] = f[e, 1 + P :].reshape(P, P)
    eta = f[:, 1 : 1 + P].ravel()
    inside = np.eye(len(prior)) + q @ prior
    covariance = prior @ np.linalg.inv(inside)
    value = f[:, 0].sum() + 0.5 * eta @ covariance @ eta
    if determinant:
        value -= 0.5 * np.linalg.slogdet(inside)[1]
    return float(value), covariance @ eta, covariance


CASES = [(full, groups, shared) for full in (True, False) for groups in (1, 4) for shared in (0, 2)]


@pytest.mark.parametrize(("full", "groups", "shared"), CASES)
def test_the_marginal_is_that_of_the_joint_gaussian(full: bool, groups: int, shared: int) -> None:
    one = density(full=full, groups=groups, shared=shared)
    psis = np.array([somewhere(one, seed) for seed in range(3)])
    found = one.densities(psis) - one.log_prior(psis)
    exact = np.array([joint(one, psi)[0] for psi in psis])
    np.testing.assert_allclose(found, exact, rtol=1e-11)
    # The twin: without the determinants it is another function of ψ.
    wrong = np.array([joint(one, psi, determinant=False)[0] for psi in psis])
    assert np.abs(np.diff(found - wrong)).min() > 0.1


@pytest.mark.parametrize(("full", "groups", "shared"), CASES)
def test_the_gradient_is_that_of_the_density(full: bool, groups: int, shared: int) -> None:
    one = density(full=full, groups=groups, shared=shared)
    psi, step = somewhere(one), 1e-5 * np.eye(one.dimension)
    differences = (one.densities(psi + step) - one.densities(psi - step)) / 2e-5
    np.testing.assert_allclose(one.gradient(psi), differences, rtol=1e-6, atol=1e-5)
    value, gradient, hessian = one.evaluate(psi)
    assert value == -one.densities(psi[None])[0]
    np.testing.assert_array_equal(gradient, -one.gradient(psi))
    size = 1e-3 * np.eye(one.dimension)
    rough = np.array([(one.gradient(psi - s) - one.gradient(psi + s)) / 2e-3 for s in size])
    np.testing.assert_allclose(hessian, (rough + rough.T) / 2, rtol=1e-3, atol=1e-2)


def exact_centres(one: PopulationDensity, psi: Floats, groups: int) -> tuple[Floats, Floats]:
    """Moments of the population's mean (first) and the groups' means from the joint Gaussian of these and
    all entities, with the population's mean and groups' means as further unknowns.
    """
    lowers, between, _ = one.spreads(psi[None])
    omega2 = between[0] ** 2 if between.size else np.zeros(P)
    # cov(top, a_e) = I, cov(m_g, a_e) = I + [same group] ω².
    same = one.group[None] == np.arange(groups)[:, None]
    to_groups = np.kron(np.ones_like(same), np.eye(P)) + np.kron(same, np.diag(omega2))
    cross = np.vstack([np.kron(np.ones((1, ENTITIES)), np.eye(P)), to_groups])
    own = np.kron(np.ones((groups + 1, groups + 1)), np.eye(P))
    own[P:, P:] += np.kron(np.eye(groups), np.diag(omega2))
    _, mean, covariance = joint(one, psi)
    prior = np.kron(np.ones((ENTITIES, ENTITIES)), np.eye(P)) + np.kron(
        np.eye(ENTITIES), lowers[0] @ lowers[0].T
    )
    prior += np.kron(one.group[:, None] == one.group[None], np.diag(omega2))
    gain = np.linalg.solve(prior, cross.T).T
    return gain @ mean, own - gain @ cross.T + gain @ covariance @ gain.T


@pytest.mark.parametrize("groups", [1, 4])
def test_the_means_of_the_population_and_of_groups(groups: int) -> None:
    one = density(full=True, groups=groups, shared=1)
    psi = somewhere(one)
    lower, omega, delta = (x[0] for x in one.spreads(psi[None]))
    means, covariances, mean, covariance, _ = one.levels(lower, omega, delta)
    centre, spread = exact_centres(one, psi, groups)
    np.testing.assert_allclose(mean, centre[:P], rtol=1e-8)
    np.testing.assert_allclose(covariance, spread[:P, :P], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(means.ravel(), centre[P:], rtol=1e-8)
    for g in range(groups):
        block = slice(P + g * P, 2 * P + g * P)
        np.testing.assert_allclose(covariances[g], spread[block, block], rtol=1e-8, atol=1e-12)
    top, drawn = one.draw_means(np.tile(psi, (4_000, 1)), np.random.default_rng(2))
    both = np.concatenate([top, drawn.reshape(len(drawn), -1)], axis=1)
    scale = np.sqrt(np.diag(spread))
    assert np.abs((both.mean(axis=0) - centre) / scale).max() < 5 / np.sqrt(4_000)
    errors = (np.cov(both, rowvar=False) - spread) / np.outer(scale, scale)
    assert np.abs(errors).max() < 5 * np.sqrt(2 / 4_000)


def test_a_spread_of_zero_is_an_ordinary_point() -> None:
    """Then all entities are one: their factors simply add up."""
    rng = np.random.default_rng(5)
    f = factors(rng, 0)
    group, none = np.zeros(ENTITIES, np.int64), np.zeros((1, 0))
    found = kernels.log_marginals(f, group, np.zeros((1, P, P)), none, none)[0]
    total = f[:, 0].sum(axis=0)
    q, eta = total[1 + P :].reshape(P, P), total[1 : 1 + P]
    inner = np.eye(P) + q
    exact = total[0] + 0.5 * eta @ np.linalg.solve(inner, eta) - 0.5 * np.linalg.slogdet(inner)[1]
    assert found == pytest.approx(exact, rel=1e-12)
    tiny = kernels.log_marginals(f, group, 1e-9 * np.eye(P)[None], none, none)[0]
    assert tiny == pytest.approx(exact, rel=1e-9)


def test_factors_that_are_no_density_are_told() -> None:
    """A precision so negative that the integral diverges gives −inf, never a number."""
    f = np.zeros((1, 1, 1 + P + P * P))
    f[0, 0, 1 + P :] = -2 * np.eye(P).ravel()
    none = np.zeros((1, 0))
    found = kernels.log_marginals(f, np.zeros(1, np.int64), np.eye(P)[None], none, none)
    assert found[0] == -np.inf


def test_partial_correlations_make_correlations() -> None:
    rng = np.random.default_rng(6)
    z = rng.normal(size=(5, 6))
    lower = correlation_factor(z, 4)
    correlation = lower @ lower.transpose(0, 2, 1)
    np.testing.assert_allclose(np.diagonal(correlation, axis1=1, axis2=2), 1, rtol=1e-12)
    assert np.linalg.eigvalsh(correlation).min() > 0
    np.testing.assert_allclose(correlation[:, 1, 0], np.tanh(z[:, 0]), rtol=1e-12)
    np.testing.assert_array_equal(correlation_factor(np.zeros((1, 0)), 4)[0], np.eye(4))


def test_the_prior_of_correlations_integrates_to_one() -> None:
    """LKJ(2) over two and three entries with its Jacobian; in two, (1 + r)/2 is Beta(2, 2)."""
    from posterity.portfolio.population.density import _log_lkj

    z = np.linspace(-12, 12, 4_001)
    for p in (2, 3):
        grid = np.zeros((len(z), p * (p - 1) // 2))
        total = 1.0
        for j in range(grid.shape[1]):
            at = grid.copy()
            at[:, j] = z
            # Partial correlations are independent, so densities along the axes multiply.
            log = _log_lkj(at, p) - _log_lkj(grid[:1], p) * (1 - 1 / grid.shape[1])
            total *= np.trapezoid(np.exp(log), z)
        assert total == pytest.approx(1, rel=1e-6)
    r = np.tanh(z)
    own = _log_lkj(z[:, None], 2)
    jacobian = np.log1p(-(r**2) + 1e-300)
    np.testing.assert_allclose(
        own[1500:2500], (stats.beta.logpdf((1 + r) / 2, 2, 2) - np.log(2) + jacobian)[1500:2500], atol=1e-9
    )
