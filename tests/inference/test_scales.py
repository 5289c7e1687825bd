"""Parameters in thousands and posteriors with several bumps: where mode searches begin must not decide
the answer.
"""

import numpy as np
import pytest

from posterity.inference.fit import STARTS
from posterity.inference.mode import modes
from tests.entities import configuration, fitted, inputs, interpreted, prior, rows


@pytest.mark.parametrize("flat", [False, True])
def test_parameters_in_thousands_have_a_mode(flat: bool) -> None:
    """From any prior draw, or from 0 where there is nothing to draw."""
    intercept = {"dist": "Flat"} if flat else prior("Normal", mu=0, sigma=100_000)
    model = interpreted(
        configuration(
            {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1_000)}},
            {"a": intercept, "b": prior("Normal", mu=0, sigma=1_000)},
            {"m": {"expression": "a + b * x"}},
        )
    )
    x = np.arange(40.0)
    y = 50_000 + 130 * x + 200 * np.random.default_rng(1).normal(size=40)
    fit = fitted(model, rows(y, x=x), method="laplace")
    assert (fit.status, fit.reason) == ("ok", None)
    slope, intercept = np.polyfit(x, y, 1)
    assert fit.outcome.draws[..., :2].mean(axis=(0, 1)) == pytest.approx([intercept, slope], rel=5e-3)


def test_both_of_two_equal_modes_are_found_whatever_the_seed() -> None:
    """Prior draws are alike for all entities: a mode they all miss would be missed in the whole portfolio."""
    model = interpreted(
        configuration(
            {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
            {"a": prior("Normal", mu=0.1, sigma=2)},
            {"m": {"expression": "a ** 2"}},
        )
    )
    given = inputs(model, rows([4.0, 4.3]))
    for seed in range(40):
        assert len(modes(model, given, model.starts(given, seed, STARTS))) == 2
