"""Bayesian logistic and softmax regression on standardised features: as a configuration, and fitted.

With normal priors the density and its derivatives are written out (`softmax`) and nothing is compiled. Other
priors, and methods other than those of `concave`, take the configuration's model, compiled once for each
number of features and classes.
"""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from posterity.errors import ConfigError, ModelError
from posterity.estimators import concave
from posterity.estimators.configured import Raw, Settings, mapping
from posterity.estimators.engine import Fitted, fit_rows
from posterity.estimators.linear import normal
from posterity.estimators.softmax import Softmax
from posterity.inference.fit import Seeds
from posterity.inference.gates import open_gates
from posterity.inference.posterior import Failure
from posterity.models import describe

type Floats = NDArray[np.float64]

PRIORS: Mapping[str, Raw] = {
    "intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2.5}},
    "coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2.5}},
}
"""On the scale of standardised features, of the log odds or of every class's score: those of rstanarm
(Goodrich et al.; Gelman et al., Annals of Applied Statistics 2:1360, 2008)."""


MOST_UNKNOWNS = 5_000
"""The Hessian has their square of numbers, 200 MB, and its eigenvalues are asked for several times."""


def fit(
    features: Floats, codes: NDArray[np.int64], classes: int, priors: Mapping[str, Raw], settings: Settings
) -> Fitted:
    """The posterior of standardised features (n, p) and the classes (n,) of the rows, 0 to K - 1.

    Its parameters are `intercept` and `coef`: (C, S) and (C, S, p) of the log odds for two classes, else
    (C, S, K) and (C, S, K·p), one class after the other.

    Raises ConfigError for impossible priors, ModelError where no posterior is found or there are more
    than `MOST_UNKNOWNS`.
    """
    n, p = features.shape
    unknowns = (p + 1) * (1 if classes == 2 else classes - 1)
    config = settings.configuration(model_section(p, classes, priors))
    known = _normals(priors, p)
    if known is None or config.inference.method not in concave.METHODS:
        columns = {f"x{i}": np.ascontiguousarray(features[:, i]) for i in range(p)}
        return fit_rows(config, columns, codes.astype(np.float64))
    if unknowns > MOST_UNKNOWNS:
        raise ModelError(
            f"{p:,} features and {classes} classes are {unknowns:,} unknowns, and their Hessian is out of "
            f"reach beyond {MOST_UNKNOWNS:,}; reduce the features first, say with a PCA in a pipeline"
        )
    target = Softmax(np.column_stack([np.ones(n), features]), codes, classes, *known)
    key = sha256(target.design.tobytes() + codes.tobytes()).hexdigest()
    found = concave.fit(target, Seeds.of(config.inference.seed, key), config.inference, config.gates)
    if isinstance(found, Failure):
        raise ModelError(f"no posterior was found: {'; '.join(found.tried) or found.reason}")
    reasons = (*open_gates(found, config.gates), *found.reasons)
    return Fitted(config, describe(config), found, _names(p, classes), reasons, key)


def model_section(features: int, classes: int, priors: Mapping[str, Raw]) -> Raw:
    """The model of a target that numbers the classes, with the priors of `intercept` and `coef`.

    Raises ConfigError for a list of numbers that is not one for each feature.
    """
    for name, value in mapping(priors["coef"].get("kwargs")).items():
        if isinstance(value, list) and len(value) != features:
            raise ConfigError(
                [f"priors: coef has {len(value)} numbers for {name}, and X has {features} features"]
            )
    two = classes == 2
    return {
        "parameters": {
            "intercept": {**priors["intercept"], "dims": [] if two else ["class"]},
            "coef": {**priors["coef"], "dims": ["feature"] if two else ["class", "feature"]},
        },
        "coords": {"feature": features} | ({} if two else {"class": classes}),
        "build": {
            "function": "posterity.models.classifiers:logistic",
            "columns": [f"x{i}" for i in range(features)],
            "target": "binary" if two else "category",
        },
    }


def _normals(priors: Mapping[str, Raw], features: int) -> tuple[Floats, Floats] | None:
    """Means and sds (p + 1,) of intercept and coefficients; None where these are not all normal with
    numbers in them that all classes share.
    """
    try:
        level, coef = normal("intercept", priors["intercept"], 1), normal("coef", priors["coef"], features)
    except ConfigError:
        return None
    mean, sd = (np.concatenate(pair) for pair in zip(level, coef, strict=True))
    return mean, sd


def _names(features: int, classes: int) -> tuple[str, ...]:
    """Labels of the parameters, in the order of `Softmax.parameters`."""
    if classes == 2:
        return ("intercept", *(f"coef[{i}]" for i in range(features)))
    levels = [f"intercept[{k}]" for k in range(classes)]
    return (*levels, *(f"coef[{k}, {i}]" for k in range(classes) for i in range(features)))
