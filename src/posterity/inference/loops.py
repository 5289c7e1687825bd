"""A mixture's log density and its expansion for numba: plain loops, compiled once for all structures.

What they compute is written beside the operations, in `posterity.models.mixtures`. Importing this module is
enough.
"""

from typing import Any

import numba
import numpy as np
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from posterity.models.mixtures import LogMixture, LogMixtureExpansion

VERSION = 1
"""Part of the key under which compiled loops are kept on disk: raise it with every change here."""


@numba.njit
def whiten(theta: Any, at: Any, mean: Any, whitener: Any, whitened: Any) -> float:
    """Fill `whitened` (D,) with W(θ − m); its squared length. W is lower triangular."""
    squared = 0.0
    for i in range(at.size):
        z = 0.0
        for j in range(i + 1):
            z += whitener[i, j] * (theta[at[j]] - mean[j])
        whitened[i] = z
        squared += z * z
    return squared


@numba.njit
def log_densities(thetas: Any, at: Any, log_weights: Any, means: Any, whiteners: Any) -> Any:
    """Log density (S,) at θ (S, T)."""
    found, terms, whitened = np.empty(len(thetas)), np.empty(len(log_weights)), np.empty(at.size)
    for s in range(len(thetas)):
        for k in range(len(log_weights)):
            terms[k] = log_weights[k] - 0.5 * whiten(thetas[s], at, means[k], whiteners[k], whitened)
        largest, total = terms.max(), 0.0
        for k in range(len(log_weights)):
            total += np.exp(terms[k] - largest)
        found[s] = largest + np.log(total)
    return found


@numba.njit
def expansion(theta: Any, at: Any, log_weights: Any, means: Any, whiteners: Any) -> Any:
    """Log density, gradient (T,) and Hessian (T, T) at θ (T,)."""
    components, entries = means.shape
    terms, whitened = np.empty(components), np.empty((components, entries))
    for k in range(components):
        terms[k] = log_weights[k] - 0.5 * whiten(theta, at, means[k], whiteners[k], whitened[k])
    largest, total = terms.max(), 0.0
    for k in range(components):
        total += np.exp(terms[k] - largest)
    slopes, gradient = np.zeros((components, entries)), np.zeros(theta.size)
    for k in range(components):
        weight = np.exp(terms[k] - largest) / total
        for j in range(entries):
            for i in range(j, entries):
                slopes[k, j] -= whiteners[k, i, j] * whitened[k, i]
            gradient[at[j]] += weight * slopes[k, j]
    hessian = np.zeros((theta.size, theta.size))
    for k in range(components):
        weight = np.exp(terms[k] - largest) / total
        for a in range(entries):
            for b in range(a + 1):
                curve = (slopes[k, a] - gradient[at[a]]) * (slopes[k, b] - gradient[at[b]])
                for i in range(a, entries):
                    curve -= whiteners[k, i, a] * whiteners[k, i, b]
                hessian[at[a], at[b]] += weight * curve
    for a in range(entries):
        for b in range(a):
            hessian[at[b], at[a]] = hessian[at[a], at[b]]
    return np.asarray(largest + np.log(total)), gradient, hessian


@register_funcify_and_cache_key(LogMixture)  # type: ignore[untyped-decorator]
def _many(op: Any, **_: Any) -> tuple[Any, str]:
    return _bound(log_densities, op), _key(op)


@register_funcify_and_cache_key(LogMixtureExpansion)  # type: ignore[untyped-decorator]
def _one(op: Any, **_: Any) -> tuple[Any, str]:
    return _bound(expansion, op), _key(op)


def _bound(loop: Any, op: Any) -> Any:
    at = np.array(op.positions, dtype=np.int64)

    @numba.njit
    def bound(theta: Any, log_weights: Any, means: Any, whiteners: Any) -> Any:
        return loop(theta, at, log_weights, means, whiteners)

    return bound


def _key(op: Any) -> str:
    return f"posterity {type(op).__name__} {op.positions} {VERSION}"
