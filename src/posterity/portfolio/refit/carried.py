"""Posteriors of one version as priors of the next: a mixture on the unconstrained scale, and the draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posterity.inference.compiled import CompiledModel, compiled, inputs_of
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Floats
from posterity.inference.reweight import Particles
from posterity.models import Description
from posterity.models.arrays import arrays
from posterity.panel import Rows
from posterity.portfolio.result import Result
from posterity.portfolio.runners import Runner, WorkerDied

SKEWED, PEAKED = 0.25, 0.5
"""Skewness and excess kurtosis of a whitened entry of θ below which one Gaussian carries a posterior: what it
misses then moves the next posterior by less than the draws' own error."""
LOPSIDED, HEAVY = 1.0, 3.0
"""Beyond these no mixture of a few Gaussians is close where new rows may take the posterior."""
BATCH = 50
"""Entities handed over at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Old:
    """What a result holds of an entity's posterior: parameters (C, N, P), the moments of θ, (D,) and (D, D),
    and what its information is to count for.
    """

    entity: str
    draws: Floats
    mean: Floats
    covariance: Floats
    discount: float


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A posterior as a prior: the mixture it becomes, or why it becomes none, and its distinct draws, where
    all of θ can be told from the parameters, with what each counts.
    """

    entity: str
    mixture: Mixture | str
    particles: Particles | None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Posteriors of one structure; `rows` are any rows, which the compiled functions ask for."""

    description: Description
    rows: Rows
    old: tuple[Old, ...]
    particles: bool

    @property
    def title(self) -> str:
        """What people read."""
        return f"carry {len(self.old)} posteriors"


def old_posteriors(result: Result, discounts: dict[str, float]) -> Iterator[Old]:
    """The posteriors of these entities, each with the discount of its information."""
    names = parameter_columns(result)
    factors = result.table("factors.parquet")
    place = {entity: i for i, entity in enumerate(factors["entity"].to_pylist())}
    for entity, discount in discounts.items():
        table = result.entity_table("draws.parquet", entity)
        chains = len(np.unique(table["chain"].to_numpy()))
        flat = np.stack([table[name].to_numpy() for name in names], axis=1)
        row = factors.slice(place[entity], 1)
        mean = np.array(row["mean"][0].as_py())
        covariance = np.array(row["covariance"][0].as_py()).reshape(len(mean), len(mean))
        yield Old(entity, flat.reshape(chains, -1, flat.shape[1]), mean, covariance, discount)


def parameter_columns(result: Result) -> list[str]:
    """Scalar parameters in the order of the draws' columns."""
    names = result.table("draws.parquet").column_names
    return [name for name in names if name not in ("entity", "chain", "draw")]


def carry(
    description: Description, rows: Rows, old: Sequence[Old], runner: Runner, *, particles: bool
) -> dict[str, Carried]:
    """Posteriors as priors, by entity, over a runner. Where a worker dies this process does its work."""
    batches = [
        Batch(description, rows, tuple(old[i : i + BATCH]), particles) for i in range(0, len(old), BATCH)
    ]
    found: dict[str, Carried] = {}
    for batch, outcome in runner.run(carry_batch, batches):
        done = carry_batch(batch) if isinstance(outcome, WorkerDied) else outcome
        found |= {carried.entity: carried for carried in done}
    return found


def carry_batch(batch: Batch) -> list[Carried]:
    """One batch, in a worker."""
    model = compiled(batch.description)
    data: dict[str, Any] = {**arrays(batch.description, batch.rows), **batch.description.numbers}
    inputs = inputs_of(model, data)
    return [_carried(model, inputs, old, batch.particles) for old in batch.old]


def _carried(model: CompiledModel, inputs: Any, old: Old, particles: bool) -> Carried:
    chains, draws, width = old.draws.shape
    thetas = model.unconstrained(old.draws.reshape(-1, width), inputs)
    if thetas is None or not np.isfinite(thetas).all():
        mixture = Mixture.gaussian(old.mean, old.covariance)
        return Carried(old.entity, mixture.spread(1 / np.sqrt(old.discount)), None)
    mixture = mixture_of(thetas, old.mean, old.covariance)
    if not particles:
        wide = mixture if isinstance(mixture, str) else mixture.spread(1 / np.sqrt(old.discount))
        return Carried(old.entity, wide, None)
    if isinstance(mixture, str):  # draws are what they are, whatever their shape
        mixture = Mixture.gaussian(old.mean, old.covariance)
    wide = mixture.spread(1 / np.sqrt(old.discount))
    # Copies, as resampling makes them, become one draw that counts for all of them.
    distinct, counts = np.unique(thetas, axis=0, return_counts=True)
    log_weights = np.log(counts)
    if old.discount < 1:
        log_weights = log_weights + wide.log_density(distinct) - mixture.log_density(distinct)
    return Carried(old.entity, wide, Particles(distinct, log_weights, chains, draws))


def shape(thetas: Floats) -> tuple[float, float]:
    """Largest skewness and excess kurtosis of the entries of whitened draws (S, D)."""
    whitener = np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(thetas, rowvar=False))))
    white = (thetas - thetas.mean(axis=0)) @ whitener.T
    skewness, kurtosis = np.abs((white**3).mean(axis=0)), np.abs((white**4).mean(axis=0) - 3)
    return float(skewness.max()), float(kurtosis.max())


def mixture_of(thetas: Floats, mean: Floats, covariance: Floats) -> Mixture | str:
    """A mixture for draws (S, D) whose moments are the given ones, (D,) and (D, D), known from more draws.

    One Gaussian where the draws look like one; a sentence where they are too far from any few.
    """
    skewness, kurtosis = shape(thetas)
    if skewness > LOPSIDED or kurtosis > HEAVY:
        return f"the posterior is far from Gaussian (skewness {skewness:.2g}, excess kurtosis {kurtosis:.2g})"
    if skewness < SKEWED and kurtosis < PEAKED:
        return Mixture.gaussian(mean, covariance)
    found = Mixture.skewed(thetas)
    # Moments of the stored draws → those of all: one linear map of every component.
    to = np.linalg.cholesky(covariance) @ np.linalg.inv(np.linalg.cholesky(found.covariance))
    means = mean + (found.means - found.mean) @ to.T
    turned = to @ found.covariances @ to.T
    return Mixture(found.weights, means, (turned + np.swapaxes(turned, 1, 2)) / 2)
