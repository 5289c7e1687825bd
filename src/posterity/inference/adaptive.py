"""Adaptive importance sampling by kernel mixtures: for posteriors too skewed or split for one bump."""

from collections.abc import Sequence

import numpy as np

from posterity.inference.compiled import Inputs
from posterity.inference.importance import Kernels, Sample, posterior, sample
from posterity.inference.laplace import around
from posterity.inference.mode import Mode
from posterity.inference.posterior import Failure, Floats, Posterior
from posterity.inference.target import Target

ROUNDS = 8
KERNELS = 150
ENOUGH = 0.6
"""Stop adapting once the weights are worth this share of the proposals.

Weights look good, too, while an arm of the posterior has not been seen yet: with 0.25 and narrow kernels a
banana passed its gates with an sd 13 to 25 % too small."""
CERTAIN = 0.5
"""k̂ above which proposals adapt on, however even their weights: a tail that they do not reach has little
weight yet, and the certificate would refuse them."""
LARGER = 4
"""Proposals of the last round for each draw, where fewer do not make enough effective ones."""
SPREAD = 3.0
"""Kernels are wider than a density estimate would have them: proposals should cover, not fit."""


def fit(
    model: Target,
    inputs: Inputs,
    modes: Sequence[Mode],
    rng: np.random.Generator,
    *,
    draws: int,
    chains: int,
) -> Posterior | Failure:
    """Draws from one entity's posterior by importance sampling from a mixture that learns its shape.

    The first proposals are t distributions at all modes; each further round proposes from t kernels at points
    resampled from the round before, with the weighted covariance shrunk to the bandwidth of a kernel density
    estimate (West, JRSSB 55:409, 1993). Each round is an importance sampler of its own, so the last one's k̂
    and effective sizes certify its draws just as they do Laplace's; rounds are not pooled.

    Suits few dimensions (D up to about ten). Returns Failure where there is no mode to start from.
    """
    begin = [mode for mode in modes if mode.converged]
    if not begin:
        return Failure("no mode to adapt proposals from", "adaptive")
    size = draws * chains
    drawn = sample(model, inputs, around(begin), rng, size)
    for left in reversed(range(ROUNDS)):
        if drawn is None or (_effective(drawn) > ENOUGH * size and drawn.khat <= CERTAIN):
            break
        kernels = _kernels(drawn, rng)
        if kernels is None:
            break
        drawn = sample(model, inputs, kernels, rng, size if left else LARGER * size) or drawn
    if drawn is None:
        return Failure("no proposal around the modes has a finite density", "adaptive")
    return posterior("adaptive", drawn, rng, draws, chains)


def _effective(drawn: Sample) -> float:
    """Kish's effective size of the weights."""
    return float(1 / (drawn.weights**2).sum())


def _kernels(drawn: Sample, rng: np.random.Generator) -> Kernels | None:
    """t kernels at resampled points; None where the weighted points span no volume."""
    dimension = drawn.thetas.shape[1]
    centres = drawn.thetas[rng.choice(len(drawn.weights), KERNELS, p=drawn.weights)]
    covariance: Floats = np.atleast_2d(np.cov(drawn.thetas, rowvar=False, aweights=drawn.weights))
    bandwidth = (4 / (KERNELS * (dimension + 2))) ** (1 / (dimension + 4))
    try:
        lower = np.linalg.cholesky(covariance * SPREAD * max(bandwidth, 0.3) ** 2)
    except np.linalg.LinAlgError:
        return None
    return Kernels(centres, lower[None], np.full(KERNELS, 1 / KERNELS))
