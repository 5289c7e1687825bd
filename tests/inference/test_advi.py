"""Variational inference on one entity, against answers known exactly."""

from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.config import Config, from_dict
from posterity.config.schema import Gates
from posterity.errors import ConfigError, ModelError
from posterity.inference import advi, compiled
from posterity.inference.compiled import CompiledModel
from posterity.inference.elbo import POINTS, curve
from posterity.inference.gaussians import Diagonal, Full
from posterity.inference.importance import smoothed
from posterity.inference.minibatches import minibatches
from posterity.inference.posterior import Posterior
from posterity.inference.settling import RATES, WINDOW, Settling
from posterity.models import build, describe
from posterity.portfolio.fixed import fixed
from posterity.portfolio.plan import read_panel
from tests.entities import configuration, described, fitted, inputs, interpreted, prior, rows

Y = np.random.default_rng(0).normal(2, 1, 50)


@pytest.fixture(scope="module")
def level() -> CompiledModel:
    likelihood = {"dist": "Normal", "kwargs": {"mu": "level", "sigma": 1}}
    return described(configuration(likelihood, {"level": prior("Normal", mu=0, sigma=1)}))


@pytest.fixture(scope="module")
def line() -> CompiledModel:
    wide = prior("Normal", mu=0, sigma=5)
    likelihood = {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": 0.3}}
    return described(configuration(likelihood, {"a": wide, "b": wide}, {"mu": {"expression": "a + b * x"}}))


def outcome(model: CompiledModel, given: Any, **inference: Any) -> Posterior:
    fit = fitted(model, given, **{"method": "advi", **inference})
    assert isinstance(fit.outcome, Posterior), fit.reason
    return fit.outcome


def test_a_normal_mean_is_found_exactly(level: CompiledModel) -> None:
    found = outcome(level, rows(Y))
    mean, sd = Y.sum() / 51, 51**-0.5  # precision 50 + 1
    assert found.mean[0] == pytest.approx(mean, abs=0.05 * sd)
    assert found.covariance[0, 0] ** 0.5 == pytest.approx(sd, rel=0.03)
    assert found.diagnostics.khat < 0.5
    assert found.reasons == ()
    # The twin that must fail: rows without the prior would have their own mean.
    assert abs(found.mean[0] - Y.mean()) > 0.1 * sd


def test_the_approximation_itself_is_the_known_one(level: CompiledModel, monkeypatch: Any) -> None:
    """Without the resampling, which would mend a wrong one."""
    monkeypatch.setattr(advi, "khat_bound", lambda *_: -np.inf)
    found = outcome(level, rows(Y))
    assert found.mean[0] == pytest.approx(Y.sum() / 51, abs=0.05 * 51**-0.5)
    assert found.covariance[0, 0] ** 0.5 == pytest.approx(51**-0.5, rel=0.04)


def test_a_coin_is_its_beta_posterior() -> None:
    model = described(
        configuration({"dist": "Bernoulli", "kwargs": {"p": "p"}}, {"p": prior("Beta", alpha=2, beta=2)})
    )
    found = outcome(model, rows(np.repeat([1.0, 0.0], [30, 10])))
    a, b = 32, 12
    exact = a / (a + b), (a * b / (a + b) ** 2 / (a + b + 1)) ** 0.5
    assert found.draws.mean() == pytest.approx(exact[0], abs=0.05 * exact[1])
    assert found.draws.std() == pytest.approx(exact[1], rel=0.03)
    assert found.diagnostics.khat < 0.7


def test_nearly_equal_weights_have_no_tail_and_heavy_ones_do() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(4_000)
    log_q = -0.5 * noise**2
    # A cubic, as of a skewed posterior: its largest weights are nearly equal, and a Pareto fit finds any
    # shape.
    cubic = np.clip(0.03 * (noise**3 - 3 * noise), -1, 1)
    assert smoothed(cubic - cubic.max())[1] > 0.7
    weights, khat = advi.weighed(log_q + cubic, log_q)
    assert khat < 0.25
    assert weights.sum() == pytest.approx(1)
    # The twin: a target three times as wide as the Gaussian has a tail of shape 1 - 1 / 9.
    weights, khat = advi.weighed(-0.5 * noise**2 / 9, log_q)
    assert khat > 0.7


def test_correlated_unknowns_have_sds_as_small_as_theory_says_and_khat_tells(line: CompiledModel) -> None:
    x = np.linspace(0, 1, 60)
    given = rows(1 + 2 * x + np.random.default_rng(1).normal(0, 0.3, 60), x=x)
    design = np.column_stack([np.ones(60), x])
    precision = design.T @ design / 0.3**2 + np.eye(2) / 25
    exact = np.linalg.inv(precision)
    mean = exact @ (design.T @ given.target / 0.3**2)  # type: ignore[operator]
    fit = fitted(line, given, method="advi")
    assert isinstance(fit.outcome, Posterior)
    sd = np.diagonal(fit.outcome.covariance) ** 0.5
    # The closest independent Gaussian has the precisions' diagonal (Bishop 2006, section 10.1.2).
    assert sd == pytest.approx(np.diagonal(precision) ** -0.5, rel=0.06)
    assert (sd < 0.6 * np.diagonal(exact) ** 0.5).all()
    assert fit.outcome.mean == pytest.approx(mean, abs=0.3 * np.diagonal(exact)[1] ** 0.5)
    assert fit.outcome.diagnostics.khat > 0.7
    assert fit.status == "flagged"
    assert "means of the approximation may be right, its spreads are not certified" in str(fit.reason)
    # A full covariance has nothing to hide.
    full = outcome(line, given, method="fullrank_advi")
    assert np.diagonal(full.covariance) ** 0.5 == pytest.approx(np.diagonal(exact) ** 0.5, rel=0.05)
    assert full.diagnostics.khat < 0.5


def test_a_minibatch_gives_what_all_rows_give(level: CompiledModel) -> None:
    every, some = outcome(level, rows(Y)), outcome(level, rows(Y), minibatch=10)
    sd = 51**-0.5
    assert some.mean[0] == pytest.approx(every.mean[0], abs=0.1 * sd)
    assert some.covariance[0, 0] ** 0.5 == pytest.approx(sd, rel=0.05)
    assert some.reasons == ()
    assert not np.array_equal(some.draws, every.draws)


def test_rows_of_a_minibatch_stand_for_all_of_them(level: CompiledModel, monkeypatch: Any) -> None:
    """The twin: batches that are not weighted would know a fifth of the rows only."""
    monkeypatch.setattr(advi, "khat_bound", lambda *_: -np.inf)
    from posterity.inference import minibatches

    right = outcome(level, rows(Y), minibatch=10)
    assert right.covariance[0, 0] == pytest.approx(1 / 51, rel=0.15)
    monkeypatch.setattr(minibatches, "weight", lambda *_: 1.0)
    wrong = outcome(level, rows(Y), minibatch=10)
    assert wrong.covariance[0, 0] == pytest.approx(1 / 11, rel=0.15)


def test_too_few_steps_are_flagged(level: CompiledModel) -> None:
    fit = fitted(level, rows(Y), method="advi", steps=300)
    assert fit.status == "flagged"
    assert "stopped after 300 steps before its bound settled" in str(fit.reason)
    assert fit.outcome.elbo.steps[-1] == 300  # type: ignore[union-attr]


def test_nothing_is_compiled_for_an_entity(level: CompiledModel) -> None:
    outcome(level, rows(Y), minibatch=10)
    made = compiled.compilations
    for shift in range(5):
        outcome(level, rows(Y[: 40 + shift] + shift), minibatch=10, steps=100)
    assert compiled.compilations == made


def test_the_same_seed_gives_the_same_draws(level: CompiledModel) -> None:
    first, again = (outcome(level, rows(Y), minibatch=10) for _ in range(2))
    assert np.array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, outcome(level, rows(Y), minibatch=10, seed=1).draws)


AR1 = {
    "dist": "Normal",
    "kwargs": {"mu": "a", "sigma": 1},
    "errors": {"ar1": {"rho": prior("Beta", alpha=1, beta=1)}},
}


def test_rows_that_depend_on_rows_before_are_refused_in_minibatches() -> None:
    parameters = {"a": prior("Normal", mu=0, sigma=1)}
    with pytest.raises(ConfigError, match="`errors` makes them depend on rows before"):
        configuration(AR1, parameters, time="t", inference={"method": "advi", "minibatch": 5})
    model = interpreted(configuration(AR1, parameters, time="t"))
    with pytest.raises(ModelError, match="rows depend on the rows before them"):
        next(advi._slopes(model, (), 5, np.random.default_rng(0), lambda _: (0.0, np.zeros(2))))


def test_a_density_that_is_nowhere_finite_is_a_failure(level: CompiledModel) -> None:
    fit = fitted(level, rows([np.inf, 1.0]), method="advi")
    assert (fit.status, "not finite at any start" in str(fit.reason)) == ("failed", True)


def test_too_many_unknowns_for_a_covariance_fail(level: CompiledModel, monkeypatch: Any) -> None:
    monkeypatch.setattr(advi, "LARGEST", 0)
    assert "use advi" in str(fitted(level, rows(Y), method="fullrank_advi").reason)


@pytest.mark.parametrize("full", [False, True])
def test_slopes_are_those_of_the_bound(full: bool) -> None:
    """Against differences: the path's gradient of log p - log q, the numbers in log q held."""
    rng = np.random.default_rng(3)
    diagonal = Diagonal(3)
    phi = diagonal.begin(rng.normal(size=3), 0.7)
    family = Full(3) if full else diagonal
    phi = Full(3).begin(phi) if full else phi
    phi = phi + rng.normal(scale=0.2, size=len(phi))
    noise, p = rng.normal(size=3), np.diag([1.0, 2.0, 3.0]) + 0.3

    def bound(theta: np.ndarray) -> float:
        away = family.draw(phi, np.eye(3)) - family.draw(phi, np.zeros(3))  # rows: columns of L
        white = np.linalg.solve(away.T, theta - family.draw(phi, np.zeros(3)))
        return float(-0.5 * theta @ p @ theta - family.log_density(phi, white))

    slope = family.slope(phi, noise, -p @ family.draw(phi, noise))
    step = 1e-6 * np.eye(len(phi))
    wanted = [(bound(family.draw(phi + h, noise)) - bound(family.draw(phi - h, noise))) / 2e-6 for h in step]
    assert slope == pytest.approx(np.array(wanted), rel=1e-4, abs=1e-6)


def test_a_falling_loss_has_not_settled_and_a_flat_one_has() -> None:
    rng, watch = np.random.default_rng(0), Settling()
    falling = 1_000 - 0.05 * np.arange(10_000) + rng.normal(size=10_000)
    assert not any(watch.look(falling, step) for step in range(1, 10_001))
    assert watch.rate == RATES[0]
    assert watch.unsettled("advi", 10_000)
    watch, flat = Settling(), 1_000 + rng.normal(size=20_000)
    stopped = next(step for step in range(1, 20_001) if watch.look(flat, step))
    assert watch.settled
    assert watch.rate == RATES[-1]
    assert stopped >= 3 * 3 * WINDOW
    assert watch.unsettled("advi", stopped) == ()


def test_rounds_of_rows_are_not_taken_for_noise() -> None:
    """Ten batches that differ by far come in every round: single steps are noisy, rounds are not."""
    rounds = np.tile(np.linspace(-500, 500, 10), 2_000) + 1_000
    # The twin: of the same steps in any order more are needed until nothing better has come for long.
    mixed = np.random.default_rng(0).permutation(rounds)
    stops = []
    for losses in (rounds, mixed):
        watch = Settling()
        stops.append(next(step for step in range(1, 20_001) if watch.look(losses, step)))
    assert stops[0] < stops[1]


def test_a_noisy_loss_that_falls_has_not_settled() -> None:
    rng, watch = np.random.default_rng(0), Settling()
    falling = 1_000 - 0.05 * np.arange(10_000) + 150 * rng.normal(size=10_000)
    assert not any(watch.look(falling, step) for step in range(1, 10_001))
    assert watch.rate == RATES[0]


def test_a_curve_is_thin_and_keeps_the_mean() -> None:
    losses = np.random.default_rng(0).normal(size=7_777)
    found = curve(losses)
    assert len(found.steps) == len(found.elbo) == POINTS
    assert found.steps[-1] == 7_777
    widths = np.diff(found.steps, prepend=0)
    assert (found.elbo * widths).sum() == pytest.approx(-losses.sum())
    assert len(curve(losses[:30]).steps) == 30


def test_gates_of_other_methods_say_no_more_than_before(level: CompiledModel) -> None:
    from dataclasses import replace

    from posterity.inference.gates import open_gates

    found = outcome(level, rows(Y))
    bad = replace(found, diagnostics=replace(found.diagnostics, khat=0.9))
    assert "spreads are not certified" in open_gates(bad, Gates())[0]
    assert open_gates(replace(bad, method="laplace"), Gates()) == ("k-hat 0.90 is above 0.70",)


def design(panel: Any) -> Config:
    """A formula with a factor (two columns) and a smooth, learned from a panel."""
    model = {
        "parameters": {"sigma": prior("HalfNormal", sigma=1)},
        "quantities": {
            "line": {"formula": "1 + x + kind"},
            "trend": {"expression": "smooth(x, m=12)"},
            "mu": {"expression": "line + trend"},
        },
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": "sigma"}},
    }
    config = from_dict({"name": "t", "data": {"entity": "shop", "target": "y"}, "model": model})
    return fixed(config, read_panel(config, panel))


def test_batches_hold_matrices_of_their_rows(monkeypatch: Any) -> None:
    """The mean density over the batches of a round is that of all rows, as each counts for all."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12))
    table = pd.DataFrame({"shop": "s", "x": x, "kind": list("abc") * 4, "y": y})
    config = design(table)
    model, weighted = (CompiledModel(build(d)) for d in (describe(config), describe(config).with_weights()))
    given = rows(table["y"], x=table["x"], kind=table["kind"])
    every = inputs(model, given)
    round_ = list(islice(minibatches(model, every, 4, rng), 3))  # type: ignore[arg-type]
    theta = rng.normal(0, 0.3, (2, model.dimension))
    found = np.mean([weighted.densities(theta, batch) for batch in round_], axis=0)
    assert found == pytest.approx(model.densities(theta, every))
    # The twin: a basis whose rows are others'.
    place = weighted.input_names.index("smooth:trend")
    mixed = [(*b[:place], b[place][::-1], *b[place + 1 :]) for b in round_]
    assert np.abs(np.mean([weighted.densities(theta, b) for b in mixed], axis=0) - found).min() > 0.01
