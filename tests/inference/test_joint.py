"""Methods for joint models, against a normal model whose joint posterior is known."""

import numpy as np
import pytest

from posterity.config.schema import Inference
from posterity.errors import ModelError
from posterity.inference.declared import declared_moments
from posterity.inference.joint import METHODS, advi, fit_joint
from posterity.models.joint import MEAN, OWN, SD
from tests.entities import configuration, inputs, interpreted, prior, rows
from tests.models.test_joint import joint, pooled

MEANS = configuration(
    {"dist": "Normal", "kwargs": {"mu": "level", "sigma": 1}},
    {"level": prior("Normal", mu=0, sigma=1)},
)
GIVEN = [rows(np.linspace(-1, 1, 4) + shift) for shift in (0.0, 1.0, 3.0)]


def fitted(method: str, **options):
    model = interpreted(MEANS)
    built = joint(model, GIVEN, pooled(model, independent=["level"]))
    settings = Inference(pooling="joint", method=method, draws=500, chains=2, **options)
    return built, fit_joint(built, settings, np.random.SeedSequence(1), 1)


# dadvi's 30 fixed draws leave an sd uncertain by an eighth.
@pytest.mark.parametrize(("method", "close"), [("advi", 0.12), ("dadvi", 0.35)])
def test_independent_normal_means_are_found(method, close):
    built, found = fitted(method)
    thetas = built.thetas(found.draws, slice(None)).reshape(-1, 3)
    assert thetas.shape == (1_000, 3)
    # Precision 4 + 1: no parameter is correlated with another, so that a diagonal Gaussian is exact.
    assert np.abs(thetas.mean(axis=0) - np.array([0, 0.8, 2.4])).max() < 0.1
    assert thetas.std(axis=0) == pytest.approx(np.full(3, 0.2**0.5), rel=close)
    # The twin that must fail: without the prior the means are those of the rows.
    assert np.abs(thetas.mean(axis=0) - np.array([0, 1.0, 3.0])).max() > 0.3
    assert found.reasons == ()
    assert found.diagnostics(thetas.reshape(2, 500, 3)).ess_bulk.tolist() == [1_000] * 3


def test_too_few_steps_are_a_reason():
    _, found = fitted("advi", steps=100)
    assert "stopped after 100 steps" in found.reasons[0]


def test_a_full_covariance_of_too_many_unknowns_is_refused(monkeypatch):
    monkeypatch.setattr(advi, "LARGEST", 2)
    with pytest.raises(ModelError, match="use advi"):
        fitted("fullrank_advi")


def test_methods_for_one_entity_are_refused():
    with pytest.raises(ModelError, match="joint models take nuts"):
        fitted("laplace")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_population(method):
    rng = np.random.default_rng(4)
    levels = rng.normal(0.5, 0.7, 12)
    given = [rows(rng.normal(level, 1, 40)) for level in levels]
    model = interpreted(MEANS)
    built = joint(model, given, pooled(model))
    settings = Inference(pooling="joint", method=method, draws=500, chains=4)
    found = fit_joint(built, settings, np.random.SeedSequence(1), 1)
    assert set(found.draws) == {MEAN, SD, OWN}
    assert found.draws[MEAN].mean() == pytest.approx(0.5, abs=0.5)
    assert found.draws[SD].mean() == pytest.approx(0.7, abs=0.35)
    assert np.abs(found.draws[OWN].mean(axis=(0, 1))[:, 0] - levels).max() < 0.6


def test_declared_moments_are_exact_for_normals_and_drawn_for_others():
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=3)}},
        {
            "a": prior("Normal", mu=2, sigma=3),
            "b": prior("LogNormal", mu=1, sigma=0.5),
            "v": {**prior("Normal", mu=0, sigma=2), "dims": ["k"]},
            "f": {"dist": "Flat", "kwargs": {}},
        },
        {"m": {"expression": "a + b + v[0] + f"}},
        coords={"k": ["x", "y"]},
    )
    model = interpreted(config)
    mean, sd = declared_moments(model, inputs(model, rows([1.0])))
    by = dict(zip(model.unconstrained_names, zip(mean.tolist(), sd.tolist(), strict=True), strict=True))
    assert by["a"] == (2, 3)
    assert by["b_log__"] == (1, 0.5)
    assert by["v[0]"] == by["v[1]"] == (0, 2)
    assert by["f"] == (0, np.inf)
    # log |N(0, 3²)|: mean log 3 - (γ + log 2) / 2, variance π² / 8.
    assert by["sigma_log__"] == pytest.approx((np.log(3) - 0.6352, np.pi / 8**0.5), abs=0.05)
    again, _ = declared_moments(model, inputs(model, rows([1.0])))
    assert np.array_equal(mean, again)
