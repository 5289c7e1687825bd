"""`smooth(week, m=20, c=1.5)`: what it says, what is refused, and what it brings."""

from typing import Any

import pytest
from pymc.gp.hsgp_approx import approx_hsgp_hyperparams

from posterity.config import Config, from_dict, loads, to_yaml, with_overrides
from posterity.config.smooths import RULES, Smooth, declared, fewest, found_in, priors, written
from posterity.errors import ConfigError


def configuration(expression: str = "smooth(week, m=20, c=1.5)", **parameters: Any) -> Config:
    return from_dict(
        {
            "name": "trend",
            "data": {"entity": "site", "time": "week", "target": "y"},
            "model": {
                "parameters": parameters,
                "quantities": {"trend": {"expression": expression}},
                "likelihood": {
                    "dist": "Normal",
                    "kwargs": {"mu": "trend", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 1}}},
                },
            },
        }
    )


def test_a_call_is_read_and_written_in_the_same_words() -> None:
    text = "2 * level + smooth(week, c=2, m=30, kernel='matern52', low=-3)"
    smooth = found_in(text)
    assert smooth == Smooth("week", 30, 2.0, "matern52", low=-3.0)
    assert written(text, smooth.over(-3, 100.5)) == (
        "2 * level + smooth(week, m=30, c=2, kernel='matern52', low=-3, high=100.5)"
    )
    assert found_in(written(text, smooth)) == smooth
    assert found_in("smoothing * week") is None


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("smooth(week)", "needs m, the number of basis functions, as in smooth"),
        ("smooth(m=20)", "takes one column and named numbers"),
        ("smooth(week, 20)", "takes one column and named numbers"),
        ("smooth(2 * week, m=20)", "takes one column and named numbers"),
        ("smooth(week, m=20, d=2)", "no argument 'd'; allowed: m, c, kernel, low, high and size"),
        ("smooth(week, m=20.5)", "m is a whole number"),
        ("smooth(week, m=a)", "written out, not computed"),
        ("smooth(week, m=900)", "at most 500"),
        ("smooth(week, m=6)", "m=12 at least"),
        ("smooth(week, m=20, kernel='matern52')", "m=22 at least"),
        ("smooth(week, m=20, c=1)", "c is from 1.2 to 20"),
        ("smooth(week, m=20, kernel='rbf')", "allowed: expquad, matern52 or matern32"),
        ("smooth(week, m=20, low=3, high=2)", "low is the smaller one"),
        ("smooth(week, m=20, low='a')", "low and high are numbers"),
        ("smooth(week, m=20, size=0)", "size is a number above 0"),
        ("smooth(week, m=20) + smooth(x, m=20)", "smooth stands here twice"),
        ("exp(week, base=2)", "exp takes 1 argument in order, 2 found"),
        ("smoth(week, m=20)", "did you mean 'smooth'"),
        ("smooth(sigma, m=20)", "smooth takes a column of the panel"),
        ("smooth(y, m=20)", "the target, which cannot explain itself"),
    ],
)
def test_what_is_written_wrong_is_told(expression: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configuration(expression)


NORMAL = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}


@pytest.mark.parametrize(
    ("parameter", "prior", "said"),
    [
        ("trend_weights", NORMAL, "is a vector of m=20 numbers: give it `dims: trend_basis`"),
        ("trend_weights", {**NORMAL, "dims": "trend_basis", "dist": "StudentT"}, "are Normal"),
        ("trend_lengthscale", NORMAL, "is a length and positive"),
        ("trend_amplitude", {"dist": "HalfNormal", "dims": "site"}, "but it is one number"),
    ],
)
def test_priors_that_do_not_fit_are_told(parameter: str, prior: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configuration(**{parameter: prior})


def test_names_that_a_smooth_brings_are_taken() -> None:
    with pytest.raises(ConfigError, match="trend_amplitude"):
        with_overrides(configuration(), {"model.quantities.trend_amplitude": {"expression": "2 * week"}})


def test_the_configuration_stays_as_written_until_a_panel_is_there() -> None:
    config = configuration()
    assert config.model.smooths == {"trend": Smooth("week", 20)}
    assert not config.model.parameters
    assert loads(to_yaml(config)) == config


def test_the_rules_are_those_of_pymc() -> None:
    """m and c for a range of length scales, from Riutort-Mayol and others."""
    for kernel in RULES:
        smooth = Smooth("x", 60, 2.0, kernel, low=0, high=100)
        m, c = approx_hsgp_hyperparams([0, 100], [smooth.shortest, smooth.longest], kernel)
        assert (m, c) == (pytest.approx(60, abs=1), pytest.approx(2.0))
        least = Smooth("x", fewest(kernel), 2.0, kernel, low=0, high=100)
        assert 2 <= least.longest / least.shortest < 2.2


def test_default_priors_are_as_wide_as_the_basis_allows() -> None:
    smooth = Smooth("week", 20, low=0, high=100)
    found = declared({}, {"trend": smooth})
    assert found["parameters"] == priors("trend", smooth)
    assert found["coords"] == {"trend_basis": list(range(1, 21))}
    own = {"parameters": {"trend_amplitude": {"dist": "Exponential", "kwargs": {"lam": 1}}}}
    assert declared(own, {"trend": smooth})["parameters"]["trend_amplitude"]["dist"] == "Exponential"
