"""Laplace's approximation, corrected and certified by Pareto-smoothed importance sampling."""

from collections.abc import Sequence

import numpy as np

from posterity.inference.compiled import Inputs
from posterity.inference.importance import Kernels, posterior, sample
from posterity.inference.mode import Mode
from posterity.inference.posterior import Failure, Posterior
from posterity.inference.target import Target


def fit(
    model: Target,
    inputs: Inputs,
    modes: Sequence[Mode],
    rng: np.random.Generator,
    *,
    draws: int,
    chains: int,
) -> Posterior | Failure:
    """Draws from one entity's posterior by importance resampling around its mode; `modes[0]` is the highest.

    Proposals come from a multivariate t at the mode, scaled by the inverse Hessian. k̂ and the effective
    sizes of the resampled draws are the certificate; one that fails is left to the gates, the draws are
    returned with it.

    Returns Failure where there is no mode or another one about as high, for a single bump cannot stand for
    those.
    """
    if not modes:
        return Failure("the density is not finite at any start: do the priors allow these data?", "laplace")
    if not modes[0].converged:
        return Failure("no mode was found: the density keeps rising or is flat there", "laplace")
    if len(modes) > 1:
        return Failure(f"{len(modes)} modes of comparable height", "laplace")
    drawn = sample(model, inputs, around(modes), rng, draws * chains)
    if drawn is None:
        return Failure("no proposal around the mode has a finite density", "laplace")
    return posterior("laplace", drawn, rng, draws, chains)


def around(modes: Sequence[Mode]) -> Kernels:
    """One t at each mode with the inverse Hessian as scale, weighted by Laplace's estimate of the mass
    there.
    """
    lower = np.linalg.cholesky(np.linalg.inv([mode.hessian for mode in modes]))
    log_mass = np.array([-mode.height for mode in modes]) + np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(
        1
    )
    mass = np.exp(log_mass - log_mass.max())
    return Kernels(np.array([mode.theta for mode in modes]), lower, mass / mass.sum())
