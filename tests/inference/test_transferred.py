"""Structures that take a mixture for a prior: their densities against those of the mixture itself, and
posteriors known exactly.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from posterity.config import from_dict
from posterity.config.schema import Gates, Inference
from posterity.errors import ModelError
from posterity.inference import compiled, loops
from posterity.inference.compiled import CompiledModel, Inputs, inputs_of
from posterity.inference.fit import STARTS, Seeds, fit
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Posterior
from posterity.inference.transferred import flat, numbers
from posterity.models import describe
from posterity.models.arrays import arrays
from posterity.models.mixtures import COMPONENTS, LogMixture, LogMixtureExpansion
from tests.entities import configuration, described, inputs, interpreted, prior, rows
from tests.portfolio.small import SMALL

KEY = "00112233445566778899aabbccddeeff"
ROWS = rows([1.2, 0.3, -0.4, 2.2], x=[0.0, 1, 2, 3], t=[0.0, 1, 3, 4])
LINE: dict[str, Any] = {"m": {"expression": "a + b * x"}}
NORMAL = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}}
STRAIGHT = {"a": prior("Normal", mu=0.4, sigma=2), "b": prior("Uniform", lower=-1, upper=3)}
NESTED = prior("Normal", mu=prior("Normal", mu=0, sigma=1), sigma=prior("HalfNormal", sigma=1))

STRUCTURES = {
    "one": (configuration(NORMAL, STRAIGHT, LINE), ["b"]),
    "two, a gap between": (configuration(NORMAL, STRAIGHT, LINE), ["a", "sigma"]),
    "all": (configuration(NORMAL, STRAIGHT, LINE), ["a", "b", "sigma"]),
    "nested": (
        configuration(
            NORMAL,
            {"a": NESTED | {"dims": "s"}, "b": prior("Normal", mu=0, sigma=1)},
            {"m": {"expression": "a[0] + a[1] * x + b"}},
            coords={"s": ["u", "v"]},
        ),
        ["a"],
    ),
    "dependent errors": (
        configuration(
            NORMAL | {"errors": {"ar1": {"rho": prior("Beta", alpha=2, beta=2)}}}, STRAIGHT, LINE, time="t"
        ),
        ["b", "rho"],
    ),
}


def mixture_of(entries: int, components: int = 3, seed: int = 1) -> Mixture:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(components, entries, entries))
    return Mixture(
        rng.dirichlet(np.ones(components)),
        rng.normal(size=(components, entries)),
        0.3 * factors @ factors.transpose(0, 2, 1) + 0.2 * np.eye(entries),
    )


@cache
def transferred(name: str) -> CompiledModel:
    config, parameters = STRUCTURES[name]
    return interpreted(config, transferred=parameters)


def points(model: CompiledModel, size: int = 5) -> NDArray[np.float64]:
    return np.random.default_rng(8).normal(size=(size, model.dimension))


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_mixture_is_part_of_every_density(name: str) -> None:
    """What it adds to the density without it, value, gradient and Hessian, is its own."""
    model = transferred(name)
    mixture, thetas = mixture_of(len(model.transferred)), points(model)
    without = inputs(model, ROWS, flat(len(model.transferred)))
    given = inputs(model, ROWS, numbers(mixture))
    entries = thetas[:, model.transferred]
    added = model.densities(thetas, given) - model.densities(thetas, without)
    np.testing.assert_allclose(added, mixture.log_density(entries), rtol=1e-10)
    curvature, at = mixture.curvature(entries), np.ix_(model.transferred, model.transferred)
    for i, theta in enumerate(thetas):
        value, gradient, hessian = model.evaluate(theta, given)
        base, slope, curve = model.evaluate(theta, without)
        assert value == pytest.approx(-model.densities(theta[None], given)[0], rel=1e-12)
        assert value - base == pytest.approx(-mixture.log_density(entries[i : i + 1])[0], rel=1e-9)
        np.testing.assert_allclose((hessian - curve)[at], curvature[i], rtol=1e-7, atol=1e-9)
        own = np.delete(gradient, model.transferred)
        np.testing.assert_array_equal(own, np.delete(slope, model.transferred))


@pytest.mark.parametrize("name", ["two, a gap between", "nested"])
def test_only_the_priors_of_transferred_parameters_are_gone(name: str) -> None:
    """The declared density less their declared log prior is the transferred one under a flat mixture."""
    declared, model = interpreted(STRUCTURES[name][0]), transferred(name)
    built, thetas = declared.built, points(declared)
    gone = [rv for rv in built.model.free_RVs if built.owners[rv.name] in STRUCTURES[name][1]]
    logp = built.model.compile_logp(vars=gone, jacobian=True, mode="FAST_COMPILE")
    values, shapes = built.model.value_vars, declared.graph.shapes
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def prior_of(theta: NDArray[np.float64]) -> float:
        parts = zip(values, np.split(theta, ends), shapes, strict=True)
        return float(logp({v.name: part.reshape(shape) for v, part, shape in parts}))

    left = declared.densities(thetas, inputs(declared, ROWS)) - [prior_of(theta) for theta in thetas]
    found = model.densities(thetas, inputs(model, ROWS, flat(len(model.transferred))))
    np.testing.assert_allclose(found, left, rtol=1e-9)


@pytest.mark.parametrize("name", STRUCTURES)
def test_derivatives_are_those_of_the_density(name: str) -> None:
    model = transferred(name)
    given = inputs(model, ROWS, numbers(mixture_of(len(model.transferred))))
    for theta in points(model, 2):
        _, gradient, hessian = model.evaluate(theta, given)
        step = 1e-5 * np.eye(model.dimension)
        slope = [-np.diff(model.densities(theta + np.array([-s, s]), given))[0] / 2e-5 for s in step]
        np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-6)
        curve = [
            (model.evaluate(theta + s, given)[1] - model.evaluate(theta - s, given)[1]) / 2e-5 for s in step
        ]
        np.testing.assert_allclose(hessian, curve, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["one", "all"])
def test_a_flat_prior_is_nothing_at_all(name: str) -> None:
    """Not a tiny number: with its own flat mixture the density is the likelihood, plus independent priors."""
    model = transferred(name)
    given = inputs(model, ROWS, flat(len(model.transferred)))
    theta = np.array([0.2, 0.3, -0.1])
    b = -1 + 4 / (1 + np.exp(-theta[1]))
    likelihood = stats.norm(theta[0] + b * ROWS.columns["x"], np.exp(theta[2])).logpdf(ROWS.target).sum()
    own = stats.norm(0.4, 2).logpdf(theta[0]) + stats.halfnorm(scale=1).logpdf(np.exp(theta[2])) + theta[2]
    wanted = likelihood + (own if name == "one" else 0)
    assert model.densities(theta[None], given)[0] == pytest.approx(wanted, rel=1e-12)
    op = LogMixtureExpansion((0, 2))
    storage: Any = [[None], [None], [None]]
    op.perform(None, [theta, *flat(2).values()], storage)
    assert all((np.asarray(s[0]) == 0).all() for s in storage)


EXTREMES = {
    "one component": Mixture.gaussian([0.0, 1.0], np.eye(2)),
    "a weight of nearly nothing": mixture_of(2).joined(1e-300, np.zeros(2), np.eye(2)),
    "five": mixture_of(2, COMPONENTS),
    "needles": Mixture([0.5, 0.5], [[-3.0, 0], [3, 0]], np.broadcast_to(1e-4 * np.eye(2), (2, 2, 2))),
    "needle and haystack": Mixture([0.5, 0.5], np.zeros((2, 2)), [1e-8 * np.eye(2), 1e8 * np.eye(2)]),
    "strongly correlated": Mixture.gaussian(np.zeros(2), [[1.0, 1 - 1e-9], [1 - 1e-9, 1.0]]),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_loops_and_arrays_agree_and_stay_finite_however_far_away(name: str) -> None:
    """Numba's loops against PyTensor's interpreter, and both against the mixture; padding is never seen."""
    mixture, at = EXTREMES[name], np.array([2, 0])
    given = list(numbers(mixture).values())
    thetas = np.array([[x, 9.0, y] for x in (0.0, 0.5, -3.0, 1e4, 1e7) for y in (0.0, 1.0, -1e5)])
    many: Any = [[None]]
    LogMixture((2, 0)).perform(None, [thetas, *given], many)
    by_loops = loops.log_densities(thetas, at, *given)
    np.testing.assert_allclose(by_loops, many[0][0], rtol=1e-9)
    np.testing.assert_allclose(by_loops, mixture.log_density(thetas[:, at]), rtol=1e-6)
    curvature = mixture.curvature(thetas[:, at])
    for i, theta in enumerate(thetas):
        one: Any = [[None], [None], [None]]
        LogMixtureExpansion((2, 0)).perform(None, [theta, *given], one)
        for mine, its in zip(loops.expansion(theta, at, *given), one, strict=True):
            assert np.isfinite(mine).all()
            np.testing.assert_allclose(mine, its[0], rtol=1e-8, atol=1e-8 * (1 + np.abs(its[0]).max()))
        if np.abs(theta).max() > 1e3:
            continue  # the mixture's own curvature has lost its digits there
        scale = np.abs(curvature[i]).max()
        np.testing.assert_allclose(-one[2][0][np.ix_(at, at)], curvature[i], rtol=1e-6, atol=1e-6 * scale)


def test_starts_come_from_the_mixture_and_the_declared_prior() -> None:
    declared, model = described(STRUCTURES["one"][0]), transferred("two, a gap between")
    mixture = mixture_of(2)
    found = model.starts(inputs(model, ROWS, numbers(mixture)), 3, 4000)
    assert found.shape == (4001, 3)
    np.testing.assert_allclose(found[0, [0, 2]], mixture.mean)
    error = np.sqrt(np.diag(mixture.covariance) / 4000)
    assert (np.abs(found[1:, [0, 2]].mean(axis=0) - mixture.mean) < 5 * error).all()
    np.testing.assert_allclose(np.cov(found[1:, [0, 2]].T), mixture.covariance, rtol=0.15, atol=0.05)
    as_declared = declared.starts(inputs(declared, ROWS), 3, 4000)
    np.testing.assert_array_equal(found[:, 1], as_declared[:, 1])
    np.testing.assert_array_equal(model.starts(inputs(model, ROWS, flat(2)), 3, 4000), as_declared)
    again = model.starts(inputs(model, ROWS, numbers(mixture)), 3, 4000)
    np.testing.assert_array_equal(found, again)


def test_a_prior_that_does_not_fit_is_refused() -> None:
    """The compiled functions trust their inputs: a wrong shape would read memory that is not theirs."""
    model = transferred("two, a gap between")
    with pytest.raises(ModelError, match=r"mixture:means has the shape \(5, 3\), the model takes \(5, 2\)"):
        inputs(model, ROWS, numbers(mixture_of(3)))
    with pytest.raises(ModelError, match="takes 'mixture:log_weights', which is not given"):
        inputs(model, ROWS)
    with pytest.raises(ModelError, match="6 components and the model takes 5"):
        numbers(mixture_of(2, 6))


# A normal mean with known sd under a prior of two components has two components after the data too.

HEIGHTS = np.random.default_rng(11).normal(1.3, 2.0, size=6)
TWO = Mixture([0.3, 0.7], [[-0.6], [2.2]], [[[0.4]], [[0.3]]])


def exact(mixture: Mixture, y: NDArray[np.float64], sd: float) -> tuple[Any, Any, Any]:
    """Weights, means and sds of the posterior's components."""
    variance, information = mixture.covariances[:, 0, 0], len(y) / sd**2
    after = 1 / (1 / variance + information)
    means = after * (mixture.means[:, 0] / variance + y.sum() / sd**2)
    marginal = stats.norm(mixture.means[:, 0], np.sqrt(variance + 1 / information)).pdf(y.mean())
    weights = mixture.weights * marginal
    return weights / weights.sum(), means, np.sqrt(after)


MEAN = configuration(
    {"dist": "Normal", "kwargs": {"mu": "a", "sigma": 2}}, {"a": prior("Normal", mu=0.5, sigma=3)}
)


def by(method: str, model: CompiledModel, given: Inputs) -> Posterior:
    starts = model.starts(given, 3, STARTS)
    outcome = fit(model, given, starts, Seeds.of(3, KEY), Inference(method=method), Gates())
    assert isinstance(outcome, Posterior)
    return outcome


@pytest.mark.parametrize("method", ["auto", pytest.param("nuts", marks=pytest.mark.slow)])
def test_posterior_under_two_components_is_exact(method: str) -> None:
    """Nothing is independent here; the twin, another mixture, is far outside the same errors."""
    model = interpreted(MEAN, transferred=["a"])
    posterior = by(method, model, inputs(model, rows(HEIGHTS), numbers(TWO)))
    draws, bulk = posterior.draws.ravel(), posterior.diagnostics.ess_bulk[0]

    def off(mixture: Mixture) -> float:
        """The largest deviation from the exact posterior in Monte Carlo errors."""
        weights, means, sds = exact(mixture, HEIGHTS, 2)
        mean = weights @ means
        sd = np.sqrt(weights @ (sds**2 + (means - mean) ** 2))
        tail = posterior.diagnostics.ess_tail[0]
        found = [abs(draws.mean() - mean) / (sd / np.sqrt(bulk))]
        for at in np.quantile(draws, [0.05, 0.5, 0.95]):
            below = weights @ stats.norm(means, sds).cdf(at)
            found.append(abs((draws < at).mean() - below) / np.sqrt(below * (1 - below) / min(bulk, tail)))
        return max(found)

    assert off(TWO) < 5
    assert off(Mixture(TWO.weights[::-1], TWO.means, TWO.covariances)) > 10


def test_a_shared_parameter_inside_the_mixture_is_nearly_known() -> None:
    """Shared parameters have no spread between entities, only the uncertainty of the population."""
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "a", "sigma": prior("HalfNormal", sigma=5)}},
        {"a": prior("Normal", mu=0, sigma=9)},
    )
    model = interpreted(config, transferred=["a", "sigma"])
    shared = Mixture.gaussian([0.5, np.log(2)], np.diag([9.0, 1e-6]))
    draws = by("laplace", model, inputs(model, rows(HEIGHTS), numbers(shared))).draws.reshape(-1, 2)
    (mean,), (sd,) = exact(Mixture.gaussian([0.5], [[9.0]]), HEIGHTS, 2)[1:]
    assert draws[:, 0].mean() == pytest.approx(mean, abs=0.05)
    assert draws[:, 0].std() == pytest.approx(sd, rel=0.05)
    assert draws[:, 1].mean() == pytest.approx(2, abs=0.001)


def test_compilations_are_those_of_two_structures_whatever_the_priors() -> None:
    """100 entities under three kinds of prior: the declared one and two mixtures of their own."""
    before = compiled.compilations
    config = from_dict(SMALL)
    models = [described(config), described(config, transferred=["lambda_val", "intercept", "sigma"])]
    weeks, rng = np.arange(1.0, 13), np.random.default_rng(5)
    centre, settings = np.array([-2.0, 0.1, -3.0]), Inference(method="laplace", draws=50, chains=2)
    counts = []
    for entity in range(100):
        curve = 1 - 0.9 * np.exp(-0.15 * weeks) + 0.05 * rng.normal(size=12)
        given = rows(curve, week=weeks)
        kinds = [(models[0], None)]
        kinds += [
            (models[1], numbers(Mixture.gaussian(centre + 0.1 * rng.normal(size=3), width * np.eye(3))))
            for width in (0.5, 1.0)
        ]
        for model, mixture in kinds:
            data = {**arrays(model.description, given), **model.description.numbers, **(mixture or {})}
            outcome = fit(
                model,
                inputs_of(model, data),
                model.starts(inputs_of(model, data), 1, STARTS),
                Seeds.of(1, KEY),
                settings,
                Gates(),
            )
            assert isinstance(outcome, Posterior), entity
        counts.append(compiled.compilations - before)
    # Evaluations, densities and parameters of both; centre and draws of the declared prior.
    assert counts[0] == counts[-1] == 2 * 3 + 2
    assert describe(config).key != models[1].description.key
