"""Every method against answers known exactly: conjugate families, and hard shapes by quadrature."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from posterity.config.schema import Gates, Inference
from posterity.inference import adaptive, laplace, nuts
from posterity.inference.compiled import CompiledModel
from posterity.inference.fit import STARTS, TUNE, Seeds, fit
from posterity.inference.gates import open_gates
from posterity.inference.mode import modes
from posterity.inference.posterior import Failure, Posterior
from posterity.panel import Rows
from tests.entities import configuration, inputs, interpreted, prior, rows

KEY = "00112233445566778899aabbccddeeff"
RNG = np.random.default_rng(11)
HEIGHTS = RNG.normal(1.3, 2.0, size=12)
COUNTS = RNG.poisson(3.4, size=9).astype(float)
TRIALS = np.array([5.0, 9, 14, 3, 20])
WINS = RNG.binomial(TRIALS.astype(int), 0.3).astype(float)


@dataclass(frozen=True)
class Conjugate:
    """A model with its rows and the exact posterior of its one parameter."""

    config: Any
    rows: Rows
    exact: Any


def _normal() -> Any:
    precision = 1 / 3.0**2 + len(HEIGHTS) / 2.0**2
    return stats.norm((0.5 / 3.0**2 + HEIGHTS.sum() / 2.0**2) / precision, precision**-0.5)


CONJUGATE = {
    "normal": Conjugate(
        configuration(
            {"dist": "Normal", "kwargs": {"mu": "a", "sigma": 2}}, {"a": prior("Normal", mu=0.5, sigma=3)}
        ),
        rows(HEIGHTS),
        _normal(),
    ),
    "gamma-poisson": Conjugate(
        configuration({"dist": "Poisson", "kwargs": {"mu": "a"}}, {"a": prior("Gamma", alpha=2, beta=0.7)}),
        rows(COUNTS),
        stats.gamma(2 + COUNTS.sum(), scale=1 / (0.7 + len(COUNTS))),
    ),
    "beta-binomial": Conjugate(
        configuration(
            {"dist": "Binomial", "kwargs": {"n": "n", "p": "a"}}, {"a": prior("Beta", alpha=1.5, beta=4)}
        ),
        rows(WINS, n=TRIALS),
        stats.beta(1.5 + WINS.sum(), 4 + (TRIALS - WINS).sum()),
    ),
}
model_of: Callable[[str], CompiledModel] = cache(lambda name: interpreted(CONJUGATE[name].config))


def by(
    method: str, model: CompiledModel, given: Rows, *, seed: int = 3, draws: int = 1000
) -> Posterior | Failure:
    """One method alone."""
    arguments = inputs(model, given)
    found = modes(model, arguments, model.starts(arguments, seed, STARTS))
    seeds = Seeds.of(seed, KEY)
    match method:
        case "laplace":
            return laplace.fit(
                model, arguments, found, np.random.default_rng(seeds.laplace), draws=draws, chains=4
            )
        case "adaptive":
            return adaptive.fit(
                model, arguments, found, np.random.default_rng(seeds.adaptive), draws=draws, chains=4
            )
    begin = np.array([mode.theta for mode in found])
    return nuts.fit(model, arguments, begin, seeds.nuts, draws=draws, chains=4, tune=TUNE, target_accept=0.8)


# Compiling a sampler takes seconds: one family by default, two more with `make slow`.
METHODS = [
    *((method, name) for method in ("laplace", "adaptive") for name in CONJUGATE),
    ("nuts", "gamma-poisson"),
    pytest.param("nuts", "normal", marks=pytest.mark.slow),
    pytest.param("nuts", "beta-binomial", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("method", "name"), METHODS)
def test_conjugate_answer(method: str, name: str) -> None:
    """Mean, sd and tails within five Monte Carlo errors, by the effective sizes that the method itself
    reports.
    """
    case = CONJUGATE[name]
    posterior = by(method, model_of(name), case.rows)
    assert isinstance(posterior, Posterior)
    assert posterior.method == method
    assert open_gates(posterior, Gates()) == ()
    draws, bulk, tail = (
        posterior.draws.ravel(),
        posterior.diagnostics.ess_bulk[0],
        posterior.diagnostics.ess_tail[0],
    )
    assert draws.mean() == pytest.approx(case.exact.mean(), abs=5 * case.exact.std() / np.sqrt(bulk))
    assert draws.std() == pytest.approx(case.exact.std(), rel=5 / np.sqrt(2 * min(bulk, tail)))
    for p in (0.05, 0.95):
        below = (draws < case.exact.ppf(p)).mean()
        assert below == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / tail))


def test_wrong_prior_would_be_noticed() -> None:
    """The twin: the exact answer under another prior is far outside those errors."""
    posterior = by("laplace", model_of("gamma-poisson"), CONJUGATE["gamma-poisson"].rows)
    assert isinstance(posterior, Posterior)
    other = stats.gamma(2 + COUNTS.sum(), scale=1 / (1.7 + len(COUNTS)))
    error = other.std() / np.sqrt(posterior.diagnostics.ess_bulk[0])
    assert abs(posterior.draws.mean() - other.mean()) > 10 * error


BANANA = configuration(
    {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 0.5}},
    {"a": prior("Normal", mu=0, sigma=2), "b": prior("Normal", mu=0, sigma=3)},
    {"m": {"expression": "b - a ** 2"}},
)
TWO_BUMPS = configuration(
    {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
    {"a": prior("Normal", mu=0.1, sigma=2), "b": prior("Normal", mu=0, sigma=1)},
    {"m": {"expression": "a ** 2 + 0.3 * b"}},
)


def quadrature(
    sigma_a: float, mu_a: float, sigma_b: float, likelihood: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Means and sds of (a, b) on a grid so fine that its error does not count."""
    a, b = np.meshgrid(np.linspace(-9, 9, 2001), np.linspace(-12, 20, 2001), indexing="ij")
    log = stats.norm(mu_a, sigma_a).logpdf(a) + stats.norm(0, sigma_b).logpdf(b) + likelihood(a, b)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = np.array([(weight * v).sum() for v in (a, b)])
    sd = np.sqrt([(weight * (v - m) ** 2).sum() for v, m in zip((a, b), mean, strict=True)])
    return mean, sd


SHAPES = {
    "banana": (
        BANANA,
        [1.0],
        lambda: quadrature(2, 0, 3, lambda a, b: stats.norm(b - a**2, 0.5).logpdf(1.0)),
    ),
    "two bumps": (
        TWO_BUMPS,
        [4.0, 4.3],
        lambda: quadrature(
            2, 0.1, 1, lambda a, b: sum(stats.norm(a**2 + 0.3 * b, 1).logpdf(y) for y in (4.0, 4.3))
        ),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_adaptive_handles_what_laplace_must_refuse(name: str) -> None:
    """Over four seeds Laplace's certificate never holds; adaptive's does mostly, and where it does it is
    right.
    """
    config, y, exact = SHAPES[name]
    model, (mean, sd) = interpreted(config), exact()
    passed = []
    for seed in range(4):
        alone = by("laplace", model, rows(y), seed=seed)
        assert isinstance(alone, Failure) or open_gates(alone, Gates()) != ()
        posterior = by("adaptive", model, rows(y), seed=seed, draws=2000)
        assert isinstance(posterior, Posterior)
        if not open_gates(posterior, Gates()):
            passed.append(posterior)
    assert len(passed) >= 3
    for posterior in passed:
        flat = posterior.draws.reshape(-1, 2)
        score = (flat.mean(axis=0) - mean) / (sd / np.sqrt(posterior.diagnostics.ess_bulk))
        assert np.abs(score).max() < 5
        np.testing.assert_allclose(flat.std(axis=0), sd, rtol=0.1)


def escalated(model: CompiledModel, y: Any, gates: Gates, **settings: Any) -> Posterior | Failure:
    given = inputs(model, rows(y))
    starts = model.starts(given, 3, STARTS)
    return fit(model, given, starts, Seeds.of(3, KEY), Inference(**settings), gates)


def test_escalation_is_recorded_in_its_order() -> None:
    """Gates that nothing passes make every method try; the last posterior stays."""
    model = model_of("gamma-poisson")
    impossible = Gates(ess=1e9)
    outcome = escalated(model, COUNTS, impossible, method="auto", draws=250, chains=2)
    assert isinstance(outcome, Posterior)
    assert [entry.split(":")[0] for entry in outcome.tried] == ["laplace", "adaptive", "nuts", "nuts"]
    assert all("bulk ESS" in entry for entry in outcome.tried)
    assert outcome.method == "nuts"
    assert outcome.draws.shape == (2, 250, 1)


def test_escalation_ends_with_the_first_method_whose_gates_hold() -> None:
    sound = escalated(model_of("normal"), HEIGHTS, Gates(), method="auto")
    assert (sound.method, sound.tried) == ("laplace", ())
    split = escalated(interpreted(TWO_BUMPS), [4.0, 4.3], Gates(), method="auto")
    assert (split.method, split.tried) == ("adaptive", ("laplace: 2 modes of comparable height",))


def test_one_method_alone_does_not_escalate() -> None:
    split = escalated(interpreted(TWO_BUMPS), [4.0, 4.3], Gates(), method="laplace")
    assert isinstance(split, Failure)
    assert split.reason == "2 modes of comparable height"
    assert split.tried == ("laplace: 2 modes of comparable height",)


def test_streams_of_methods_are_their_own() -> None:
    """Escalating leaves the draws of a method what they are without it."""
    model, given = interpreted(TWO_BUMPS), rows([4.0, 4.3])
    alone = by("adaptive", model, given)
    after = escalated(model, [4.0, 4.3], Gates(), method="auto")
    np.testing.assert_array_equal(alone.draws, after.draws)
    other = by("adaptive", model, given, seed=4)
    assert not np.array_equal(alone.draws, other.draws)


def test_density_without_any_finite_start_is_a_failure_with_advice() -> None:
    impossible = interpreted(
        configuration(
            {"dist": "Uniform", "kwargs": {"lower": 0, "upper": "a"}},
            {"a": prior("Uniform", lower=0, upper=1)},
        )
    )
    outcome = escalated(impossible, [5.0, 6.0], Gates(), method="laplace")
    assert isinstance(outcome, Failure)
    assert "do the priors allow these data?" in outcome.reason
