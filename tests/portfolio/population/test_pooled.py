"""Partial pooling of the entities that taught a population, against exact answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logsumexp

from posterity.config.schema import Gates, Inference
from posterity.inference.fit import Seeds
from posterity.inference.posterior import Posterior
from posterity.panel import Rows
from posterity.portfolio.population import Setting, Teacher, learn
from posterity.portfolio.population.pooled import Pooling, fit_pooled, without
from tests.entities import prior, rows
from tests.portfolio.population.teaching import Exact, normal, taught

type Floats = NDArray[np.float64]

SPREAD = {"theta": prior("HalfNormal", sigma=1.0)}
RNG = np.random.default_rng(1)
ERRORS = RNG.uniform(0.3, 1.2, 10)
MEANS = RNG.normal(RNG.normal(1, 0.7, 10), ERRORS)
EXACT = Exact(MEANS, ERRORS, 1.0)
OWN = [rows([y], error=[e]) for y, e in zip(MEANS, ERRORS, strict=True)]


def pooling(setting: Setting, teachers: list[Teacher]) -> Pooling:
    found = learn(setting, teachers)
    groups = {t.entity: t.group for t in teachers}
    return Pooling(found.population, setting.entries, found.origin, found.factors, groups)


@pytest.fixture(scope="module")
def conjugate() -> tuple[Setting, Pooling]:
    setting, teachers = normal(MEANS, ERRORS, spread=SPREAD)
    return setting, pooling(setting, teachers)


def posterior(
    setting: Setting, known: Pooling, entity: str, given: Rows, gates: Gates | None = None, **changes: Any
) -> Posterior:
    inference = Inference(**{"draws": 1_000, "chains": 4, "method": "laplace"} | changes)
    outcome = fit_pooled(
        setting.model,
        entity,
        given,
        setting.description.numbers,
        known,
        Seeds.of(1, f"{int(entity[1:]):032x}"),
        inference,
        gates or Gates(ess=200),
    )
    assert isinstance(outcome, Posterior), outcome
    return outcome


def z_and_ratio(draws: Floats, exact: tuple[float, float]) -> tuple[float, float]:
    return (draws.mean() - exact[0]) / exact[1], draws.std() / exact[1]


def test_pooled_posteriors_are_exact(conjugate: tuple[Setting, Pooling]) -> None:
    setting, known = conjugate
    found = [posterior(setting, known, f"e{i}", one) for i, one in enumerate(OWN)]
    assert {outcome.method for outcome in found} == {"pooled"}
    assert max(outcome.diagnostics.khat for outcome in found) < 0.5
    errors = [z_and_ratio(o.draws, EXACT.theta(i)) for i, o in enumerate(found)]
    for z, ratio in errors:
        assert abs(z) < 0.12
        assert ratio == pytest.approx(1, abs=0.06)
    # The twin: entities left alone, each with its own row only.
    alone = [z_and_ratio(o.draws, (MEANS[i], ERRORS[i])) for i, o in enumerate(found)]
    assert max(abs(z) for z, _ in alone) > 0.5


def test_without_an_entity_the_others_say_what_they_would_have_said(
    conjugate: tuple[Setting, Pooling],
) -> None:
    _, known = conjugate
    shifts = []
    for entity in (0, 4, 9):
        prior = without(known, f"e{entity}", np.random.default_rng(3))
        mean, sd = EXACT.without(entity).predictive()
        assert prior.mean[0] == pytest.approx(mean, abs=0.12 * sd)
        assert np.sqrt(prior.covariance[0, 0]) == pytest.approx(sd, rel=0.12)
        shifts.append(abs(EXACT.predictive()[0] - mean) / sd)
    assert max(shifts) > 0.02  # taking one out matters


def test_taken_out_again_an_extreme_entity_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the test before, where it matters: an entity far out from the others.

    Further out still and no population that is likely without it is among the draws: a limit of taking out.
    """
    monkeypatch.setattr("posterity.portfolio.population.sampling.MOST_DRAWS", 4_000)
    errors, means = np.full(8, 0.3), np.array([0.1, -0.3, 0.2, 0.0, -0.1, 0.3, -0.2, 1.5])
    setting, teachers = normal(means, errors, spread=SPREAD)
    exact = Exact(means, errors, 1.0)
    known = pooling(setting, teachers)
    prior = without(known, "e7", np.random.default_rng(3))
    mean, sd = exact.without(7).predictive()
    assert abs(prior.mean[0] - mean) < 0.15 * sd
    assert np.sqrt(prior.covariance[0, 0]) == pytest.approx(sd, rel=0.15)
    drawn = known.population.predictive(None, 4_000, np.random.default_rng(4))
    assert drawn.std() > 1.6 * sd  # with it, entities differ by far more


def test_entities_that_importance_sampling_cannot_do_are_fitted_as_new_ones_would_be(
    conjugate: tuple[Setting, Pooling],
) -> None:
    setting, known = conjugate
    strict = Gates(ess=200)
    lost = replace(known, factors={e: f for e, f in known.factors.items() if e != "e3"})
    for pool, reason in ((lost, "it had no factor"), (broken(known, "e3"), "below 200")):
        outcome = posterior(setting, pool, "e3", OWN[3], strict)
        assert outcome.method != "pooled"
        assert reason in outcome.tried[0]
    # Its factor was wrong, so only the leave-one-out prior of the intact one can be compared.
    outcome = posterior(setting, known, "e3", OWN[3], Gates(ess=100_000), draws=2_000)
    assert outcome.method == "laplace"
    z, ratio = z_and_ratio(outcome.draws, EXACT.theta(3))
    assert abs(z) < 0.15
    assert ratio == pytest.approx(1, abs=0.12)


def broken(known: Pooling, entity: str) -> Pooling:
    """A factor ten sds from where the rows are."""
    factor = known.factors[entity]
    moved = factor.coefficients.copy()
    moved[0, 1] += 12 * np.sqrt(moved[0, 2])
    moved[0, 2] *= 9
    return replace(known, factors={**known.factors, entity: replace(factor, coefficients=moved)})


def test_a_shard_takes_along_only_what_it_needs(conjugate: tuple[Setting, Pooling]) -> None:
    _, known = conjugate
    some = known.only(("e1", "e5"))
    assert set(some.factors) == set(some.groups) == {"e1", "e5"}
    assert some.population is known.population


def binomial(hits: Floats, trials: Floats) -> tuple[Setting, list[Teacher], list[Rows]]:
    own = [rows([r], n=[n]) for r, n in zip(hits, trials, strict=True)]
    setting, teachers = taught(
        {"dist": "Binomial", "kwargs": {"n": "n", "logit_p": "theta"}},
        {"theta": prior("Normal", mu=0, sigma=2)},
        own,
        spread=SPREAD,
    )
    return setting, teachers, own


def test_few_trials_are_pooled_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where factors are approximate, weights correct the entity's own; sums over θ, τ and μ say what is
    right.
    """
    monkeypatch.setattr("posterity.portfolio.population.sampling.MOST_DRAWS", 4_000)
    hits, trials = np.array([0.0, 4, 1, 2, 3, 0, 2, 1]), np.array([4.0, 4, 5, 4, 5, 6, 3, 8])
    setting, teachers, own = binomial(hits, trials)
    known = pooling(setting, teachers)
    theta, mu, tau = np.linspace(-8, 8, 401), np.linspace(-4, 4, 81), np.linspace(0.02, 4, 80)
    p = expit(theta)
    like = stats.binom.pmf(hits[:, None], trials[:, None], p)  # (E, T)
    given = stats.norm.pdf(theta[:, None, None], mu[:, None], tau) * (theta[1] - theta[0])  # (T, M, S)
    given /= given.sum(axis=0)
    each = np.einsum("et,tms->ems", like, given)
    log = np.log(each).sum(axis=0) + stats.norm.logpdf(mu, 0, 2)[:, None] + stats.halfnorm.logpdf(tau)
    weights = np.exp(log - logsumexp(log))
    methods = set()
    for entity in (0, 1, 3, 5, 7):
        own_given = like[entity][:, None, None] * given / each[entity]
        density = np.einsum("tms,ms->t", own_given, weights)
        mean = float(density @ theta)
        exact = mean, float(np.sqrt(density @ (theta - mean) ** 2))
        outcome = posterior(setting, known, f"e{entity}", own[entity])
        methods.add(outcome.method)
        z, ratio = z_and_ratio(outcome.draws, exact)
        assert abs(z) < 0.12
        # What the others say is a mixture fitted to 2,000 draws with heavy tails.
        assert ratio == pytest.approx(1, abs=0.12)
    assert methods == {"pooled", "laplace"}  # all or none of few succeed: too skewed for the first
