"""Columns that a model reads on a scale of their own, `(value - centre) / sd`, and what may not be scaled."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from posterity.config.distributions import DISTRIBUTIONS, Support
from posterity.config.families import Raw, mapping
from posterity.config.findings import Finding, Path
from posterity.config.priors import LIMITS, Section
from posterity.config.scope import Scope

STANDARD = "standard"


class Scaling(Section):
    """The numbers by which a column is scaled: the model reads (value - centre) / sd."""

    centre: float
    """What becomes 0, in the column's unit."""

    sd: Annotated[float, Field(gt=0)]
    """What becomes 1, in the column's unit."""


Scale = Literal["standard"] | Scaling


def findings(data: Raw, model: Raw, scope: Scope) -> Iterator[Finding]:
    """Names under `data.scale` that are no column to scale. `scope` knows what the model reads."""
    for name in mapping(data.get("scale")):
        path: Path = ("data", "scale", name)
        if name == scope.target:
            flaw = _target(model, scope)
        else:
            flaw = _column(name, scope)
        if flaw is not None:
            yield Finding(path, f"{name!r} {flaw}", at_key=True)


def _column(name: str, scope: Scope) -> str | None:
    if name in scope.entity:
        return "is an entity column; columns of numbers are scaled"
    known = {**scope.parameters, **scope.quantities, **scope.history, **scope.inner}
    if name in known:
        return "is a parameter or quantity; columns of the panel are scaled"
    if name in _remembered(scope):
        return "is what model.history remembers, in its own unit; leave it out here"
    if name not in scope.used and not scope.opaque:
        return "is read by nothing in the model; leave it out, or use it in a quantity"
    return None


def _target(model: Raw, scope: Scope) -> str | None:
    """Why the target cannot be scaled."""
    likelihood = mapping(model.get("likelihood"))
    if (build := model.get("build")) is not None:
        values = mapping(build).get("target", "real")
        return None if values == "real" else f"is {values}; only a target on the real line can be scaled"
    family = DISTRIBUTIONS.get(str(likelihood.get("dist")))
    if family is not None and (family.discrete or family.support is not Support.REAL):
        return f"has the likelihood {family.name}, whose values do not move to another centre; leave it out"
    if scope.target in _remembered(scope):
        return "is what model.history remembers, in its own unit; leave it out here"
    if limits := [key for key in LIMITS if likelihood.get(key) is not None]:
        return f"is {limits[0]}, and limits are in its own unit; leave it out here"
    known = {**scope.parameters, **scope.quantities, **scope.history, **scope.inner}
    given = mapping(likelihood.get("kwargs", likelihood.get("params")))
    if beside := [word for word in given.values() if isinstance(word, str) and word not in known]:
        return (
            f"is scaled, but the likelihood takes the column {beside[0]!r} in the target's own unit; make a "
            "quantity of it that is on the new scale, or leave the target as it is"
        )
    return None


def _remembered(scope: Scope) -> set[str]:
    return {str(mapping(memory).get("of", scope.target)) for memory in scope.history.values()}
