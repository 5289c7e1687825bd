"""What one entity says about the population, against quadrature: binomial rows with few trials."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logsumexp

from posterity.inference.compiled import CompiledModel, Inputs
from posterity.portfolio.population.conditional import Conditional, Entries
from posterity.portfolio.population.factors import (
    Factor,
    expand,
    first_mode,
    match_moments,
    next_mode,
    standardised,
)
from posterity.portfolio.population.prepare import likelihood_inputs
from tests.entities import configuration, interpreted, prior, rows

type Floats = NDArray[np.float64]

GRID = np.linspace(-9, 9, 2_001)
X = np.array([-1.0, 0.5, 1.5])
TRIALS = np.array([2.0, 3.0, 2.0])
POPULATION = 0.4, 0.9
"""Mean and sd of the partial entry."""
OTHER = -0.3, 0.6
"""Declared mean and sd of the other parameter."""
STEP = 0.05


@dataclass(frozen=True)
class Case:
    """level is partial, slope shared (at 0.2) or independent, or there is none."""

    slope: str
    hits: tuple[float, ...]

    def target(self) -> tuple[Conditional, Inputs]:
        model, own = STRUCTURES[self.slope]
        given = rows(self.hits, x=X, trials=TRIALS)
        inputs = likelihood_inputs(model, given, model.description.numbers)
        mean, sd = POPULATION
        return (
            Conditional(model, own, np.full(len(own.shared), 0.2), np.array([mean]), np.array([[sd**-2]])),
            inputs,
        )

    def log_likelihood(self, level: Floats, slope: Floats) -> Floats:
        """Shape of level and slope broadcast together."""
        p = expit(level[..., None] + slope[..., None] * X)
        return np.asarray(stats.binom.logpmf(np.array(self.hits), TRIALS, p).sum(axis=-1))

    def exact(self, slope: float = 0.2) -> tuple[float, float, float]:
        """Posterior mean, sd of the level under the population, and log evidence, by sums over a grid."""
        log = stats.norm.logpdf(GRID, *POPULATION)
        if self.slope == "independent":
            others = np.linspace(-5, 5, 401)
            each = self.log_likelihood(GRID[:, None], others[None]) + stats.norm.logpdf(others, *OTHER)
            log = log + logsumexp(each, axis=1) + np.log(others[1] - others[0])
        else:
            log = log + self.log_likelihood(GRID, np.full(1, 0.0 if self.slope == "none" else slope))
        evidence = float(logsumexp(log) + np.log(GRID[1] - GRID[0]))
        weights = np.exp(log - logsumexp(log))
        mean = float(weights @ GRID)
        return mean, float(np.sqrt(weights @ (GRID - mean) ** 2)), evidence


def structure(slope: str) -> tuple[CompiledModel, Entries]:
    parameters: dict[str, Any] = {"level": prior("Normal", mu=0, sigma=2)}
    score = "level"
    if slope != "none":
        parameters["slope"] = prior("Normal", mu=OTHER[0], sigma=OTHER[1])
        score = "level + slope * x"
    likelihood = {"dist": "Binomial", "kwargs": {"n": "trials", "logit_p": "score"}}
    config = configuration(likelihood, parameters, {"score": {"expression": score}})
    moved = ["level"] if slope in ("none", "independent") else ["level", "slope"]
    model = interpreted(config, transferred=moved)
    place = {role: np.flatnonzero([role == slope and o == "slope" for o in model.owners]) for role in ROLES}
    return model, Entries(np.array([0]), *(place[role] for role in ROLES))


ROLES = ("shared", "independent")
STRUCTURES = {slope: structure(slope) for slope in ("none", *ROLES)}
HITS = [(0.0, 0.0, 0.0), (1.0, 2.0, 1.0), (2.0, 3.0, 2.0), (0.0, 3.0, 0.0)]
CASES = [Case(slope, hits) for slope in STRUCTURES for hits in HITS]


def learned(case: Case) -> tuple[Conditional, Inputs, Factor, Factor]:
    """The expansion at the conditional mode and the factor that matches moments."""
    target, inputs = case.target()
    mode = first_mode(target, inputs, np.zeros((1, 1 + len(target.entries.independent))))
    assert mode is not None
    steps = np.full(len(target.shared), STEP)
    factor = expand(target, inputs, mode, steps)
    rng = np.random.default_rng(0)
    return target, inputs, factor, match_moments(target, inputs, mode, factor, steps, rng)


def under_population(factor: Floats) -> tuple[float, float, float]:
    """Mean, sd and log evidence that a factor (1 + p + p²,) gives under the population."""
    (constant, eta, q), (mean, sd) = factor, POPULATION
    precision = q + sd**-2
    centre = (eta + mean / sd**2) / precision
    evidence = (
        constant + 0.5 * centre**2 * precision - 0.5 * (mean / sd) ** 2 - 0.5 * np.log(precision * sd**2)
    )
    return centre, precision**-0.5, evidence


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matched_moments_are_those_of_the_posterior(case: Case) -> None:
    _, _, expansion, matched = learned(case)
    mean, sd, _ = case.exact()
    centre, spread, _ = under_population(matched.coefficients[0])
    assert matched.moments
    # 128 points do not resolve two dimensions as well as one.
    close = 0.02 if case.slope == "independent" else 0.01
    assert centre == pytest.approx(mean, abs=close * sd)
    assert spread == pytest.approx(sd, rel=close)
    # The twin: the expansion alone is further away wherever all or none succeed.
    if len({case.hits[0] / 2, case.hits[1] / 3, case.hits[2] / 2}) == 1:
        rough = under_population(expansion.coefficients[0])
        assert abs(rough[0] - mean) > 0.04 * sd


@pytest.mark.parametrize("case", [case for case in CASES if case.slope != "independent"], ids=str)
def test_an_expansion_has_the_height_slope_and_curvature_of_the_likelihood(case: Case) -> None:
    """Without independent entries, where there is nothing to integrate: its derivatives agree."""
    _, _, factor, _ = learned(case)
    constant, eta, q = factor.coefficients[0]
    (x,) = factor.mode
    at = x + np.array([-1e-3, 0, 1e-3])
    down, here, up = case.log_likelihood(at, np.full(1, 0.0 if case.slope == "none" else 0.2))
    factored = constant + eta * at - 0.5 * q * at**2
    # Models may leave out binomial coefficients: they do not depend on θ.
    assert up - down == pytest.approx(factored[2] - factored[0], rel=1e-6)
    assert up - 2 * here + down == pytest.approx(factored[2] - 2 * factored[1] + factored[0], rel=1e-3)
    information = factor.information[0, 0]
    assert information == pytest.approx(q, rel=1e-9)


@pytest.mark.parametrize("hits", HITS)
def test_evidence_moves_with_a_shared_parameter(hits: tuple[float, ...]) -> None:
    case = Case("shared", hits)
    _, _, _, matched = learned(case)
    here, first, second = matched.coefficients
    exact = [case.exact(0.2 + delta)[2] for delta in (-STEP, 0, STEP)]
    found = [under_population(here + d * first + 0.5 * d**2 * second)[2] for d in (-STEP, 0, STEP)]
    slope, bend = (exact[2] - exact[0]) / (2 * STEP), (exact[2] - 2 * exact[1] + exact[0]) / STEP**2
    assert (found[2] - found[0]) / (2 * STEP) == pytest.approx(slope, abs=0.005)
    assert (found[2] - 2 * found[1] + found[0]) / STEP**2 == pytest.approx(bend, abs=0.05)
    # Moved by a few steps the quadratic still holds.
    far = under_population(here + 4 * STEP * first + 8 * STEP**2 * second)[2]
    assert far - found[1] == pytest.approx(case.exact(0.2 + 4 * STEP)[2] - exact[1], abs=0.01)
    # The twin: a factor whose determinant does not know of the shared parameter.
    frozen = here.copy()
    frozen[0] += STEP * first[0]
    assert abs((under_population(frozen)[2] - found[1]) / STEP - slope) > 0.02


@pytest.mark.parametrize("case", [Case("shared", HITS[1]), Case("none", HITS[0])], ids=str)
def test_standardised_factors_are_the_same_functions(case: Case) -> None:
    _, _, _, matched = learned(case)
    mean, scale = np.array([0.7]), np.array([1.9])
    (found,) = standardised([matched], mean, scale)
    u = np.linspace(-2, 2, 5)
    for raw, moved in zip(matched.coefficients, found, strict=True):
        a = mean + scale * u
        before, after = (f[0] + f[1] * v - 0.5 * f[2] * v**2 for f, v in ((raw, a), (moved, u)))
        np.testing.assert_allclose(before - before[0], after - after[0], rtol=1e-9, atol=1e-12)


def test_the_higher_of_two_hills_is_taken() -> None:
    target, inputs = Case("none", HITS[1]).target()
    mode = next_mode(target, inputs, [np.array([-3.0]), np.array([3.0])])
    assert mode is not None
    assert mode.theta[0] == pytest.approx(first_mode(target, inputs, np.zeros((1, 1))).theta[0], abs=1e-4)  # type: ignore[union-attr]
