"""Classifiers as models of one's own: configurations name them as `posterity.models.classifiers:NAME`.

All take the columns of `build.columns` as features, whatever their names, and a target that numbers the
classes.
"""

from collections.abc import Mapping
from typing import Any

import pymc as pm
import pytensor.tensor as pt


def softmax(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """Softmax regression: `intercept` (classes,) and `weight` (features, classes)."""
    features, name = _features(data)
    pm.Categorical(name, logit_p=priors["intercept"] + features @ priors["weight"], observed=data[name])


def logistic(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """Logistic regression with coefficients as scikit-learn has them: of a target 0 or 1 `intercept` and
    `coef` (features,), of more classes `intercept` (classes,) and `coef` (classes, features).
    """
    features, name = _features(data)
    scores = priors["intercept"] + features @ priors["coef"].T
    family = pm.Bernoulli if priors["coef"].ndim == 1 else pm.Categorical
    family(name, logit_p=scores, observed=data[name])


def network(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """One hidden layer of tanh units: `first` (features, units), `first_bias` (units,), `second` (units,
    classes) and `second_bias` (classes,).

    Any order of the units, and the sign of each, is the same network, so that its parameters have no one
    posterior; its predictions have.
    """
    features, name = _features(data)
    hidden = pt.tanh(features @ priors["first"] + priors["first_bias"])
    pm.Categorical(name, logit_p=hidden @ priors["second"] + priors["second_bias"], observed=data[name])


def _features(data: Mapping[str, Any]) -> tuple[Any, str]:
    """All columns beside each other (n, features), and the name of the target, which stands last."""
    *names, target = data
    columns = [data[name][:, None] for name in names]
    # Two at a time: joining all at once takes numba minutes to compile.
    while len(columns) > 1:
        pairs = [columns[i : i + 2] for i in range(0, len(columns), 2)]
        columns = [pt.concatenate(pair, axis=1) if len(pair) > 1 else pair[0] for pair in pairs]
    return columns[0], target
