"""New rows for draws of an old posterior: weights by the likelihood of the rows, no new fit (iterated batch
importance sampling; Chopin, Biometrika 89:539, 2002).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posterity.config.schema import Gates
from posterity.inference.compiled import CompiledModel, Inputs
from posterity.inference.gates import open_gates
from posterity.inference.importance import Sample, posterior, smoothed
from posterity.inference.posterior import Failure, Floats, Posterior

METHOD = "reweight"


@dataclass(frozen=True, eq=False)
class Particles:
    """Distinct draws of a posterior: θ (S, D), how many copies there are of each (S,), and the log of what a
    copy counts (S,).

    C `chains` of N `draws` is the size of the posterior that is resampled from them.
    """

    thetas: Floats
    copies: NDArray[np.int64]
    log_weights: Floats
    chains: int
    draws: int


def reweight(
    model: CompiledModel, inputs: Inputs, old: Particles, rng: np.random.Generator, gates: Gates
) -> Posterior | Failure:
    """The posterior after the rows in `inputs`, whose prior must be flat: what `old` stands for is the prior.

    Weights are Pareto-smoothed and resampled systematically; draws that are copied count once in the
    effective sizes. A Failure where a gate is open then: too few draws lie where the new posterior does.
    """
    log_likelihood = model.densities(old.thetas, inputs)
    finite = np.isfinite(log_likelihood)
    if not finite.any():
        return Failure("no draw of the previous posterior makes the new rows possible", METHOD)
    log_ratio = np.where(finite, log_likelihood, -np.inf) + old.log_weights
    # The tail of the ratios is that of the draws, copies and all: were a copied draw one of twice the weight,
    # copies would look like a heavy tail.
    each, khat = smoothed(np.repeat(log_ratio - log_ratio[finite].max(), old.copies))
    weights = np.add.reduceat(each, np.cumsum(old.copies) - old.copies)
    sample = Sample(old.thetas, model.parameters(old.thetas, inputs), weights, khat)
    found = posterior(METHOD, sample, rng, old.draws, old.chains)
    if reasons := open_gates(found, gates):
        return Failure("; ".join(reasons), METHOD)
    return found
