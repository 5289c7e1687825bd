"""Argument names of the built-in curves, as `posterity.models.curves` implements them."""

from collections.abc import Mapping
from types import MappingProxyType

BUILTIN_CURVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "negative_exponential": ("x", "lambda_val", "intercept"),
        "logistic": ("x", "ceiling", "rate", "midpoint"),
        "four_parameter_logistic": ("x", "bottom", "top", "log_ec50", "slope"),
        "gompertz": ("x", "ceiling", "displacement", "rate"),
        "bass": ("x", "ceiling", "p", "q"),
        "hill": ("x", "top", "ec50", "slope"),
        "michaelis_menten": ("x", "vmax", "km"),
        "power": ("x", "scale", "exponent"),
        "linear": ("x", "intercept", "slope"),
        "constant": ("x", "level"),
    }
)
"""Name of a built-in curve -> its arguments; `x` is the time column unless a configuration says otherwise."""
