"""Posterior modes: Newton's method on the exact Hessian, from several starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posterity.inference.compiled import Inputs
from posterity.inference.importance import FREEDOM
from posterity.inference.posterior import Floats
from posterity.inference.target import Target

MAX_STEPS = 100
TOLERANCE = 1e-6
"""A mode is found where half the Newton decrement is below this: the density is within that of its
maximum.
"""
REACH = 4.0
"""Longest first step, right for logarithms; doubled whenever a step of that length went well, for parameters
on other scales.
"""
BACKTRACKS = 30
CLIMBS = 3
"""Climbs from prior draws, besides the one from the prior's centre."""
COMPARABLE = 5.0
CLOSE = 0.3
"""Within so many sds and log units of a mode, a climb could end nowhere else."""


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """A point θ (D,) where the density stopped rising, its minus log density there and the Hessian (D, D)
    of that.
    """

    theta: Floats
    height: float
    hessian: Floats
    converged: bool


def climb(model: Target, inputs: Inputs, start: Floats, known: Sequence[Mode] = ()) -> Mode | None:
    """Newton's method, kept uphill by a line search; None where `start` has no finite density.

    Directions of negative curvature are followed by the absolute value of their eigenvalue (saddle-free
    Newton, Dauphin et al. 2014), with a line search that backtracks until the density rises enough (Armijo).
    A climb that comes close to a mode already `known` ends there: it returns that mode.
    """
    theta, reach = start, REACH
    value, gradient, hessian = model.evaluate(theta, inputs)
    if not _finite(value, gradient, hessian):
        return None
    for _ in range(MAX_STEPS):
        eigenvalues, vectors = np.linalg.eigh(hessian)
        slope = vectors.T @ gradient
        size = np.abs(eigenvalues)
        curvature = np.maximum(size, 1e-8 * max(1.0, size.max()))
        gain = 0.5 * (slope**2 / curvature).sum()
        convex = bool(eigenvalues[0] > 0)
        if convex and gain < TOLERANCE:
            return Mode(theta, float(value), hessian, True)
        step = vectors @ (slope / curvature)
        longest = np.abs(step).max()
        if longest > reach:
            step *= reach / longest
            reach *= 2
        for _ in range(BACKTRACKS):
            new = model.evaluate(theta - step, inputs)
            if _finite(*new) and new[0] <= value - 1e-4 * gradient @ step:
                break
            step, reach = step / 4, REACH
        else:
            # No ascent left in floating point: a mode if the gradient has vanished to rounding.
            return Mode(theta, float(value), hessian, convex and bool(gain < 1e-3))
        theta, (value, gradient, hessian) = theta - step, new
        for mode in known:
            if value - mode.height < CLOSE and not _apart(theta, mode, CLOSE):
                return mode
    return Mode(theta, float(value), hessian, False)


def modes(model: Target, inputs: Inputs, starts: Floats) -> tuple[Mode, ...]:
    """The distinct modes that could hold posterior mass, the highest first; empty without a finite density.

    Climbs begin at `starts[0]`, the prior's centre, then `CLIMBS` times at that of the other starts (K, D),
    draws from the prior, whose density the modes found so far explain least. A lower mode counts where it
    lies within `COMPARABLE` log units of the best and more than one of its sds away; a point where a climb
    stopped short counts only if nothing better was found.
    """
    density = model.densities(starts, inputs)
    unexplained = density = np.where(np.isfinite(density), density, -np.inf)
    left = np.ones(len(starts), dtype=bool)
    found: list[Mode] = []
    at = 0
    for _ in range(min(1 + CLIMBS, len(starts))):
        left[at] = False
        mode = climb(model, inputs, starts[at], [m for m in found if m.converged])
        if mode is not None and mode not in found:
            found.append(mode)
        if known := [m for m in found if m.converged]:
            unexplained = density - np.max([_expansion(m, starts) for m in known], axis=0)
        at = int(np.argmax(np.where(left, unexplained, -np.inf)))
    found.sort(key=lambda mode: mode.height)
    distinct = found[:1]
    for mode in found[1:]:
        comparable = mode.converged and mode.height - found[0].height < COMPARABLE
        if comparable and all(_apart(mode.theta, other, 1) for other in distinct):
            distinct.append(mode)
    return tuple(distinct)


def _expansion(mode: Mode, thetas: Floats) -> Floats:
    """Log density (K,) at θ (K, D) as a mode would have it, with the heavy tails of a t distribution."""
    away = thetas - mode.theta
    squared = np.einsum("ki,ij,kj->k", away, mode.hessian, away)
    expansion: Floats = -mode.height - 0.5 * (FREEDOM + len(mode.theta)) * np.log1p(squared / FREEDOM)
    return expansion


def _apart(theta: Floats, mode: Mode, distance: float) -> bool:
    """Whether θ is further than `distance` sds from a mode, by the curvature there."""
    away = theta - mode.theta
    return bool(away @ mode.hessian @ away > distance**2)


def _finite(value: Floats, gradient: Floats, hessian: Floats) -> bool:
    return bool(np.isfinite(value) and np.isfinite(gradient).all() and np.isfinite(hessian).all())
