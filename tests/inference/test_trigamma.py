"""Trigamma in numba: scipy's values, and no detour through Python in the Hessians that need it."""

import warnings

import numpy as np
from scipy.special import polygamma

from posterity.inference.trigamma import trigamma
from tests.entities import configuration, described, inputs, interpreted, prior, rows


def test_values_are_scipys() -> None:
    x = np.concatenate([np.logspace(-8, 8, 400), np.linspace(0.1, 30, 300)])
    np.testing.assert_allclose([trigamma(v) for v in x], polygamma(1, x), rtol=1e-14)
    assert np.isnan([trigamma(v) for v in (-0.5, 0.0, np.nan)]).all()
    assert trigamma(np.inf) == 0


def test_compiled_hessians_neither_warn_nor_differ() -> None:
    config = configuration(
        {"dist": "NegativeBinomial", "kwargs": {"mu": "m", "alpha": prior("HalfNormal", sigma=2)}},
        {"a": prior("Normal")},
        {"m": {"expression": "exp(a + x)"}},
    )
    given = rows([0.0, 3, 1, 7], x=[0.0, 0.5, 1.0, 1.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = described(config)
        found = model.evaluate(np.array([0.3, -0.7]), inputs(model, given))
    twin = interpreted(config)
    for a, b in zip(found, twin.evaluate(np.array([0.3, -0.7]), inputs(twin, given)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
