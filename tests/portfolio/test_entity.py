"""One entity with a transferred prior: what its fit says about how the two agree."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from posterity.config.schema import Gates, Inference
from posterity.inference.compiled import CompiledModel
from posterity.inference.fit import Seeds
from posterity.inference.mixture import Mixture
from posterity.inference.transferred import numbers
from posterity.panel import Rows
from posterity.portfolio.agreement import agreement
from posterity.portfolio.entity import EntityFit
from posterity.portfolio.prior import Prior
from tests.entities import configuration, fitted, inputs, interpreted, prior, rows

KEY = "00112233445566778899aabbccddeeff"
SD = 2.0
KNOWN = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": SD}}
LINE = {"m": {"expression": "a + b * x"}}
PARAMETERS = {"a": prior("Normal", mu=0, sigma=5), "b": prior("Normal", mu=0, sigma=0.5)}
INFORMATIVE = Mixture([0.4, 0.6], [[0.5], [1.5]], [[[0.3]], [[0.2]]])
VAGUE = 0.1
ROBUST = Prior(
    source="population",
    entries=("a",),
    mixture=INFORMATIVE.joined(VAGUE, [1.1], [[25.0]]),
    vague=VAGUE,
    rows=3.0,
    model="",
)
SHUT = Gates(ess=0, khat=1)


@cache
def model(*, flat: bool = False) -> CompiledModel:
    """A line of which the intercept is transferred and the slope is not."""
    slope = {"b": {"dist": "Flat"}} if flat else {}
    return interpreted(configuration(KNOWN, PARAMETERS | slope, LINE), transferred=["a"])


def entity(rng: np.random.Generator, *, shift: float = 0.0) -> Rows:
    """Rows drawn from the informative prior, or from one elsewhere."""
    x = np.linspace(-1, 1, 8)
    a = INFORMATIVE.draw(rng, 1)[0, 0] + shift
    return rows(a + 0.5 * rng.standard_normal() * x + SD * rng.standard_normal(8), x=x)


def fit(given: Rows, by: Prior | None = ROBUST, **more: Any) -> EntityFit:
    """Adaptive sampling follows where Laplace meets two bumps; gates of the sampling itself stay closed."""
    gates = more.pop("gates", SHUT)
    settings = {"method": "auto", "draws": 1000, "chains": 4} | more
    return fitted(settings.pop("model", model()), given, prior=by, gates=gates, **settings)


def test_the_weight_of_the_vague_component_is_exact() -> None:
    """For normals the marginal likelihood of every component is known; rows far away leave the vague one."""
    weights = []
    for shift in (0.0, 3.0, 9.0):
        given = entity(np.random.default_rng(4), shift=shift)
        found = fit(given)
        mixture, x = ROBUST.mixture, given.columns["x"]
        noise = SD**2 * np.eye(8) + 0.25 * np.outer(x, x)
        marginal = [
            stats.multivariate_normal(np.full(8, m), noise + v).pdf(given.target)
            for m, v in zip(mixture.means[:, 0], mixture.covariances[:, 0, 0], strict=True)
        ]
        exact = mixture.weights * marginal
        assert found.vague_weight == pytest.approx(exact[-1] / exact.sum(), abs=0.02)
        weights.append(found.vague_weight)
    assert weights[0] < VAGUE < weights[1] < weights[2]
    assert weights[2] > 0.99


def test_rows_unlike_the_prior_flag_the_entity_with_a_sentence() -> None:
    found = fit(entity(np.random.default_rng(4), shift=12.0))
    assert found.status == "flagged"
    assert found.conflict_p is not None
    assert found.conflict_p < 0.01
    assert (
        found.reason
        == f"conflict {found.conflict_p:.2g} < 0.01: the data are unlike the prior from population"
    )
    assert found.prior is ROBUST
    tolerant = fit(
        entity(np.random.default_rng(4), shift=12.0), gates=SHUT.model_copy(update={"conflict": 0.0})
    )
    assert (tolerant.status, tolerant.reason, tolerant.conflict_p) == ("ok", None, found.conflict_p)


def test_conflict_is_uniform_for_rows_from_the_informative_prior() -> None:
    """Not from the whole mixture, whose vague part would hide conflicts; the twin is a shifted entity."""
    posterior = fit(entity(np.random.default_rng(4))).outcome

    def conflicts(shift: float) -> list[float]:
        found = []
        for seed in range(150):
            given = entity(np.random.default_rng(seed), shift=shift)
            arguments = inputs(model(), given, numbers(ROBUST.mixture))
            seeds = Seeds.of(seed, KEY)
            compared = agreement(model(), arguments, given.target, ROBUST, posterior, Inference(), seeds)
            found.append(compared.conflict_p)
        return found

    assert stats.kstest(conflicts(0), "uniform").pvalue > 1e-3
    assert stats.kstest(conflicts(3), "uniform").pvalue < 1e-4


def test_without_a_transferred_prior_there_is_nothing_to_agree_with() -> None:
    declared = interpreted(configuration(KNOWN, PARAMETERS, LINE))
    found = fit(entity(np.random.default_rng(4), shift=12.0), None, model=declared)
    assert (found.prior, found.conflict_p, found.vague_weight) == (None, None, None)
    assert found.status == "ok"


def test_a_flat_independent_prior_predicts_nothing() -> None:
    found = fit(entity(np.random.default_rng(4)), model=model(flat=True))
    assert found.status == "ok"
    assert found.conflict_p is None
    assert found.vague_weight is not None


def test_priors_without_and_with_only_a_vague_component() -> None:
    given = entity(np.random.default_rng(4))
    without = fit(given, replace(ROBUST, mixture=INFORMATIVE, vague=0.0))
    assert without.vague_weight is None
    assert without.conflict_p == fit(given).conflict_p
    only = fit(given, replace(ROBUST, mixture=Mixture.gaussian([1.1], [[25.0]]), vague=1.0))
    assert (only.conflict_p, only.vague_weight) == (None, 1.0)


def test_counts_too_large_to_draw_are_no_conflict() -> None:
    config = configuration(
        {"dist": "Poisson", "kwargs": {"mu": "m"}},
        {"a": prior("Normal", mu=0, sigma=1)},
        {"m": {"expression": "exp(a)"}},
    )
    wide = replace(ROBUST, mixture=Mixture.gaussian([2.0], [[400.0]]), vague=0.0)
    found = fit(rows([3.0, 4, 2]), wide, model=interpreted(config, transferred=["a"]))
    assert (found.status, found.conflict_p) == ("ok", None)


def test_rows_after_one_another_are_predicted_one_step_ahead() -> None:
    """With strong memory rows stray far from the curve and still agree with the row before each."""
    config = configuration(
        {
            "dist": "Normal",
            "kwargs": {
                "mu": "a",
                "sigma": 1,
            },
            "errors": {"ar1": {"rho": prior("Beta", alpha=60, beta=2)}},
        },
        {"a": prior("Normal", mu=0, sigma=1)},
        time="t",
    )
    narrow = Prior("entity: one", ("a",), Mixture.gaussian([0.0], [[0.01]]), 0.0, 1.0, "")
    rng, errors = np.random.default_rng(3), [0.0]
    for _ in range(29):
        errors.append(0.97 * errors[-1] + rng.standard_normal())
    walk = interpreted(config, transferred=["a"])
    near = fit(rows(errors, t=np.arange(30.0)), narrow, model=walk)
    far = fit(rows(np.array(errors) + 40 * (np.arange(30) % 2), t=np.arange(30.0)), narrow, model=walk)
    assert near.conflict_p > 0.01 > far.conflict_p


def test_a_prior_about_other_unknowns_is_a_reason() -> None:
    given = entity(np.random.default_rng(4))
    other = fit(given, replace(ROBUST, entries=("z",)))
    assert other.status == "failed"
    assert "the prior from population is about z, the model takes one about a" in other.reason
    missing = fit(given, None)
    assert missing.reason == "the model takes a transferred prior about a, and none is given"
    assert not missing.outcome.unexpected


def test_the_same_twice_and_streams_of_before() -> None:
    """A stream more leaves the others what they were."""
    given = entity(np.random.default_rng(4))
    one, two = fit(given), fit(given)
    np.testing.assert_array_equal(one.outcome.draws, two.outcome.draws)
    assert (one.conflict_p, one.vague_weight) == (two.conflict_p, two.vague_weight)
    words = [int(KEY[i : i + 8], 16) for i in range(0, 32, 8)]
    seeds = Seeds.of(3, KEY)
    before = np.random.SeedSequence([3, *words]).spawn(5)
    for name, child in zip(("laplace", "adaptive", "nuts", "careful", "predict"), before, strict=True):
        np.testing.assert_array_equal(getattr(seeds, name).generate_state(4), child.generate_state(4))
