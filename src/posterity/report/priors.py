"""The transferred prior of an entity as densities of its parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import yaml

from posterity.inference.mixture import Mixture
from posterity.portfolio.result import Result
from posterity.report.density import Density
from posterity.report.scales import scales


@dataclass(frozen=True, eq=False)
class Used:
    """What an entity learned from: entries, mixture, and the weight of its vague component, which is last."""

    entries: tuple[str, ...]
    mixture: Mixture
    vague: float


@dataclass(frozen=True, slots=True)
class Taught:
    """The density of a parameter under a transferred prior, that of the vague component alone (its weight
    left in), the peak of the other components, and the sd of the whole.
    """

    density: Density
    vague: Density | None
    peak: float
    sd: float


def used(result: Result, row: Mapping[str, Any]) -> Used | None:
    """The transferred prior of a row of `entities`; None where the declared one was kept.

    Where the result has no file of it, a Gaussian with its moments. What pooled entities learn from has no
    vague component.
    """
    label = row.get("prior")
    files = result.manifest.extra.get("priors", {})
    if label in files:
        found = _parsed(result.text(files[label]))
    else:
        moments = _moments(result, str(row["entity"]))
        if moments is None:
            return None
        found = moments
    return found if row.get("vague_weight") is not None else _informative(found)


def taught(prior: Used, parameters: Sequence[str]) -> dict[str, Taught]:
    """By parameter: those that the prior is about and whose own scale is known."""
    found = {}
    mixture = prior.mixture
    sds = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    for i, scale in enumerate(scales(prior.entries, parameters)):
        if scale.parameter is None:
            continue
        parts = mixture.weights, mixture.means[:, i], sds[:, i]
        vague = scale.normal_mixture(*(part[-1:] for part in parts)) if prior.vague > 0 else None
        whole = scale.normal_mixture(*parts)
        inner = whole if vague is None else scale.normal_mixture(*(part[:-1] for part in parts))
        # A wide component on a log scale has a spike at zero, which must not flatten what is of interest.
        bulk = np.interp(whole.x, inner.x, inner.y, 0.0, 0.0) > 0.5 * inner.y.max()
        found[scale.parameter] = Taught(whole, vague, float(whole.y[bulk].max()), _sd(whole))
    return found


@lru_cache(maxsize=64)
def _parsed(text: str) -> Used:
    """Of thousands of entities most share a few priors.

    The manifest vouches for the text, and `prior_file`, which checks it, would load PyMC into every process
    that draws.
    """
    content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return Used(tuple(content["entries"]), Mixture.from_dict(content["joint"]), float(content["vague"]))


def _moments(result: Result, entity: str) -> Used | None:
    if not result.has("factors.parquet"):
        return None
    rows = result.entity_table("factors.parquet", entity).to_pylist()
    if not rows or rows[0].get("prior_mean") is None:
        return None
    mean = np.array(rows[0]["prior_mean"], dtype=np.float64)
    covariance = np.array(rows[0]["prior_covariance"], dtype=np.float64).reshape(len(mean), len(mean))
    at = np.flatnonzero(np.isfinite(mean))
    names = tuple(rows[0]["names"][i] for i in at)
    return Used(names, Mixture.gaussian(mean[at], covariance[np.ix_(at, at)]), 0.0)


def _informative(prior: Used) -> Used:
    if not prior.vague > 0:
        return prior
    m = prior.mixture
    kept = Mixture(m.weights[:-1] / m.weights[:-1].sum(), m.means[:-1], m.covariances[:-1])
    return replace(prior, mixture=kept, vague=0.0)


def _sd(shape: Density) -> float:
    """Standard deviation of a density, by the trapezoidal rule."""
    mass = np.trapezoid(shape.y, shape.x)
    mean = np.trapezoid(shape.y * shape.x, shape.x) / mass
    return float(np.sqrt(np.trapezoid(shape.y * (shape.x - mean) ** 2, shape.x) / mass))
