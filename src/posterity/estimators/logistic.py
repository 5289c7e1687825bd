"""Bayesian logistic regression on standardised features, as a configuration.

A structure is compiled for 4, 8, 16, ... features; those that are too many are columns of zeros, whose
coefficients no row informs and which are dropped. So a model is compiled for each doubling of the number of
features, not for each number.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from posterity.errors import ConfigError
from posterity.estimators.configured import Raw, mapping

type Floats = NDArray[np.float64]

PRIORS: Mapping[str, Raw] = {
    "intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2.5}},
    "coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2.5}},
}
"""On the scale of standardised features: those of rstanarm (Goodrich et al.; Gelman et al., Annals of Applied
Statistics 2:1360, 2008)."""

FEWEST = 4
TERMS = 16
"""Terms of one expression: they are nested, and configurations bound the depth."""


def width(features: int) -> int:
    """How many columns the model of so many features has."""
    return max(FEWEST, 1 << (features - 1).bit_length())


def columns(features: Floats) -> dict[str, Floats]:
    """Standardised features (n, p) as the model's columns."""
    n, p = features.shape
    return {f"x{i}": features[:, i] if i < p else np.zeros(n) for i in range(width(p))}


def model_section(features: int, priors: Mapping[str, Raw]) -> Raw:
    """The model of a target 0 or 1, with the priors of `intercept` and `coef`."""
    size = width(features)
    quantities: Raw = {}
    for begin in range(0, size, TERMS):
        terms = [f"coef[{i}] * x{i}" for i in range(begin, min(size, begin + TERMS))]
        before = f"part_{begin // TERMS - 1}" if begin else "intercept"
        quantities[f"part_{begin // TERMS}"] = {"expression": " + ".join([before, *terms])}
    return {
        "parameters": {"intercept": priors["intercept"], "coef": _padded(priors["coef"], features, size)},
        "quantities": quantities,
        "likelihood": {"dist": "Bernoulli", "kwargs": {"logit_p": list(quantities)[-1]}},
        "coords": {"feature": list(range(size))},
    }


def _padded(prior: Raw, features: int, size: int) -> Raw:
    """The prior of the coefficients over all columns: of a number for each feature, those of zeros repeat the
    last.
    """
    kwargs = dict(mapping(prior.get("kwargs")))
    for name, value in kwargs.items():
        if isinstance(value, list):
            if len(value) != features:
                raise ConfigError(
                    [f"priors: coef has {len(value)} numbers for {name}, and X has {features} features"]
                )
            kwargs[name] = [*value, *[value[-1]] * (size - features)]
    return {**prior, "kwargs": kwargs, "dims": "feature"}
