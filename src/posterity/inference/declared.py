"""Mean and sd of the declared prior on the unconstrained scale: what a population is measured against."""

from typing import Any

import numpy as np

from posterity.inference.compiled import CompiledModel, Inputs
from posterity.inference.posterior import Floats
from posterity.models.priors import PREFIX

DRAWS = 4_000
SEED = 20_100
TAIL = 0.001
"""Draws are pulled in to their quantiles at this share and its complement: a Cauchy prior has no moments."""

GAUSSIAN = frozenset({"Normal", "LogNormal"})
"""Families whose unconstrained value is normal with their own mu and sigma."""
FLAT = frozenset({"FlatRV", "HalfFlatRV"})


def declared_moments(model: CompiledModel, inputs: Inputs) -> tuple[Floats, Floats]:
    """Mean (D,) and sd (D,) of every entry of θ under the declared prior whose numbers `inputs` hold.

    Exact for Normal and LogNormal priors whose mu and sigma are numbers; else of draws with a fixed seed, the
    same at every call. The sd of an entry with a flat prior is infinite, its mean is where fits start.
    """
    draws = model.starts(inputs, SEED, DRAWS)[1:]
    inside = np.clip(draws, *np.quantile(draws, [TAIL, 1 - TAIL], axis=0))
    mean, sd = inside.mean(axis=0), inside.std(axis=0)
    given = dict(zip(model.input_names, inputs, strict=True))
    built, start = model.built.model, 0
    shapes = built.initial_point()
    for variable, value in zip(built.free_RVs, built.value_vars, strict=True):
        shape = np.shape(shapes[value.name])
        entries = slice(start, start := start + int(np.prod(shape)))
        if type(variable.owner.op).__name__ in FLAT:
            sd[entries] = np.inf
        elif (exact := _gaussian(model, variable.name, given)) is not None:
            mean[entries], sd[entries] = (np.broadcast_to(number, shape).ravel() for number in exact)
    return mean, sd


def _gaussian(model: CompiledModel, name: str, given: dict[str, Any]) -> tuple[Any, Any] | None:
    """mu and sigma of a variable whose unconstrained value is normal with these numbers; else None."""
    spec = model.description.priors.get(name)
    if spec is None or spec.dist not in GAUSSIAN or not spec.centered:
        return None
    mu, sigma = (given.get(f"{PREFIX}{name}.{key}") for key in ("mu", "sigma"))
    return None if mu is None or sigma is None else (mu, sigma)
