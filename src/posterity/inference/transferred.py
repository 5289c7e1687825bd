"""A transferred prior as the numbers that a compiled model takes, and starts drawn from those."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.errors import ModelError
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Floats
from posterity.models.description import Numbers
from posterity.models.mixtures import ABSENT, COMPONENTS, LOG_WEIGHTS, MEANS, WHITENERS

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def numbers(mixture: Mixture) -> Numbers:
    """The inputs that make a Gaussian mixture over D entries the prior of a transferred structure.

    Raises ModelError for more than `COMPONENTS` components; where there are fewer, the others are absent.
    """
    given, entries = mixture.means.shape
    if given > COMPONENTS:
        raise ModelError(
            f"the prior's mixture has {given} components and the model takes {COMPONENTS}; fit it with fewer"
        )
    found = flat(entries)
    log_weights, means, whiteners = (found[name] for name in (LOG_WEIGHTS, MEANS, WHITENERS))
    whiteners[:given] = np.tril(mixture.whiteners)
    means[:given] = mixture.means
    with np.errstate(divide="ignore"):
        log_weights[:given] = np.log(mixture.weights)
    log_weights[:given] += _log_scales(whiteners[:given])
    return {**found, LOG_WEIGHTS: np.maximum(log_weights, ABSENT)}


def flat(entries: int) -> Numbers:
    """Inputs whose log prior is exactly 0 everywhere, over so many entries: what is left of the density is
    the likelihood and the prior of the independent parameters.
    """
    log_weights = np.full(COMPONENTS, ABSENT)
    log_weights[0] = 0.0
    return {
        LOG_WEIGHTS: log_weights,
        MEANS: np.zeros((COMPONENTS, entries)),
        WHITENERS: np.zeros((COMPONENTS, entries, entries)),
    }


def around(inputs: Mapping[str, NDArray[Any]], seed: int, draws: int) -> Floats | None:
    """The mean of the mixture among these inputs and so many draws from it, (1 + draws, D).

    None for a flat one, which has neither.
    """
    whiteners, means = inputs[WHITENERS], inputs[MEANS]
    present = np.diagonal(whiteners, axis1=1, axis2=2).all(axis=1)
    if not present.any():
        return None
    whiteners, means = whiteners[present], means[present]
    log_weights = inputs[LOG_WEIGHTS][present] - _log_scales(whiteners)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    rng = np.random.default_rng(seed)
    which = rng.choice(len(weights), size=draws, p=weights)
    noise = rng.standard_normal((draws, means.shape[1]))
    away = np.linalg.solve(whiteners, np.eye(means.shape[1]))[which] @ noise[:, :, None]
    return np.concatenate([weights @ means[None], means[which] + away[:, :, 0]])


def _log_scales(whiteners: Floats) -> Floats:
    """log|W| − D/2 log 2π of every whitener (K, D, D): shape (K,)."""
    diagonal = np.diagonal(whiteners, axis1=1, axis2=2)
    scales: Floats = (np.log(diagonal) - _HALF_LOG_2PI).sum(axis=1)
    return scales
