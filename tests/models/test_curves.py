"""Built-in curves against formulas written down anew in NumPy, and against what configurations know of
them.
"""

import inspect

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from posterity.config.curves import BUILTIN_CURVES
from posterity.models.curves import CURVES

FORMULAS = {
    "negative_exponential": lambda x, lambda_val, intercept: (1 - intercept) * (1 - np.exp(-lambda_val * x)),
    "logistic": lambda x, ceiling, rate, midpoint: ceiling / (1 + np.exp(-rate * (x - midpoint))),
    "four_parameter_logistic": lambda x, bottom, top, log_ec50, slope: (
        bottom + (top - bottom) / (1 + 10 ** (slope * (log_ec50 - x)))
    ),
    "gompertz": lambda x, ceiling, displacement, rate: ceiling * np.exp(-displacement * np.exp(-rate * x)),
    "bass": lambda x, ceiling, p, q: (
        ceiling * (1 - np.exp(-(p + q) * x)) / (1 + (q / p) * np.exp(-(p + q) * x))
    ),
    "hill": lambda x, top, ec50, slope: top * x**slope / (ec50**slope + x**slope),
    "michaelis_menten": lambda x, vmax, km: vmax * x / (km + x),
    "power": lambda x, scale, exponent: scale * x**exponent,
    "linear": lambda x, intercept, slope: intercept + slope * x,
    "constant": lambda x, level: np.full_like(x, level),
}
X = np.array([0.0, 0.3, 1.0, 2.5, 7.0, 40.0])


def curve(name, x, **values):
    return CURVES[name](pt.as_tensor(x), **values).eval(mode="FAST_COMPILE")


def test_curves_are_those_that_configurations_know() -> None:
    assert FORMULAS.keys() == CURVES.keys() == BUILTIN_CURVES.keys()
    for name, function in CURVES.items():
        assert tuple(inspect.signature(function).parameters) == BUILTIN_CURVES[name]


@pytest.mark.parametrize("name", FORMULAS)
def test_curve_is_its_formula(name: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        values = {a: rng.uniform(0.2, 2.0) for a in BUILTIN_CURVES[name] if a != "x"}
        wanted = FORMULAS[name](X, **values)
        wanted = np.where(X == 0, 0.0, wanted) if name in ("hill", "power") else wanted
        np.testing.assert_allclose(curve(name, X, **values), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["negative_exponential", "constant"])
def test_formula_with_another_parameter_differs(name: str) -> None:
    values = {a: 0.5 for a in BUILTIN_CURVES[name] if a != "x"}
    assert not np.allclose(
        curve(name, X, **values), FORMULAS[name](X, **{**values, next(iter(values)): 0.51})
    )


@pytest.mark.parametrize(("name", "values"), [("hill", {"top": 1.0, "ec50": 2.0}), ("power", {"scale": 2.0})])
def test_gradient_is_finite_where_the_curve_begins(name: str, values: dict[str, float]) -> None:
    free = pt.scalar("free", dtype="float64")
    last = BUILTIN_CURVES[name][-1]
    value = CURVES[name](pt.as_tensor(X), **values, **{last: free}).sum()
    for at in (0.3, 1.0, 4.0):
        assert np.isfinite(pytensor.grad(value, free).eval({free: at}, mode="FAST_COMPILE"))


def test_curves_stay_finite_far_out() -> None:
    far = np.array([1e3, 1e6])
    assert np.isfinite(curve("hill", far, top=1.0, ec50=1e-3, slope=50.0)).all()
    assert curve("logistic", far, ceiling=2.0, rate=3.0, midpoint=1.0) == pytest.approx([2.0, 2.0])
    assert curve("bass", far, ceiling=2.0, p=0.01, q=0.4) == pytest.approx([2.0, 2.0])
