"""Automatic differentiation variational inference on one entity's unknowns (Kucukelbir et al., JMLR 18:14,
2017), by minibatches where it has many rows (Hoffman et al., JMLR 14:1303, 2013).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from posterity.config.schema import Gates, Inference
from posterity.errors import ModelError
from posterity.inference.compiled import CompiledModel, Inputs, compiled
from posterity.inference.elbo import curve
from posterity.inference.gates import khat_bound
from posterity.inference.gaussians import Diagonal, Full, Gaussian
from posterity.inference.importance import Sample, posterior, smoothed
from posterity.inference.minibatches import minibatches
from posterity.inference.posterior import Diagnostics, Failure, Floats, Posterior
from posterity.inference.settling import RATES, WINDOW, Settling

METHODS = ("advi", "fullrank_advi")
LARGEST = 2_000
"""Unknowns for which a full covariance is still in reach: it has half their square of numbers."""
START_SD = 0.1
"""So narrow that no draw meets an infinity, and wide enough to tell units of a network apart."""
MISSES = 100
"""Draws in a row without a finite density that end a fit."""
EVEN = 0.25
"""Shape of a tail that is no tail: largest weights of S draws below S^0.25 times the mean."""
FIRST, SECOND, TINY = 0.9, 0.999, 1e-8
"""Adam's decays and the least it divides by (Kingma & Ba, ICLR 2015)."""

type Slope = Callable[[Floats], tuple[float, Floats]]


def fit(
    model: CompiledModel,
    inputs: Inputs,
    starts: Floats,
    seed: np.random.SeedSequence,
    inference: Inference,
    gates: Gates,
) -> Posterior | Failure:
    """Draws from one entity's Gaussian closest in Kullback-Leibler divergence, diagonal for `advi`.

    `starts` (K, D) are tried in turn for a finite density. Adam's rate falls whenever the bound has settled,
    and the answer is the mean of the last rate's iterates (Dhaka et al., NeurIPS 2020); a full Gaussian
    begins where the diagonal one has settled, with steps as much smaller as it has more numbers.
    `inference.steps` is the maximum; a bound that has not settled by then is a reason.

    k̂ compares the Gaussian with the exact density of all rows (Yao et al., ICML 2018). Up to the gate its
    draws are resampled by their Pareto-smoothed weights and are those of the posterior itself; beyond it they
    are left as they are, and flagged (Dhaka et al., NeurIPS 2021: in many dimensions weights fail long before
    means do).
    """
    method, size = inference.method, model.dimension
    if method == "fullrank_advi" and size > LARGEST:
        return Failure(too_many(size), method)
    exact = _exact(model, inputs)
    start = next((s for s in starts if np.isfinite(exact(s)[0])), None)
    if start is None:
        return Failure("the density is not finite at any start: do the priors allow these data?", method)
    rng = np.random.default_rng(seed)
    slopes = _slopes(model, inputs, inference.minibatch, rng, exact)
    diagonal = Diagonal(size)
    begin = diagonal.begin(start + START_SD * rng.standard_normal(size), START_SD)
    family: Gaussian = diagonal
    phi, losses, watch = _climb(diagonal, begin, slopes, rng, inference.steps, RATES)
    if phi is not None and method == "fullrank_advi":
        family = full = Full(size)
        rates = [rate / size for rate in RATES]
        phi, more, watch = _climb(full, full.begin(phi), slopes, rng, inference.steps, rates)
        losses = np.concatenate([losses, more])
    if phi is None:
        return Failure(
            f"{method} met densities that are not finite, {MISSES} in a row; try nuts, or tighter priors",
            method,
        )
    found = _draws(family, phi, model, inputs, exact, rng, inference, gates)
    return Posterior(
        method=method,
        unconstrained=found.unconstrained,
        draws=found.draws,
        diagnostics=found.diagnostics,
        reasons=watch.unsettled(method, len(losses)),
        elbo=curve(losses),
    )


def too_many(size: int) -> str:
    """Why a full covariance of so many unknowns is refused."""
    return (
        f"inference.method: fullrank_advi on {size:,} unknowns would need {size * (size + 1) // 2:,} "
        f"numbers for their covariance, which is out of reach beyond {LARGEST:,} unknowns; use advi"
    )


def _exact(model: CompiledModel, inputs: Inputs) -> Slope:
    """Log density of all rows and its gradient."""
    return partial(_slope, model, inputs)


def _slope(model: CompiledModel, inputs: Inputs, theta: Floats) -> tuple[float, Floats]:
    return model.slope(theta, inputs)


def _slopes(
    model: CompiledModel, inputs: Inputs, minibatch: int | None, rng: np.random.Generator, exact: Slope
) -> Iterator[Slope]:
    """What each step climbs: the density of all rows, or that of some of them with their weights.

    The weighted structure is another one, compiled once as well. Raises ModelError where rows depend on
    others.
    """
    if minibatch is not None and model.description.context:
        raise ModelError(
            "inference.minibatch: rows depend on the rows before them in this model; leave it out"
        )
    batches = minibatches(model, inputs, minibatch, rng)
    if batches is None:
        while True:
            yield exact
    twin = compiled(model.description.with_weights())
    for batch in batches:
        yield partial(_slope, twin, batch)


def _climb(
    family: Gaussian,
    phi: Floats,
    slopes: Iterator[Slope],
    rng: np.random.Generator,
    steps: int,
    rates: Sequence[float],
) -> tuple[Floats | None, Floats, Settling]:
    """The numbers φ at which the bound has settled, the losses (steps,) on the way, and who watched.

    None for φ where densities stay infinite.
    """
    watch, losses = Settling(rates), np.zeros(steps)
    first, second = np.zeros_like(phi), np.zeros_like(phi)
    total, count, fell, misses, dimension = np.zeros_like(phi), 0, 0, 0, family.dimension
    for step in range(1, steps + 1):
        slope, rate = next(slopes), watch.rate
        noise = rng.standard_normal(dimension)
        value, gradient = slope(family.draw(phi, noise))
        while not (np.isfinite(value) and np.isfinite(gradient).all()):
            misses += 1
            if misses == MISSES:
                return None, losses[: step - 1], watch
            noise = rng.standard_normal(dimension)
            value, gradient = slope(family.draw(phi, noise))
        misses = 0
        losses[step - 1] = family.log_density(phi, noise) - value
        ascent = family.slope(phi, noise, gradient)
        first = FIRST * first + (1 - FIRST) * ascent
        second = SECOND * second + (1 - SECOND) * ascent**2
        size = np.sqrt(second / (1 - SECOND**step)) + TINY
        phi = phi + rate * (first / (1 - FIRST**step)) / size
        if step - fell > WINDOW:
            total += phi
            count += 1
        if watch.look(losses, step):
            return total / count, losses[:step], watch
        if watch.rate != rate:
            total, count, fell = np.zeros_like(phi), 0, step
    return (total / count if count else phi), losses, watch


def _draws(
    family: Gaussian,
    phi: Floats,
    model: CompiledModel,
    inputs: Inputs,
    exact: Slope,
    rng: np.random.Generator,
    inference: Inference,
    gates: Gates,
) -> Posterior:
    """Draws with their certificate: resampled where k̂ allows it."""
    chains, draws = inference.chains, inference.draws
    noise = rng.standard_normal((chains * draws, model.dimension))
    thetas = family.draw(phi, noise)
    # One by one: rows times draws of a large model would not fit into memory.
    log_p = np.array([exact(theta)[0] for theta in thetas])
    weights, khat = weighed(log_p, family.log_density(phi, noise))
    parameters = model.parameters(thetas, inputs)
    if khat <= khat_bound(len(thetas), gates.khat):
        return posterior(inference.method, Sample(thetas, parameters, weights, khat), rng, draws, chains)
    none = np.full(parameters.shape[1], np.nan)
    independent = np.full(parameters.shape[1], float(len(thetas)))
    return Posterior(
        method=inference.method,
        unconstrained=thetas.reshape(chains, draws, -1),
        draws=parameters.reshape(chains, draws, -1),
        diagnostics=Diagnostics(independent, independent, none, khat),
    )


def weighed(log_p: Floats, log_q: Floats) -> tuple[Floats, float]:
    """Pareto-smoothed weights of draws (S,) and k̂, which is infinite where no draw has a finite density.

    A Gaussian that is nearly right has weights that are nearly equal, and a Pareto distribution fitted to the
    largest of those finds any shape: k̂ of a coin's posterior came out as 4 from 4,000 draws and 0.4 from
    64,000. The largest of S weights from a tail of shape k is some S^k times the mean; where the largest
    found asks for no more than `EVEN`, what it asks for is k̂, and the weights are taken as they are.
    """
    finite = np.isfinite(log_p)
    if not finite.any():
        return np.full(len(log_p), 1 / len(log_p)), np.inf
    ratio = np.where(finite, log_p - log_q, -np.inf)
    ratio = ratio - ratio[finite].max()
    plain = np.exp(ratio)
    asked = float(-np.log(plain.mean()) / np.log(max(len(plain), 2)))
    weights, khat = smoothed(ratio)
    if asked <= EVEN < khat:
        return plain / plain.sum(), asked
    return weights, khat
