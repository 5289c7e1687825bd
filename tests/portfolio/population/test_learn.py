"""Populations learned from entities against exact answers and known truths."""

import importlib
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from posterity.errors import PosterityError, RunnerError
from posterity.portfolio.population import Population, Setting, Teacher, learn, sweep
from posterity.portfolio.population.factors import Factor, expand
from posterity.portfolio.runners import Processes, WorkerDied
from tests.entities import prior, rows
from tests.portfolio.population.teaching import Exact, normal, taught

type Floats = NDArray[np.float64]

LEARN = importlib.import_module("posterity.portfolio.population.learn")


def studies(entities: int = 14, seed: int = 0) -> tuple[Floats, Floats]:
    """One observation an entity and its standard error."""
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.3, 1.0, entities)
    return rng.normal(rng.normal(1, 0.8, entities), errors), errors


SPREAD = {"theta": prior("HalfNormal", sigma=1.0)}


def close(draws: Floats, exact: tuple[float, float], mean: float = 0.1, sd: float = 0.08) -> bool:
    """Whether draws have an exact mean and sd, up to what a few hundred effective draws allow."""
    centre, spread = exact
    return bool(abs(draws.mean() - centre) < mean * spread and abs(np.log(draws.std() / spread)) < sd)


def predictive(population: Population, group: str | None = None) -> Floats:
    return population.predictive(group, 40_000, np.random.default_rng(1))


@pytest.mark.parametrize("entities", [3, 14])
def test_a_conjugate_population_is_exact(entities: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posterity.portfolio.population.sampling.MOST_DRAWS", 4_000)
    means, errors = studies(entities)
    found = learn(*normal(means, errors, spread=SPREAD)).population
    exact = Exact(means, errors, 1.0)
    assert found.converged
    assert close(found.mean[:, 0], exact.mu())
    assert close(found.sds[:, 0], exact.spread())
    assert close(predictive(found)[:, 0], exact.predictive())
    # The twin: an answer that knows of no error in the entities' means.
    sure = Exact(means, errors / 3, 1.0)
    assert not close(found.sds[:, 0], sure.spread())


def test_the_declared_prior_is_the_prior_of_the_mean() -> None:
    """That of this configuration, whatever numbers the structure was compiled for first."""
    means, errors = studies(4)
    far = {"centre": -2.0, "wide": 0.5}
    found = learn(*normal(means, errors, **far, spread=SPREAD)).population
    exact = Exact(means, errors, 1.0, **far)
    assert close(found.mean[:, 0], exact.mu())
    assert not close(found.mean[:, 0], Exact(means, errors, 1.0).mu())


# -- shared parameters


def replicated(entities: int = 20, each: int = 3, seed: int = 3) -> tuple[list[Floats], float]:
    """Few rows an entity, so that who takes the entities' means for known makes the noise too small."""
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(0, 0.5), 0.4, each) for _ in range(entities)], 0.4


def with_noise(entities: Sequence[Floats], **pool: Any) -> tuple[Setting, list[Teacher]]:
    return taught(
        {"dist": "Normal", "kwargs": {"mu": "theta", "sigma": prior("LogNormal", mu=-1, sigma=1)}},
        {"theta": prior("Normal", mu=0, sigma=2)},
        [rows(y) for y in entities],
        shared=["sigma"],
        **pool,
    )


def exact_noise(entities: Sequence[Floats]) -> tuple[float, float]:
    """Mean and sd of log σ by sums over a grid of log σ and τ, θ and the mean integrated out."""
    n, log_sigma, tau = len(entities[0]), np.linspace(-1.6, -0.3, 400), np.linspace(1e-3, 2, 400)
    means = np.array([y.mean() for y in entities])
    within = float(sum(((y - y.mean()) ** 2).sum() for y in entities))
    s, t = np.exp(log_sigma)[:, None], tau[None]
    variance = t**2 + s**2 / n
    precision = len(means) / variance + 2.0**-2
    log = -len(means) * ((n - 1) * np.log(s) + 0.5 * np.log(variance)) - within / (2 * s**2)
    log += -0.5 * (means**2).sum() / variance + 0.5 * (means.sum() / variance) ** 2 / precision
    log += -0.5 * np.log(precision) + stats.norm.logpdf(log_sigma, -1, 1)[:, None]
    log += stats.halfnorm.logpdf(t, scale=2)
    weights = np.exp(log - logsumexp(log)).sum(axis=1)
    mean = float(weights @ log_sigma)
    return mean, float(np.sqrt(weights @ (log_sigma - mean) ** 2))


def test_a_shared_parameter_is_unbiased(monkeypatch: pytest.MonkeyPatch) -> None:
    entities, _ = replicated()
    found = learn(*with_noise(entities)).population
    exact = exact_noise(entities)
    assert found.shared_values.shape[1] == 1
    # Quadratic in log σ, factors miss its skewness: with 40 degrees of freedom, 0.11 sds of the mean.
    assert close(found.shared_values[:, 0], exact, mean=0.2)

    def careless(*given: Any) -> Factor:
        """Height alone depends on the shared parameter: a profile, not a marginal likelihood."""
        factor = expand(*given)
        if len(factor.coefficients) == 1:  # the first sweep has no shared parameters yet
            return factor
        constant, eta, q = factor.coefficients[1:].T
        x = factor.mode[0]
        factor.coefficients[1:] = np.column_stack([constant + eta * x - 0.5 * q * x**2, 0 * eta, 0 * q])
        return factor

    monkeypatch.setattr(sweep, "expand", careless)
    monkeypatch.setattr(sweep, "match_moments", lambda target, inputs, mode, factor, *_: factor)
    wrong = learn(*with_noise(entities)).population
    assert wrong.shared_values.mean() < exact[0] - exact[1]


# -- groups


def test_groups_have_means_of_their_own_shrunk_to_the_whole() -> None:
    rng = np.random.default_rng(4)
    sizes = {"east": 10, "north": 10, "south": 10, "west": 2}
    centres = {"east": -1.0, "north": 0.0, "south": 1.0, "west": 3.0}
    groups = [name for name, size in sizes.items() for _ in range(size)]
    errors = np.full(len(groups), 0.3)
    errors[-2:] = 1.5
    means = np.array([rng.normal(centres[g], 0.3) for g in groups])
    setting, teachers = normal(means, errors, groups=groups, within=[], spread=SPREAD, wide=3.0)
    found = learn(setting, teachers).population
    assert found.groups == ("east", "north", "south", "west")
    middle = dict(zip(found.groups, found.group_means.mean(axis=0)[:, 0], strict=True))
    for name in ("east", "north", "south"):
        own = means[np.array(groups) == name].mean()
        assert middle[name] == pytest.approx(own, abs=0.15)
    # Two inaccurate entities say little of the west: it is drawn towards the others.
    assert middle["west"] < means[-2:].mean() - 0.2
    assert predictive(found, "north")[:, 0].std() < 0.6
    # A group that nobody taught is as uncertain as groups differ.
    nowhere = predictive(found, "atlantis")[:, 0]
    assert nowhere.std() > 1.0
    assert found.between.mean() == pytest.approx(1.2, abs=0.6)


# -- the covariance


def pairs(correlation: float, entities: int = 24) -> tuple[Setting, list[Teacher]]:
    rng = np.random.default_rng(5)
    sigma = np.array([[0.5, 0.5 * correlation], [0.5 * correlation, 0.5]])
    truth = rng.multivariate_normal([1, -1], sigma, entities)
    x = np.linspace(-1, 1, 6)
    return taught(
        {"dist": "Normal", "kwargs": {"mu": "line", "sigma": 0.3}},
        {"a": prior("Normal", mu=0, sigma=2), "b": prior("Normal", mu=0, sigma=2)},
        [rows(a + b * x + rng.normal(0, 0.3, 6), x=x) for a, b in truth],
        quantities={"line": {"expression": "a + b * x"}},
    )


def test_correlations_are_learned_where_data_show_them() -> None:
    correlated, none = (learn(*pairs(r)).population for r in (0.9, 0.0))
    assert correlated.covariance == "full"
    assert correlated.correlations[:, 0, 1].mean() == pytest.approx(0.9, abs=0.12)
    assert none.covariance == "diagonal"
    assert (none.correlations[:, 0, 1] == 0).all()


def test_four_teachers_are_too_few_for_two_entries_full() -> None:
    setting, teachers = pairs(0.95)
    assert learn(setting, teachers[:3]).population.covariance == "diagonal"


# -- entities, workers, failures


def same(a: Population, b: Population) -> bool:
    one, two = a.to_dict(), b.to_dict()
    return one == two


class Backwards:
    """A runner that hands pickled work out last first, and lets some workers die."""

    def __init__(self, deaths: int = 0) -> None:
        self.deaths, self.seen = deaths, 0

    def run(self, function: Any, items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        self.seen += 1
        for item in reversed(items):
            if self.deaths:
                self.deaths -= 1
                yield item, WorkerDied("gone")
            else:
                yield item, pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item)))))

    def close(self) -> None:
        pass


def test_runners_and_dying_workers_change_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SMALLEST_CHUNK", 3)
    setting, teachers = normal(*studies(10), spread=SPREAD)
    alone = learn(setting, teachers)
    runner = Backwards(deaths=2)
    assert same(alone.population, learn(setting, teachers, runner).population)
    assert runner.seen > alone.population.sweeps  # one more for those who died
    with pytest.raises(RunnerError, match="died twice"):
        learn(setting, teachers, Backwards(deaths=100))


@pytest.mark.slow
def test_real_workers_change_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SMALLEST_CHUNK", 3)
    setting, teachers = with_noise(replicated(8)[0])
    found = []
    for workers in (1, 2):
        runner = Processes(workers)
        try:
            found.append(learn(setting, teachers, runner).population)
        finally:
            runner.close()
    assert same(*found)


def test_the_order_of_entities_is_irrelevant() -> None:
    entities, _ = replicated(6)
    setting, teachers = with_noise(entities)
    one, other = learn(setting, teachers).population, learn(setting, teachers[::-1]).population
    assert set(one.teachers) == set(other.teachers)
    for row in one.compare(other):
        assert abs(row["shift"]) < 0.01, row
        assert row["sd_ratio"] == pytest.approx(1, abs=0.01), row


def test_fewer_than_three_teachers_are_refused() -> None:
    setting, teachers = normal(*studies(2))
    with pytest.raises(PosterityError, match="takes at least 3"):
        learn(setting, teachers)


def test_an_entity_without_a_mode_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    setting, teachers = normal(*studies(6), spread=SPREAD)
    bad = teachers[2].inputs

    def first(target: Any, inputs: Any, starts: Floats) -> Any:
        return None if inputs is bad else original(target, inputs, starts)

    original = sweep.first_mode
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "first_mode", first)
        found = learn(setting, teachers)
    assert list(found.failed) == ["e2"]
    assert "e2" not in found.population.teachers
    assert found.population.rows == 5
    assert "1 taught nothing" in found.population.notes[0]
    without = learn(setting, [t for t in teachers if t.entity != "e2"]).population
    assert found.population.compare(without)[0]["shift"] == pytest.approx(0, abs=0.01)


def test_one_that_never_stands_still_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LEARN, "STILL", -1.0)
    monkeypatch.setattr(LEARN, "SWEEPS", 3)
    found = learn(*normal(*studies(5), spread=SPREAD)).population
    assert not found.converged
    assert found.doubts(1.0) == ("the population had not settled after 3 sweeps",)
