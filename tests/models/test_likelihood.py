"""Likelihoods: densities equal to scipy.stats, fits that find what made the data, predictions inside the
support.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from posterity.config.distributions import DISTRIBUTIONS, Support
from posterity.inference.compiled import CompiledModel
from tests.entities import configuration, fitted, inputs, interpreted, prior, rows

X = np.linspace(-1, 1, 40)
TRIALS = np.arange(40) % 7 + 3.0


@dataclass(frozen=True)
class Family:
    """Arguments of a likelihood around `m` = a + b x, `e` = exp(m) and `p` = sigmoid(m), and the same in
    scipy.
    """

    dist: str
    kwargs: dict[str, Any]
    twin: Any
    own: str | None = None  # name of the argument that is a parameter with a prior HalfNormal(2)

    @property
    def model(self) -> CompiledModel:
        kwargs = self.kwargs | ({} if self.own is None else {self.own: prior("HalfNormal", sigma=2)})
        quantities = {"m": "a + b * x", "e": "exp(m)", "p": "sigmoid(m)"}
        config = configuration(
            {"dist": self.dist, "kwargs": kwargs},
            {"a": prior("Normal", mu=0, sigma=1), "b": prior("Normal", mu=0, sigma=1)},
            {name: {"expression": text} for name, text in quantities.items()},
        )
        return interpreted(config)

    def distribution(self, a: float, b: float, own: float) -> Any:
        m = a + b * X
        return self.twin(m, np.exp(m), expit(m), own)


FAMILIES = {
    "Normal": Family("Normal", {"mu": "m"}, lambda m, e, p, s: stats.norm(m, s), "sigma"),
    "StudentT": Family("StudentT", {"nu": 4, "mu": "m"}, lambda m, e, p, s: stats.t(4, m, s), "sigma"),
    "StudentT nu": Family("StudentT", {"mu": "m", "sigma": 0.5}, lambda m, e, p, s: stats.t(s, m, 0.5), "nu"),
    "LogNormal": Family(
        "LogNormal", {"mu": "m"}, lambda m, e, p, s: stats.lognorm(s, scale=np.exp(m)), "sigma"
    ),
    "Gamma": Family(
        "Gamma", {"mu": "e"}, lambda m, e, p, s: stats.gamma((e / s) ** 2, scale=s**2 / e), "sigma"
    ),
    "Gamma rate": Family("Gamma", {"beta": "e"}, lambda m, e, p, s: stats.gamma(s, scale=1 / e), "alpha"),
    "Beta": Family("Beta", {"mu": "p"}, lambda m, e, p, s: stats.beta(p * s, (1 - p) * s), "nu"),
    "Beta shapes": Family("Beta", {"alpha": "e"}, lambda m, e, p, s: stats.beta(e, s), "beta"),
    "Poisson": Family("Poisson", {"mu": "e"}, lambda m, e, p, s: stats.poisson(e)),
    "NegativeBinomial": Family(
        "NegativeBinomial", {"mu": "e"}, lambda m, e, p, s: stats.nbinom(s, s / (s + e)), "alpha"
    ),
    "Bernoulli p": Family("Bernoulli", {"p": "p"}, lambda m, e, p, s: stats.bernoulli(p)),
    "Bernoulli logit_p": Family("Bernoulli", {"logit_p": "m"}, lambda m, e, p, s: stats.bernoulli(p)),
    "Binomial": Family("Binomial", {"n": "n", "p": "p"}, lambda m, e, p, s: stats.binom(TRIALS, p)),
    "Binomial logit_p": Family(
        "Binomial", {"n": "n", "logit_p": "m"}, lambda m, e, p, s: stats.binom(TRIALS, p)
    ),
    "BetaBinomial": Family(
        "BetaBinomial", {"n": "n", "alpha": "e"}, lambda m, e, p, s: stats.betabinom(TRIALS, e, s), "beta"
    ),
}
NAMED = (
    "Normal",
    "StudentT",
    "LogNormal",
    "Gamma",
    "Beta",
    "Poisson",
    "NegativeBinomial",
    "Bernoulli",
    "Binomial",
)
INSIDE = {
    Support.REAL: lambda y: np.isfinite(y),
    Support.POSITIVE: lambda y: y > 0,
    Support.UNIT: lambda y: (y > 0) & (y < 1),
    Support.COUNT: lambda y: (y >= 0) & (y == np.floor(y)),
    Support.BINARY: lambda y: (y == 0) | (y == 1),
    Support.BINOMIAL: lambda y: (y >= 0) & (y <= TRIALS) & (y == np.floor(y)),
}
TRUTH = {"a": 0.4, "b": -0.8, "own": 2.5}


def test_families_are_those_that_must_be_there() -> None:
    assert {family.dist for family in FAMILIES.values()} >= {*NAMED, "BetaBinomial"}


@pytest.mark.parametrize("name", FAMILIES)
def test_likelihood(name: str) -> None:
    """The density at random points, a fit by laplace, and predictions; one compiled model serves all
    three.
    """
    family, rng = FAMILIES[name], np.random.default_rng(8)
    model = family.model
    y = family.distribution(**TRUTH).rvs(random_state=rng).astype(float)
    given = rows(y, x=X, n=TRIALS)
    at = {n: i for i, n in enumerate(model.unconstrained_names)}
    own = None if family.own is None else f"{family.own}_log__"
    thetas = rng.normal(size=(5, model.dimension))

    def density(theta: Any) -> float:
        a, b = theta[at["a"]], theta[at["b"]]
        scale = 1.0 if own is None else np.exp(theta[at[own]])
        found = stats.norm.logpdf([a, b]).sum()
        found += 0 if own is None else stats.halfnorm(0, 2).logpdf(scale) + np.log(scale)
        distribution = family.distribution(a, b, scale)
        discrete = DISTRIBUTIONS[family.dist].discrete
        return float(found + (distribution.logpmf(y) if discrete else distribution.logpdf(y)).sum())

    found = model.densities(thetas, inputs(model, given))
    np.testing.assert_allclose(found, [density(theta) for theta in thetas], rtol=1e-9)
    for theta, value in zip(thetas, found, strict=True):
        assert -model.evaluate(theta, inputs(model, given))[0] == pytest.approx(value, rel=1e-9)

    fit = fitted(model, given, method="laplace", draws=500)
    assert (fit.status, fit.reason) == ("ok", None)
    draws = fit.outcome.draws.reshape(-1, model.dimension)
    truth = [TRUTH.get(parameter, TRUTH["own"]) for parameter in model.parameter_names]
    score = (draws.mean(axis=0) - truth) / draws.std(axis=0)
    assert np.abs(score).max() < 4, dict(zip(model.parameter_names, score, strict=True))
    known = np.tile([TRUTH.get(parameter, TRUTH["own"]) for parameter in model.parameter_names], (200, 1))
    observed, expected = model.predict(known, inputs(model, given), rng)
    assert observed.shape == (200, 40)
    assert INSIDE[DISTRIBUTIONS[family.dist].support](observed).all()
    mean = family.distribution(**TRUTH).mean() * np.ones(40)
    if expected is not None:
        np.testing.assert_allclose(expected, np.tile(mean, (200, 1)), rtol=1e-9)
    # Halfway up the step of the distribution function lies a half on average, whatever the family.
    distribution, step = family.distribution(**TRUTH), DISTRIBUTIONS[family.dist].discrete
    halfway = (distribution.cdf(observed) + distribution.cdf(observed - step)) / 2
    assert (np.abs(halfway.mean(axis=0) - 0.5) < 5 * halfway.std(axis=0) / np.sqrt(200)).all()
    assert fit.coverage[1] > 0.85


AR1 = {"errors": {"ar1": {"rho": prior("Beta", alpha=2, beta=2)}}}
TIMES = np.array([0.0, 1.0, 1.5, 4.0, 5.0, 9.0, 9.25])


def dependent(dist: str = "Normal", **kwargs: Any) -> CompiledModel:
    likelihood = {"dist": dist, "kwargs": {"mu": "m", **kwargs, "sigma": prior("HalfNormal", sigma=1)}}
    config = configuration(
        likelihood | AR1, {"a": prior("Normal")}, {"m": {"expression": "a * week"}}, time="week"
    )
    return interpreted(config)


def stationary(times: Any, rho: float, sigma: float) -> Any:
    """Covariance of a stationary AR(1) process with innovation sd σ at these times."""
    return sigma**2 / (1 - rho**2) * rho ** np.abs(times[:, None] - times)


def test_dependent_errors_are_the_stationary_gaussian_process() -> None:
    model, rng = dependent(), np.random.default_rng(4)
    y = rng.normal(size=len(TIMES))
    given = rows(y, week=TIMES)
    at = {n: i for i, n in enumerate(model.unconstrained_names)}
    for _ in range(5):
        theta = rng.normal(size=3)
        a, sigma, rho = theta[at["a"]], np.exp(theta[at["sigma_log__"]]), expit(theta[at["rho_logodds__"]])
        priors = stats.norm.logpdf(a) + stats.halfnorm.logpdf(sigma) + np.log(sigma)
        priors += stats.beta(2, 2).logpdf(rho) + np.log(rho * (1 - rho))

        def wanted(times: Any, a: float = a, rho: float = rho, sigma: float = sigma) -> float:
            return float(stats.multivariate_normal(a * TIMES, stationary(times, rho, sigma)).logpdf(y))

        found = model.densities(theta[None], inputs(model, given))[0] - priors
        assert found == pytest.approx(wanted(TIMES), rel=1e-9)
        # The twin: gaps taken for 1 where they are not.
        assert found != pytest.approx(wanted(np.arange(len(TIMES))), rel=1e-3)


def test_dependent_errors_of_another_family_are_conditional() -> None:
    model = dependent("StudentT", nu=4)
    rng = np.random.default_rng(5)
    y, theta = rng.normal(size=len(TIMES)), np.array([0.3, -0.4, 0.6])
    values = dict(zip(model.unconstrained_names, theta, strict=True))
    a, sigma, rho = values["a"], np.exp(values["sigma_log__"]), expit(values["rho_logodds__"])
    mu, gaps = a * TIMES, np.diff(TIMES)
    location = mu + np.concatenate([[0], rho**gaps * (y - mu)[:-1]])
    scale = sigma * np.sqrt(np.concatenate([[1], 1 - rho ** (2 * gaps)]) / (1 - rho**2))
    wanted = stats.t(4, location, scale).logpdf(y).sum()
    wanted += stats.norm.logpdf(a) + stats.halfnorm.logpdf(sigma) + np.log(sigma)
    wanted += stats.beta(2, 2).logpdf(rho) + np.log(rho * (1 - rho))
    assert model.densities(theta[None], inputs(model, rows(y, week=TIMES)))[0] == pytest.approx(
        wanted, rel=1e-9
    )
