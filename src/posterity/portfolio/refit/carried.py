"""Posteriors of one version as priors of the next: a Gaussian on the unconstrained scale, and the draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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

SKEWED, PEAKED = 0.5, 1.0
"""Skewness and excess kurtosis of a whitened entry of θ up to which a Gaussian carries a posterior. Beyond
them what it misses would move the next posterior: fitted exactly, that is off by nothing, and no slower than
fitting a mixture that would do."""
FAR = 1.0
"""Old sds that a mean may move by: what a Gaussian says further out is not what the posterior said there."""
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
    """A posterior as a prior: the Gaussian it becomes, a `doubt` where that says too little of it, and its
    distinct draws, where all of θ can be told from the parameters, with what each counts.
    """

    entity: str
    prior: Mixture
    particles: Particles | None = None
    doubt: str | None = None


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
    result.table("draws.parquet")  # read once: an entity at a time would read its neighbours' again and again
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
    found, widen = Mixture.gaussian(old.mean, old.covariance), 1 / np.sqrt(old.discount)
    carried = Carried(old.entity, found.spread(widen))
    if thetas is None or not np.isfinite(thetas).all():
        return carried
    if not particles:
        return replace(carried, doubt=doubt(thetas))
    # Copies, as resampling makes them, become one draw that counts for all of them.
    distinct, copies = np.unique(thetas, axis=0, return_counts=True)
    log_weights = np.zeros(len(distinct))
    if old.discount < 1:
        log_weights = carried.prior.log_density(distinct) - found.log_density(distinct)
    return replace(carried, particles=Particles(distinct, copies, log_weights, chains, draws))


def shape(thetas: Floats) -> tuple[float, float]:
    """Largest skewness and excess kurtosis of the entries of whitened draws (S, D)."""
    whitener = np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(thetas, rowvar=False))))
    white = (thetas - thetas.mean(axis=0)) @ whitener.T
    skewness, kurtosis = np.abs((white**3).mean(axis=0)), np.abs((white**4).mean(axis=0) - 3)
    return float(skewness.max()), float(kurtosis.max())


def doubt(thetas: Floats) -> str | None:
    """Why no Gaussian stands for draws (S, D); None where one does."""
    skewness, kurtosis = shape(thetas)
    if skewness <= SKEWED and kurtosis <= PEAKED:
        return None
    return f"the posterior is not Gaussian enough (skewness {skewness:.2g}, excess kurtosis {kurtosis:.2g})"


def far(old: tuple[Floats, Floats], new: tuple[Floats, Floats]) -> str | None:
    """Why a carried posterior is not to be trusted where it went; None where it stayed near. Moments of θ,
    (D,) and (D, D), of both.
    """
    away = float((np.abs(new[0] - old[0]) / np.sqrt(np.diag(old[1]))).max())
    return f"a mean moved by {away:.2g} old sds" if away > FAR else None
