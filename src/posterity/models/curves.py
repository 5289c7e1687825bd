"""Built-in curves: symbolic functions of an input `x` (usually time or dose) and scalar parameters.

Every function takes PyTensor (or NumPy) values that broadcast against each other and returns the curve at
`x`. The argument names are those that a configuration's parameters are matched with;
`posterity.config.curves` lists them without importing PyTensor, and a test holds the two together.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytensor.tensor as pt

type Value = Any


def negative_exponential(x: Value, lambda_val: Value, intercept: Value) -> Value:
    """Adoption that closes a constant share of the remaining gap to 1 per unit of `x`, from `intercept`
    at 0.
    """
    return 1 - intercept - (1 - intercept) * pt.exp(-lambda_val * x)


def logistic(x: Value, ceiling: Value, rate: Value, midpoint: Value) -> Value:
    """Verhulst's S-curve: half of `ceiling` at `midpoint`, steepness `rate` per unit of `x`."""
    return ceiling * pt.sigmoid(rate * (x - midpoint))


def four_parameter_logistic(x: Value, bottom: Value, top: Value, log_ec50: Value, slope: Value) -> Value:
    """Dose-response in log₁₀ dose `x`: halfway between `bottom` and `top` at `log_ec50`, Hill coefficient
    `slope`.
    """
    return bottom + (top - bottom) * pt.sigmoid(_LOG_10 * slope * (x - log_ec50))


def gompertz(x: Value, ceiling: Value, displacement: Value, rate: Value) -> Value:
    """Asymmetric S-curve: ceiling * exp(-displacement * exp(-rate * x)) (Gompertz 1825)."""
    return ceiling * pt.exp(-displacement * pt.exp(-rate * x))


def bass(x: Value, ceiling: Value, p: Value, q: Value) -> Value:
    """Cumulative adoption by innovators `p` and imitators `q` (Bass, Management Science 15:215, 1969), 0
    at x = 0.
    """
    decay = pt.exp(-(p + q) * x)
    return ceiling * (1 - decay) / (1 + q / p * decay)


def hill(x: Value, top: Value, ec50: Value, slope: Value) -> Value:
    """Response to dose `x` ≥ 0: top * x^slope / (ec50^slope + x^slope), 0 at x = 0 (Hill 1910)."""
    # As a power of the ratio the curve stays finite for large doses, and its gradient for x = 0.
    positive = pt.gt(x, 0)
    log_ratio = pt.log(pt.switch(positive, x, 1.0)) - pt.log(ec50)
    return pt.switch(positive, top * pt.sigmoid(slope * log_ratio), 0.0)


def michaelis_menten(x: Value, vmax: Value, km: Value) -> Value:
    """Rate of an enzyme at substrate concentration `x`: half of `vmax` at `km`."""
    return vmax * x / (km + x)


def power(x: Value, scale: Value, exponent: Value) -> Value:
    """scale * x^exponent for x ≥ 0, 0 at x = 0."""
    positive = pt.gt(x, 0)
    return pt.switch(positive, scale * pt.exp(exponent * pt.log(pt.switch(positive, x, 1.0))), 0.0)


def linear(x: Value, intercept: Value, slope: Value) -> Value:
    """intercept + slope * x."""
    return intercept + slope * x


def constant(x: Value, level: Value) -> Value:
    """The same `level` at every `x`."""
    return level + 0 * x


_LOG_10 = 2.302585092994046

CURVES: Mapping[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        negative_exponential,
        logistic,
        four_parameter_logistic,
        gompertz,
        bass,
        hill,
        michaelis_menten,
        power,
        linear,
        constant,
    )
}
