"""Priors: their numbers are inputs, their densities those of scipy.stats, their forms those that were
declared.
"""

import numpy as np
import pytest
from scipy import stats

from posterity.errors import ConfigError
from posterity.inference.compiled import CompiledModel, inputs_of
from posterity.models.arrays import arrays
from tests.entities import configuration, interpreted, prior, rows

ROWS = rows(y=[0.3, -0.8])


def model(likelihood_mu="a", sigma=1.0, coords=None, quantity=None, **parameters) -> CompiledModel:
    likelihood = {"dist": "Normal", "kwargs": {"mu": likelihood_mu, "sigma": sigma}}
    quantities = {} if quantity is None else {"m": {"expression": quantity}}
    return interpreted(configuration(likelihood, parameters, quantities, coords=coords))


def density(model: CompiledModel, theta, given=ROWS, **numbers) -> float:
    """Log density at θ without the likelihood, which is Normal(·, 1) at `mu`."""
    description = model.description
    arguments = {**arrays(description, given), **description.numbers, **numbers}
    return float(model.densities(np.array([theta], dtype=float), inputs_of(model, arguments))[0])


def likelihood(mu) -> float:
    return float(stats.norm(mu, 1).logpdf(ROWS.target).sum())


def test_numbers_are_inputs() -> None:
    one = model(a=prior("Normal", mu=0.5, sigma=2))
    assert one.input_names == ("target", "prior:a.mu", "prior:a.sigma")
    for numbers in (
        {},
        {"prior:a.mu": np.array(3.0)},
        {"prior:a.mu": np.array(-1.0), "prior:a.sigma": np.array(0.1)},
    ):
        mu, sigma = float(numbers.get("prior:a.mu", 0.5)), float(numbers.get("prior:a.sigma", 2))
        wanted = stats.norm(mu, sigma).logpdf(0.7) + likelihood(0.7)
        assert density(one, [0.7], **numbers) == pytest.approx(wanted, rel=1e-12)


def test_nested_prior_is_a_parameter_of_its_own() -> None:
    one = model(a=prior("Normal", mu=0, sigma=prior("HalfNormal", sigma=3)))
    assert one.parameter_names == ("a", "a_sigma")
    assert "prior:a_sigma.sigma" in one.input_names
    log_sigma = dict(zip(one.unconstrained_names, range(2), strict=True))["a_sigma_log__"]
    theta = np.zeros(2)
    theta[log_sigma], theta[1 - log_sigma] = 0.4, 0.7
    scale = np.exp(0.4)
    wanted = stats.halfnorm(0, 3).logpdf(scale) + 0.4 + stats.norm(0, scale).logpdf(0.7) + likelihood(0.7)
    assert density(one, theta) == pytest.approx(wanted, rel=1e-12)
    found = one.parameters(
        theta[None], inputs_of(one, {**arrays(one.description, ROWS), **one.description.numbers})
    )
    assert found[0] == pytest.approx([0.7, scale])


def test_not_centred_is_the_same_prior_over_an_offset() -> None:
    def vector(centered: bool) -> CompiledModel:
        spread = prior("HalfNormal", sigma=3)
        z = prior("Normal", mu=1, sigma=spread) | {"dims": "s", "centered": centered}
        return model("m", quantity="z[0] + z[1]", coords={"s": ["u", "v"]}, z=z)

    centred, offset = vector(True), vector(False)
    assert centred.parameter_names == offset.parameter_names == ("z[u]", "z[v]", "z_sigma")
    assert "z_offset[0]" in offset.unconstrained_names
    assert offset.description.key != centred.description.key
    names = {n: i for i, n in enumerate(offset.unconstrained_names)}
    theta = np.zeros(3)
    theta[names["z_sigma_log__"]], theta[names["z_offset[0]"]], theta[names["z_offset[1]"]] = -0.3, 0.8, -1.2
    sd = np.exp(-0.3)
    z = 1 + sd * np.array([0.8, -1.2])
    wanted = (
        stats.halfnorm(0, 3).logpdf(sd) - 0.3 + stats.norm.logpdf([0.8, -1.2]).sum() + likelihood(z.sum())
    )
    assert density(offset, theta) == pytest.approx(wanted, rel=1e-12)
    given = inputs_of(offset, {**arrays(offset.description, ROWS), **offset.description.numbers})
    assert offset.parameters(theta[None], given)[0] == pytest.approx([*z, sd])


def test_transform_is_applied_to_the_parameter() -> None:
    one = model(a=prior("Normal", mu=0, sigma=1) | {"transform": "exp"})
    assert one.parameter_names == ("a",)
    wanted = stats.norm.logpdf(0.7) + likelihood(np.exp(0.7))
    assert density(one, [0.7]) == pytest.approx(wanted, rel=1e-12)


def test_a_prior_may_name_an_earlier_parameter() -> None:
    one = model(b=prior("HalfNormal", sigma=2), a=prior("Normal", mu=0, sigma="b"))
    assert one.parameter_names == ("b", "a")
    theta = [0.4, 0.7]
    wanted = stats.halfnorm(0, 2).logpdf(np.exp(0.4)) + 0.4 + stats.norm(0, np.exp(0.4)).logpdf(0.7)
    assert density(one, theta) == pytest.approx(wanted + likelihood(0.7), rel=1e-12)


def test_a_prior_cannot_name_itself_or_a_later_one() -> None:
    with pytest.raises(ConfigError, match="is this parameter itself"):
        model(a=prior("Normal", mu="a", sigma=1))
    with pytest.raises(ConfigError, match="stands further down"):
        model(a=prior("Normal", mu="b", sigma=1), b=prior("Normal"))


def test_flat_priors_add_nothing() -> None:
    one = model(a={"dist": "Flat"}, sigma={"dist": "HalfFlat"})
    theta = np.zeros(2)
    names = {n: i for i, n in enumerate(one.unconstrained_names)}
    theta[names["a"]], theta[names["sigma_log__"]] = 0.7, -0.2
    wanted = stats.norm(0.7, np.exp(-0.2)).logpdf(ROWS.target).sum() - 0.2
    assert density(one, theta) == pytest.approx(wanted, rel=1e-12)


def test_starts_are_the_centre_and_draws_of_the_prior() -> None:
    one = model(a=prior("Normal", mu=5, sigma=2), sigma=prior("HalfNormal", sigma=1))
    given = inputs_of(one, {**arrays(one.description, ROWS), **one.description.numbers})
    starts = one.starts(given, 7, 400)
    assert starts.shape == (401, 2)
    at = one.unconstrained_names.index("a")
    assert starts[0, at] == 5
    assert stats.kstest(starts[1:, at], stats.norm(5, 2).cdf).pvalue > 1e-3
    assert stats.kstest(np.exp(starts[1:, 1 - at]), stats.halfnorm(0, 1).cdf).pvalue > 1e-3
    assert (one.starts(given, 7, 400) == starts).all()
    shifted = inputs_of(
        one, {**arrays(one.description, ROWS), **one.description.numbers, "prior:a.mu": np.array(-50.0)}
    )
    assert one.starts(shifted, 7, 400)[1:, at].mean() < -40
