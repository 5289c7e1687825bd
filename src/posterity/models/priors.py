"""Prior specifications into PyMC variables whose numbers are inputs of the model, not constants.

pymc_extras' `Prior` creates the variables (nesting, dims, non-centred forms); every number it would bake into
the graph is handed to it as `pm.Data` instead, so that one compiled model serves every prior of the same
structure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc_extras.prior import Prior

from posterity.config import PriorSpec
from posterity.errors import ModelError

PREFIX = "prior:"


def numbers(name: str, spec: PriorSpec) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every number of a prior and of the priors nested in it, by the name of its input:
    `prior:rate.sigma`.
    """
    for key, value in spec.kwargs.items():
        if isinstance(value, PriorSpec):
            yield from numbers(f"{name}_{key}", value)
        elif not isinstance(value, str):
            yield f"{PREFIX}{name}.{key}", np.asarray(value, dtype=np.float64)


def references(spec: PriorSpec) -> Iterator[str]:
    """Names of the parameters that a prior's arguments refer to, nested priors included."""
    for value in spec.kwargs.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, PriorSpec):
            yield from references(value)


def create(name: str, spec: PriorSpec, known: Mapping[str, Any], factor: Any | None = None) -> Any:
    """Create the variable `name` in the current PyMC model; `known` holds the parameters it may refer to.

    With a `factor` (entries,) it is that times what the prior, a normal one, describes.
    """
    try:
        if factor is not None:
            given = _prior(name, spec, known).parameters
            return pm.Normal(name, given["mu"] * factor, given["sigma"] * factor, dims=spec.dims)
        return _prior(name, spec, known).create_variable(name)
    except (ValueError, TypeError) as error:
        raise ModelError(f"the prior of {name} ({spec.dist}) cannot be built: {error}") from error


def _prior(name: str, spec: PriorSpec, known: Mapping[str, Any]) -> Prior:
    arguments: dict[str, Any] = {}
    inputs = dict(numbers(name, spec))
    for key, value in spec.kwargs.items():
        if isinstance(value, PriorSpec):
            arguments[key] = _prior(f"{name}_{key}", value, known)
        elif isinstance(value, str):
            arguments[key] = known[value]
        else:
            arguments[key] = pm.Data(f"{PREFIX}{name}.{key}", inputs[f"{PREFIX}{name}.{key}"])
    return Prior(
        spec.dist, dims=spec.dims or None, centered=spec.centered, transform=spec.transform, **arguments
    )
