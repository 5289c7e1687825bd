"""The second map: an established entity's posterior under the population that it helped to teach."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posterity.config.schema import Gates, Inference
from posterity.inference.compiled import CompiledModel, Inputs, inputs_of
from posterity.inference.fit import STARTS, Seeds, fit
from posterity.inference.gates import open_gates
from posterity.inference.importance import Sample, posterior, smoothed
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Failure, Posterior
from posterity.inference.transferred import flat
from posterity.inference.transferred import numbers as mixture_numbers
from posterity.models.arrays import arrays
from posterity.models.description import Numbers
from posterity.panel import Rows
from posterity.portfolio.population.conditional import Conditional, Entries
from posterity.portfolio.population.factors import Factor
from posterity.portfolio.population.kernels import at_each
from posterity.portfolio.population.value import Population

type Floats = NDArray[np.float64]

METHOD = "pooled"
FREEDOM = 10
"""Degrees of freedom of the proposals."""
CAVITY = 2_000
"""Draws of what the others say of an entity, where its own Gaussian does not do."""
MANY = 100
"""Teachers from which one Gaussian says what the others do."""


@dataclass(frozen=True)
class Pooling:
    """A population with the factors that taught it: `origin` (k,) are the shared values these were expanded
    at, `groups` the label of every entity's group.
    """

    population: Population
    entries: Entries
    origin: Floats
    factors: Mapping[str, Factor]
    groups: Mapping[str, str]

    def only(self, entities: tuple[str, ...]) -> "Pooling":
        """The same for some of the entities: what a shard takes along."""
        return replace(
            self,
            factors={e: self.factors[e] for e in entities if e in self.factors},
            groups={e: self.groups[e] for e in entities},
        )


def fit_pooled(
    model: CompiledModel,
    entity: str,
    rows: Rows,
    numbers: Numbers,
    pooling: Pooling,
    seeds: Seeds,
    inference: Inference,
    gates: Gates,
) -> Posterior | Failure:
    """Draws of p(θ | all data) for one established entity.

    Populations are drawn from their posterior, θ from its Gaussian given each, and weighted by the exact
    likelihood over the factor that stood for it when the population was learned: that corrects both maps for
    this entity at once. Where k̂ or an effective size fails its gate, the entity is fitted as a new one would
    be, its prior what the other entities say of it.
    """
    inputs = _inputs(model, rows, numbers, flat(len(model.transferred)))
    size = inference.draws * inference.chains
    rng = np.random.default_rng(seeds.laplace)
    outcome: Posterior | Failure = Failure("it had no factor in the population", METHOD)
    if entity in pooling.factors:
        drawn = _weighted(model, inputs, pooling, entity, rng, size)
        outcome = (
            posterior(METHOD, drawn, rng, inference.draws, inference.chains)
            if drawn
            else Failure("no draw has a finite density", METHOD)
        )
    reasons = (outcome.reason,) if isinstance(outcome, Failure) else open_gates(outcome, gates)
    if not reasons:
        return outcome
    prior = without(pooling, entity, np.random.default_rng(seeds.adaptive))
    inputs = _inputs(model, rows, numbers, mixture_numbers(prior))
    alone = fit(model, inputs, model.starts(inputs, inference.seed, STARTS), seeds, inference, gates)
    return replace(alone, tried=(f"{METHOD}: {'; '.join(reasons)}", *alone.tried))


def without(pooling: Pooling, entity: str, rng: np.random.Generator) -> Mixture:
    """What all entities but this one say of it: the population's draws with its own factor taken out again.

    Weights are the inverse of the factor's evidence under each population, Pareto-smoothed.
    """
    population = pooling.population
    centres = population.centres(pooling.groups[entity] or None, rng)
    weights = np.full(population.draws, 1 / population.draws)
    if entity in pooling.factors:
        evidence = _conditionals(pooling, entity, centres, np.arange(population.draws))[3]
        weights, _ = smoothed(-evidence)
    which = rng.choice(population.draws, CAVITY, p=weights)
    noise = rng.standard_normal((CAVITY, centres.shape[1]))
    draws = np.empty((CAVITY, len(population.entries)))
    moved = np.einsum("sij,sj->si", population.lower[which], noise)
    draws[:, list(population.partial)] = centres[which] + moved
    draws[:, list(population.shared)] = population.shared_values[which]
    # From many teachers, what is left to know of the population no longer bends its predictive distribution.
    if len(population.teachers) >= MANY:
        return Mixture.gaussian(
            draws.mean(axis=0), np.cov(draws, rowvar=False).reshape(2 * (draws.shape[1],))
        )
    return Mixture.fitted(draws, most=2)


def _inputs(model: CompiledModel, rows: Rows, numbers: Numbers, mixture: Numbers) -> Inputs:
    return inputs_of(model, {**arrays(model.description, rows), **numbers, **mixture})


def _weighted(
    model: CompiledModel, inputs: Inputs, pooling: Pooling, entity: str, rng: np.random.Generator, size: int
) -> Sample | None:
    population, entries = pooling.population, pooling.entries
    which = rng.permutation(np.arange(size) % population.draws)
    centres = population.centres(pooling.groups[entity] or None, rng)
    mean, lower, factors, _ = _conditionals(pooling, entity, centres, which)
    p = mean.shape[1]
    # The Gaussian's shape with the tails of a t: where the likelihood's are heavier, weights stay bounded.
    noise = rng.standard_normal(mean.shape) / np.sqrt(rng.chisquare(FREEDOM, (size, 1)) / FREEDOM)
    partial = mean + np.einsum("sij,sj->si", lower, noise)
    squared = (noise**2).sum(axis=1)
    tails = 0.5 * (FREEDOM + p) * np.log1p(squared / FREEDOM) - 0.5 * squared
    thetas = np.empty((size, model.dimension))
    thetas[:, entries.partial] = partial
    thetas[:, entries.shared] = population.shared_values[which]
    stood = factors[:, 0] + (factors[:, 1 : 1 + p] * partial).sum(axis=1)
    stood -= 0.5 * np.einsum("si,sij,sj->s", partial, factors[:, 1 + p :].reshape(-1, p, p), partial)
    if len(entries.independent):
        thetas[:, entries.independent], log_density = _rest(model, inputs, pooling, entity, partial, rng)
        stood += log_density
    density = model.densities(thetas, inputs)
    finite = np.isfinite(density)
    if not finite.any():
        return None
    ratio = np.where(finite, density - stood + tails, -np.inf)
    weights, khat = smoothed(ratio - ratio[finite].max())
    return Sample(thetas, model.parameters(thetas, inputs), weights, khat)


def _conditionals(
    pooling: Pooling, entity: str, centres: Floats, which: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats, Floats]:
    """The Gaussian of an entity given each of some populations: means (S, p), factors of its covariances
    (S, p, p), the factor (S, 1 + p + p²) with its shared parameters there, and its log evidence (S,).
    """
    population = pooling.population
    factors = at_each(pooling.factors[entity].coefficients, population.shared_values[which] - pooling.origin)
    mu, lower = centres[which], population.lower[which]
    p = mu.shape[1]
    eta, q = factors[:, 1 : 1 + p], factors[:, 1 + p :].reshape(-1, p, p)
    score = eta - np.einsum("sij,sj->si", q, mu)
    ql = q @ lower
    inner = np.linalg.cholesky(np.eye(p) + lower.transpose(0, 2, 1) @ ql)
    pulled = np.einsum("sji,sj->si", lower, score)
    half = np.linalg.solve(inner, pulled[..., None])
    inverse = np.linalg.inv(inner)
    away = lower @ (inverse.transpose(0, 2, 1) @ half)
    at_mean = factors[:, 0] + (eta * mu).sum(1) - 0.5 * np.einsum("si,sij,sj->s", mu, q, mu)
    evidence = (
        at_mean + 0.5 * (half[..., 0] ** 2).sum(1) - np.log(np.diagonal(inner, axis1=1, axis2=2)).sum(1)
    )
    return mu + away[..., 0], lower @ inverse.transpose(0, 2, 1), factors, evidence


def _rest(
    model: CompiledModel,
    inputs: Inputs,
    pooling: Pooling,
    entity: str,
    partial: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Independent entries given the partial ones, from the expansion at the mode, and their log density."""
    entries, p = pooling.entries, partial.shape[1]
    mode = pooling.factors[entity].mode
    target = Conditional(model, entries, pooling.origin, np.zeros(p), np.zeros((p, p)))
    _, _, hessian = target.likelihood(mode, inputs)
    own = entries.independent
    inner = hessian[np.ix_(own, own)]
    cross = hessian[np.ix_(own, entries.partial)]
    lower = np.linalg.cholesky(np.linalg.inv(inner))
    noise = rng.standard_normal((len(partial), len(own)))
    centre = mode[p:] - (partial - mode[:p]) @ np.linalg.solve(inner, cross).T
    log_density = -0.5 * (noise**2).sum(axis=1)
    return centre + noise @ lower.T, log_density
