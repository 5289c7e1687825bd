"""The parameters that smooth functions bring, and what can be wrong with their names."""

from collections.abc import Iterator, Mapping
from typing import Any

from posterity.config import expressions, families, smooths
from posterity.config.distributions import Domain
from posterity.config.families import Raw, mapping
from posterity.config.findings import Finding, Path
from posterity.config.scope import Scope
from posterity.config.smooths import Smooth
from posterity.config.words import listed


def smooths_in(model: Raw) -> dict[str, Smooth]:
    """Every smooth of a model section by its quantity; those that are written wrong are left out."""
    found: dict[str, Smooth] = {}
    for name, spec in mapping(model.get("quantities")).items():
        text = mapping(spec).get("expression")
        if isinstance(text, str) and smooths.NAME in text and not expressions.examine(text)[1]:
            smooth = smooths.found_in(text)
            found |= {name: smooth} if smooth is not None else {}
    return found


def spelt_out(value: dict[str, Any]) -> dict[str, Any]:
    """A configuration's plain values with the parameters of its smooths declared, to be checked as others
    are.
    """
    model = value.get("model")
    found = smooths_in(model) if isinstance(model, Mapping) else {}
    wrong = any(not isinstance(mapping(model).get(key) or {}, Mapping) for key in ("parameters", "coords"))
    return {**value, "model": smooths.declared(mapping(model), found)} if found and not wrong else value


def findings(model: Raw, scope: Scope) -> Iterator[Finding]:
    """What is wrong with columns and parameters of smooths; notes in `scope` that these are used."""
    for quantity, smooth in smooths_in(model).items():
        names = smooths.names_of(quantity)
        scope.used.update(names)
        if set(names) - set(scope.parameters):
            continue  # the section of parameters has the wrong shape, which is told there
        known = {**scope.parameters, **scope.quantities, **scope.history, **scope.inner}
        if smooth.column in known:
            yield Finding(
                ("model", "quantities", quantity, "expression"),
                f"{smooth.column!r} is a parameter or quantity; smooth takes a column of the panel",
            )
        *scalars, weights = names
        for name in scalars:
            if dims := scope.dims(name):
                yield Finding(
                    ("model", "parameters", name), f"has the dims {listed(dims)}, but it is one number"
                )
        lengthscale = scope.parameters.get(names[1])
        if lengthscale is not None and families.misfit(families.bounds(lengthscale.spec), Domain.POSITIVE):
            yield Finding(
                ("model", "parameters", names[1]),
                "is a length and positive: LogNormal, InverseGamma or Gamma",
            )
        yield from _weights(quantity, weights, smooth, scope)


def _weights(quantity: str, name: str, smooth: Smooth, scope: Scope) -> Iterator[Finding]:
    path: Path = ("model", "parameters", name)
    one, dims = scope.parameters[name], scope.dims(name)
    labels = scope.coords.get(dims[0]) if len(dims) == 1 else None
    if not isinstance(labels, list | tuple):
        basis = f"{quantity}_{smooths.BASIS}"
        yield Finding(path, f"is a vector of m={smooth.m} numbers: give it `dims: {basis}`")
    elif one.spec.get("dist") != "Normal" or not one.spec.get("centered", True) or one.spec.get("transform"):
        yield Finding(path, "the weights of a smooth are Normal, by default with mu 0 and sigma 1")
    elif {"mu", "sigma"} - set(one.kwargs) or not all(_plain(value) for value in one.kwargs.values()):
        yield Finding(path, "the weights of a smooth are Normal with numbers for mu and sigma")
    elif len(labels) != smooth.m:
        yield Finding(
            path,
            f"has {len(labels)} entries along {dims[0]!r}, but {smooth} has m={smooth.m} basis functions",
        )


def _plain(value: object) -> bool:
    return isinstance(value, int | float | list | tuple)
